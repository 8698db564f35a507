"""What is said of games that were recorded elsewhere, beside what their source says itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from collectors.action_space import ActionSpace
from collectors.dataset.dataset import DatasetError
from collectors.dataset.episode import Episode
from collectors.dataset.reward_values import add_rewards
from collectors.interchange.action_kinds import named
from collectors.interchange.frames import fitted, frame_shape
from collectors.interchange.writing import Recorded

FILMS, TABLES, MINARI = "films", "tables of others", "Minari sets of others"
OWN = "exports of neural-envs"
TAKEN_BY = {  # what does not mean something everywhere
    "bounds": (FILMS, TABLES, MINARI),
    "action_space": (FILMS, TABLES, MINARI),
    "cut": (FILMS, TABLES),
    "image_column": (TABLES,),
    "action_column": (TABLES,),
    "key": (MINARI,),
}
SIGNS = [-1.0, 0.0, 1.0]


@dataclass(frozen=True)
class SourceOptions:
    """What a source does not say of itself, or what is to be otherwise than it says."""

    world: str = ""  # the game's name; the source's if empty
    actions: tuple[str, ...] = ()  # their names, or those of their parts
    bounds: tuple[float, ...] = ()  # the lowest and the highest number, of all parts or of each
    action_space: ActionSpace | None = None  # else found in the actions
    fps: int = 0  # 0: what the source says, or FRAMES_PER_SECOND
    size: str = ""  # of the frames, a side or HEIGHTxWIDTH; as they are if empty
    color: str = ""  # rgb or gray; as they are if empty
    reward: str = "raw"  # or sign
    cut: int = 0  # longer games are cut into episodes of so many steps; 0 leaves them whole
    image_column: str = ""  # of a table; found by their names if empty
    action_column: str = ""
    key: str = ""  # of observations by keys

    def check_source(self, kind: str, name: str) -> None:
        """Raises DatasetError for an option that means nothing for a source of this kind."""
        for option, kinds in TAKEN_BY.items():
            if getattr(self, option) and kind not in kinds:
                raise DatasetError(
                    f"--{option.replace('_', '-')} is for {', '.join(kinds)}; {name} is of the "
                    f"{kind}, which say that themselves or have no such thing: leave it out"
                )

    def check_rewards(self, rewards: Iterable[np.ndarray]) -> None:
        """Raises TooManyRewards for games (T,) whose rewards no dataset can hold."""
        found: set[float] = set()
        if self.reward == "sign":
            return
        for game in rewards:
            add_rewards(found, game, "import")

    def overridden(self, own: Recorded, name: str) -> Recorded:
        """The games of a source that describes itself, with what is said here in its place. Raises
        DamagedFileError, DatasetError.
        """
        spec = {**own.header["spec"]}
        given: dict[str, Any] = {"world": self.world, "fps": self.fps}
        spec |= {key: value for key, value in given.items() if value}
        if self.actions:
            spec |= named(ActionSpace.of_spec(spec), self.actions)
        if not (self.size or self.color):
            return own._replace(header={**own.header, "spec": spec})
        spec["frame_shape"] = frame_shape(spec["frame_shape"], self.size, name, self.color)
        # the game, as it would be made, has other frames
        header = {**own.header, "spec": spec, "env_spec": ""}
        shape = spec["frame_shape"]
        return own._replace(header=header, episodes=self._fitted(own.episodes, shape))

    def _fitted(self, episodes: Iterable[Episode], shape: list[int]) -> Iterator[Episode]:
        for episode in episodes:
            frames = [fitted(frame, shape, self.size, self.color) for frame in episode.frames]
            yield Episode(np.stack(frames), *episode[1:])

    def with_rewards(self, recorded: Recorded) -> Recorded:
        """The games with rewards as they are to be."""
        if self.reward != "sign":
            return recorded
        spec = {**recorded.header["spec"], "reward_values": SIGNS}
        spec.pop("final_rewards", None)
        signed = (
            Episode(*game[:2], np.sign(game.rewards), *game[3:]) for game in recorded.episodes
        )
        return recorded._replace(header={**recorded.header, "spec": spec}, episodes=signed)
