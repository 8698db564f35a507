"""A dream from a file, dreamed again while somebody watches."""

from __future__ import annotations

import dataclasses
import io
import zipfile
from typing import Any

import numpy as np

from neural_envs.replays.format import TERMINATED, TRUNCATED, DreamFileError
from neural_envs.replays.replay_file import DreamFile, check, replay
from neural_envs.web.catalogue import BundleCatalogue
from neural_envs.web.protocol import MOST_STEPS

MOST_UNPACKED = 32 * 2**20  # bytes
MOST_STEPS_WATCHED = 20_000


class Film:
    """The dream of `data`, a `.dream` file from anywhere. DreamFileError where it is none, or of no
    bundle here.

    The bundle is looked for by its hash among those on the shelf, never by the name or the path
    that the file tells.
    """

    def __init__(self, data: bytes, shelf: BundleCatalogue):
        file = _harmless(data)
        offer = next((o for o in shelf.listed() if shelf.hash(o) == file.bundle_hash), None)
        offer = offer or next((o for o in shelf.listed() if o.world == file.world), None)
        if offer is None:
            raise DreamFileError(
                f"this is a dream of '{file.world[:40]}', and there is no bundle of that world here"
            )
        bundle = shelf.borrow(offer)
        if file.actions.size and not 0 <= file.actions.min() <= file.actions.max() < len(
            bundle.model.spec.action_names
        ):
            raise DreamFileError(
                "this file is damaged: it has actions that its world does not know"
            )
        self.file, self.offer, self.still = file, offer, False
        self.remark = check(file, offer.source).replace(
            offer.source, offer.name
        )  # no path of this machine
        self.frames = replay(file, bundle, shelf.device)
        self.frame, self.step, self.return_ = next(self.frames), 0, 0.0

    @property
    def over(self) -> bool:
        """Whether this was the last frame."""
        return self.step == len(self.file.actions)

    def tick(self) -> None:
        """The next frame, unless it stands still or is over."""
        if not self.still:
            self._next()

    def single_step(self) -> None:
        """Stop, and go on by one frame."""
        self.still = True
        self._next()

    def _next(self) -> None:
        if self.over:
            return
        self.frame = next(self.frames)
        self.return_ += float(self.file.rewards[self.step])
        self.step += 1

    def picture(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Header and pane, as a stage's."""
        end = self.file.outcomes[self.step - 1] if self.step else 0
        ending = {TERMINATED: "game over", TRUNCATED: "stopped"}.get(
            int(end), "end of the file" if self.over else ""
        )
        reward = float(self.file.rewards[self.step - 1]) if self.step else 0.0
        header = {
            "titles": [f"file, {self.offer.name}"],
            "step": self.step,
            "steps": len(self.file.actions),
        }
        header |= {
            "reward": round(reward, 4),
            "return": round(self.return_, 4),
            "trust": None,
            "ending": ending,
        }
        header |= {
            "game": 1,
            "seed": self.file.seed,
            "paused": self.still,
            "waiting": False,
            "player": "file",
        }
        return {**header, "message": "", "real": None, "film": True}, [self.frame]


def _harmless(data: bytes) -> DreamFile:
    """The file, within the limits of what is dreamed for a stranger, and by the plain backend."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise DreamFileError(f"this file is not a dream: {error}") from None
    if unpacked > MOST_UNPACKED:
        raise DreamFileError(
            f"this file unpacks to more than {MOST_UNPACKED >> 20} MB: that is no dream to share"
        )
    file = DreamFile.from_bytes(data)
    if len(file.actions) > MOST_STEPS_WATCHED:
        raise DreamFileError(
            f"this dream has {len(file.actions)} steps; {MOST_STEPS_WATCHED} are the most to watch "
            "here"
        )
    chosen = [
        settings.get("sampler_steps")
        for settings in (file.settings, *(s.settings for s in file.segments))
    ]
    if any(
        steps is not None and not (isinstance(steps, int) and 1 <= steps <= MOST_STEPS)
        for steps in chosen
    ):
        raise DreamFileError(
            f"this dream wants more than {MOST_STEPS} sampler steps a frame, or none at all"
        )
    return dataclasses.replace(file, settings={**file.settings, "backend": "eager"})
