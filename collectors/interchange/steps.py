"""The steps of games that were recorded elsewhere: a row per frame, cut into episodes."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from collectors.dataset.episode import Episode
from collectors.untrusted_files import DamagedFileError

Encode = Callable[[np.ndarray], np.ndarray]  # actions as recorded -> as a dataset holds them


@dataclass(frozen=True)
class Steps:
    """N rows, one per frame: the action that was chosen on seeing it, and what that step gave. A
    game's last frame has no action. `source` and `line`, the number of the first row there, are for
    messages.
    """

    source: str
    actions: np.ndarray  # (N,) text or numbers, or (N, P) numbers
    present: np.ndarray  # (N,) bool, whether there is an action
    rewards: np.ndarray  # (N,) float32
    terminations: np.ndarray  # (N,) bool
    truncations: np.ndarray  # (N,) bool
    line: int = 0

    def __len__(self) -> int:
        return len(self.present)

    @property
    def last(self) -> np.ndarray:
        """Which frames (N,) bool are the last ones of a game."""
        return ~self.present

    @property
    def over(self) -> np.ndarray:
        """Which rows (N,) bool say that their step ended the game."""
        return self.terminations | self.truncations

    def rows(self, first: int, end: int) -> Steps:
        """Some rows alone."""
        columns = {name: getattr(self, name)[first:end] for name in COLUMNS}
        return dataclasses.replace(self, line=self.line + first, **columns)

    def of_frames(self, frames: int, where: str) -> Steps:
        """The steps of so many frames: the last one has no action. Raises DamagedFileError where
        they do not fit.
        """
        rows = len(self)
        if rows == frames - 1 and self.present[-1]:  # the last frame has no row of its own
            found = self._with_last_frame()
        elif rows == frames:
            found = self.without_last_outcome() if self.present[-1] else self
        else:
            raise DamagedFileError(
                f"{where} has {frames} frames and {self.source} has {rows} rows; there is a row "
                "per frame, or one less, of the last one"
            )
        found.check()
        return found

    def without_last_outcome(self) -> Steps:
        """The last row's action led to a frame that was not recorded: it is left out, and where it
        ended the game, the step before it did, with its reward.
        """
        found = {name: getattr(self, name).copy() for name in COLUMNS}
        found["present"][-1] = False
        if self.over[-1] and len(self) > 1:
            for name in ("rewards", "terminations", "truncations"):
                found[name][-2] = found[name][-1]
        for name in ("rewards", "terminations", "truncations"):
            found[name][-1] = 0
        return dataclasses.replace(self, **found)

    def check(self) -> None:
        """Raises DamagedFileError for a game without a step, and for ends elsewhere than at a
        game's last frame.
        """
        last = self.last
        empty = np.flatnonzero(last & np.concatenate([[True], last[:-1]]))
        if len(empty):
            raise DamagedFileError(
                f"{self.source}, row {self.line + empty[0]}: a game without an action"
            )
        early = np.flatnonzero(self.over[:-1] & ~last[1:])
        if len(early):
            raise DamagedFileError(
                f"{self.source}, row {self.line + early[0]}, says that the game ended, and the row "
                "after it has an action; the last frame of a game has a row of its own without one"
            )

    def cut(self, most: int) -> list[tuple[int, int]]:
        """(first frame, last frame) of each episode; longer games are cut into such of `most`
        steps, 0 for none, and two parts of a game share a frame.
        """
        found, start = [], 0
        for end in np.flatnonzero(self.last).tolist():
            step = most or end - start
            found += [(begin, min(begin + step, end)) for begin in range(start, end, step)]
            start = end + 1
        return found

    def episode(
        self, between: tuple[int, int], frames: np.ndarray, encode: Encode, seed: int, key: str = ""
    ) -> Episode:
        """The episode from one frame to another, whose action there is not taken."""
        start, end = between
        steps = slice(start, end)
        truncations = self.truncations[steps].copy()
        truncations[-1] |= not self.over[end - 1]  # whoever recorded it stopped there
        outcome = self.rewards[steps].copy(), self.terminations[steps].copy(), truncations
        return Episode(frames, encode(self.actions[steps]), *outcome, seed, "recorded", key)

    def _with_last_frame(self) -> Steps:
        columns = {name: getattr(self, name) for name in COLUMNS}
        longer = {
            name: np.concatenate([column, np.zeros_like(column[:1])])
            for name, column in columns.items()
        }
        return dataclasses.replace(self, **longer)


COLUMNS = ("actions", "present", "rewards", "terminations", "truncations")
