"""The actions of a film and what they gave: a CSV file with a row per frame."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from collectors.interchange.steps import Steps
from collectors.untrusted_files import (
    PARSE_ERRORS,
    DamagedFileError,
    check_size,
    read_regular_file,
    reason_of,
)

PART = re.compile(r"action_\d{1,4}")
WHOLE = re.compile(r"-?\d{1,18}")
NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)(e[-+]?\d+)?", re.I)
MOST_BYTES = 2**26
MOST_CELLS = 2**22  # each takes 60 bytes and more
OUTCOMES = {"reward", "terminated", "truncated"}
OTHER_NAMES: dict[str, str] = dict.fromkeys(("done", "dones", "terminal"), "terminated")
TRUE, FALSE = {"1", "true", "yes"}, {"", "0", "false", "no"}


def read_csv(file: Path) -> Steps:
    """The steps of a CSV file with a column `action`, or columns `action_0`, `action_1`, ... Raises
    DamagedFileError, a sentence with the line, for whatever is wrong with it.
    """
    columns = _columns(file)
    parts = _parts(file, columns)
    if not parts and "action" not in columns:
        raise DamagedFileError(
            f"{file} needs a header with a column 'action', got {[*columns]!s:.80}"
        )
    _check_names(file, columns)
    words = [columns[name] for name in parts or ["action"]]
    present = np.array([any(row) for row in zip(*words, strict=True)])
    actions = [_actions(file, name, columns[name]) for name in parts or ["action"]]
    none = ("",) * len(present)
    return Steps(
        str(file),
        np.stack(actions, 1) if parts else actions[0],
        present,
        _numbers(file, "reward", columns.get("reward", none)).astype(np.float32),
        _flags(file, columns.get("terminated", none)),
        _flags(file, columns.get("truncated", none)),
        line=2,
    )


def _parts(file: Path, columns: Iterable[str]) -> list[str]:
    """The columns of the parts of an action by their numbers, whatever their order in the file;
    none without such. Raises DamagedFileError unless the numbers are all those from 0 on, as a
    value would else be taken, without a word, for that of another part.
    """
    found = [name for name in columns if PART.fullmatch(name)]
    parts = [f"action_{number}" for number in range(len(found))]
    if {*parts} != {*found}:
        raise DamagedFileError(
            f"{file} has the columns {', '.join(found):.80}; the parts of an action count from 0: "
            f"{', '.join(parts):.80}"
        )
    return parts


def _check_names(file: Path, columns: Iterable[str]) -> None:
    """Raises DamagedFileError for a name that is nearly one that is read: without it all rewards
    would be 0, and no game would end, without a word. Other columns are not looked at.
    """
    for name in set(columns) - OUTCOMES:
        near = difflib.get_close_matches(name, OUTCOMES, n=1, cutoff=0.8)
        meant = OTHER_NAMES.get(name, near[0] if near else "")
        if meant:
            raise DamagedFileError(
                f"{file} has a column {name!r}, which is not read; did you mean {meant!r}?"
            )


def _columns(file: Path) -> dict[str, tuple[str, ...]]:
    """The cells of each column of a table with a header, without blanks around them."""
    try:
        text = read_regular_file(file, MOST_BYTES).decode("utf-8-sig")
        check_size(str(file), sum(map(text.count, ",\r\n")), MOST_CELLS, "cells")
        lines = io.StringIO(text, newline="")
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines)]
    except DamagedFileError:
        raise
    except (csv.Error, *PARSE_ERRORS) as error:
        raise DamagedFileError(f"{file} is no table ({reason_of(error)})") from None
    names = [name.lower() for name in rows[0]] if rows else []
    if not names or len(set(names)) < len(names):
        raise DamagedFileError(f"{file} needs a header of different names, got {names!s:.80}")
    if len(rows) < 2:
        raise DamagedFileError(f"{file} has no rows")
    rows = [row or [""] for row in rows[1:]]  # how csv reads the empty cell of a single column
    for line, row in enumerate(rows, 2):
        if len(row) != len(names):
            raise DamagedFileError(f"{file}, row {line}: {len(row)} cells, not {len(names)}")
    return dict(zip(names, zip(*rows, strict=True), strict=True))


def _actions(file: Path, name: str, cells: tuple[str, ...]) -> np.ndarray:
    """Whole numbers where all cells are such, numbers where all are, else words, of `action` alone.
    Raises DamagedFileError for numbers among words: one `nan` would make words of all.
    """
    used = {row: cell for row, cell in enumerate(cells, 2) if cell}
    if all(WHOLE.fullmatch(cell) for cell in used.values()):
        return np.array([int(cell or 0) for cell in cells], np.int64)
    words = {row: cell for row, cell in used.items() if not NUMBER.fullmatch(cell)}
    if name != "action" or not words:
        return _numbers(file, name, cells)
    if number := next((row for row in used if row not in words), None):
        row, word = next(iter(words.items()))
        raise DamagedFileError(
            f"{file}, row {row}: the action {word!r:.40} is no number, as {used[number]!r:.40} in "
            f"row {number} is; actions are all numbers or all words"
        )
    return np.array(cells, object)


def _numbers(file: Path, name: str, cells: tuple[str, ...]) -> np.ndarray:
    found = np.zeros(len(cells))
    for place, cell in enumerate(cells):
        try:
            found[place] = float(cell or 0)
        except ValueError:
            found[place] = np.nan
        if not abs(found[place]) < 1e30:
            raise DamagedFileError(f"{file}, row {place + 2}: the {name} {cell!r:.40} is no number")
    return found


def _flags(file: Path, cells: tuple[str, ...]) -> np.ndarray:
    found = [cell.lower() for cell in cells]
    for place, cell in enumerate(found):
        if cell not in TRUE | FALSE:
            raise DamagedFileError(f"{file}, row {place + 2}: {cell!r:.40} is neither 0 nor 1")
    return np.array([cell in TRUE for cell in found])
