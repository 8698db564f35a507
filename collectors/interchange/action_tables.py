"""The actions of a film and what they gave: a CSV file with a row per frame."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collectors.dataset.episode import Episode
from collectors.untrusted_files import PARSE_ERRORS, DamagedFileError, read_regular_file, reason_of

MOST_BYTES = 2**28
TRUE, FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}


@dataclass(frozen=True)
class ActionTable:
    """N rows, one per frame; a game's last frame has no action."""

    file: Path
    words: tuple[str, ...]  # the action of each row, "" for none
    rewards: np.ndarray  # (N,) float32
    terminations: np.ndarray  # (N,) bool
    truncations: np.ndarray  # (N,) bool

    @property
    def last(self) -> np.ndarray:
        """Which frames (N,) bool are the last ones of a game."""
        return np.array([not word for word in self.words])

    def of_frames(self, frames: int, film: Path) -> ActionTable:
        """The table for a film of so many frames: its last row has no action. Raises
        DamagedFileError where film and table do not fit.
        """
        rows, words = len(self.words), self.words
        if rows == frames - 1 and words[-1]:  # the last frame has no row of its own
            table = self._with_last_frame()
        elif rows == frames and words[-1] and not self.ended[-1]:  # an outcome was not filmed
            table = dataclasses.replace(self, words=(*words[:-1], ""))
        elif rows == frames and not words[-1]:
            table = self
        elif rows == frames:
            raise DamagedFileError(
                f"{self.file}, line {rows + 1}, says that the game ended, and {film} does not show "
                "the last frame; add it"
            )
        else:
            raise DamagedFileError(
                f"{film} has {frames} frames and {self.file} has {rows} rows; a table has a row "
                "per frame, or one less, of the last one"
            )
        return table._checked()

    @property
    def ended(self) -> np.ndarray:
        """Which rows (N,) bool say that the step ended the game."""
        return self.terminations | self.truncations

    def episode(
        self,
        between: tuple[int, int],
        frames: np.ndarray,
        codes: Mapping[str, int],
        seed: int,
        key: str,
    ) -> Episode:
        """The episode from one frame to another, whose action there is not taken. `codes` are the
        numbers of the words.
        """
        start, end = between
        steps = slice(start, end)
        truncations = self.truncations[steps].copy()
        truncations[-1] |= not self.ended[end - 1]  # whoever recorded it stopped there
        actions = np.array([codes[word] for word in self.words[steps]], np.int64)
        outcome = self.rewards[steps], self.terminations[steps].copy(), truncations
        return Episode(frames, actions, *outcome, seed, "recorded", key)

    def _with_last_frame(self) -> ActionTable:
        columns = (self.rewards, self.terminations, self.truncations)
        longer = (np.append(column, column.dtype.type(0)) for column in columns)
        return ActionTable(self.file, (*self.words, ""), *longer)

    def _checked(self) -> ActionTable:
        """The table. Raises DamagedFileError for a game without a step, and for ends elsewhere than
        at a game's last frame.
        """
        last = self.last
        if last[0] or (last[1:] & last[:-1]).any():
            line = 2 if last[0] else int(np.flatnonzero(last[1:] & last[:-1])[0]) + 3
            raise DamagedFileError(f"{self.file}, line {line}: a game without an action")
        early = np.flatnonzero(self.ended[:-1] & ~last[1:])
        if len(early):
            raise DamagedFileError(
                f"{self.file}, line {early[0] + 2}, says that the game ended, and the row after it "
                "has an action; the last frame of a game has a row of its own without one"
            )
        return self


def read_action_table(file: Path) -> ActionTable:
    """The table of a CSV file. Raises DamagedFileError, a sentence with the line, for whatever is
    wrong with it.
    """
    try:
        text = read_regular_file(file, MOST_BYTES).decode("utf-8-sig")
        rows = list(csv.reader(text.splitlines()))
    except (csv.Error, *PARSE_ERRORS) as error:
        raise DamagedFileError(f"{file} is no table ({reason_of(error)})") from None
    names = [name.strip().lower() for name in rows[0]] if rows else []
    if "action" not in names or len(set(names)) < len(names):
        raise DamagedFileError(
            f"{file} needs a header with a column 'action'; it has {names!s:.80}"
        )
    if len(rows) < 2:
        raise DamagedFileError(f"{file} has no rows")
    rows[1:] = [row or [""] for row in rows[1:]]  # how csv reads the empty cell of a single column
    for line, row in enumerate(rows[1:], 2):
        if len(row) != len(names):
            raise DamagedFileError(f"{file}, line {line}: {len(row)} cells, not {len(names)}")
    columns = dict(zip(names, zip(*rows[1:], strict=True), strict=True))
    words = tuple(word.strip() for word in columns["action"])
    empty = ("",) * len(words)
    return ActionTable(
        file,
        words,
        _numbers(file, columns.get("reward", empty)),
        _flags(file, columns.get("terminated", empty)),
        _flags(file, columns.get("truncated", empty)),
    )


def _numbers(file: Path, cells: tuple[str, ...]) -> np.ndarray:
    found = np.zeros(len(cells), np.float32)
    for place, cell in enumerate(cells):
        try:
            found[place] = float(cell.strip() or 0)
        except ValueError:
            found[place] = np.nan
        if not abs(found[place]) < 1e30:
            raise DamagedFileError(
                f"{file}, line {place + 2}: the reward {cell!r:.40} is no number"
            )
    return found


def _flags(file: Path, cells: tuple[str, ...]) -> np.ndarray:
    found = [cell.strip().lower() for cell in cells]
    for place, cell in enumerate(found):
        if cell not in TRUE | FALSE:
            raise DamagedFileError(f"{file}, line {place + 2}: {cell!r:.40} is neither 0 nor 1")
    return np.array([cell in TRUE for cell in found])
