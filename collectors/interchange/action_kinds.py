"""What the recorded actions of a source mean: which game takes them, and as which numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from collectors.action_space import ActionSpace, ActionSpaceError
from collectors.interchange.steps import Encode, Steps
from collectors.untrusted_files import DamagedFileError

UNUSED = 16  # numbers without use, beyond four times those in use, that a source may leave out


def read_actions(
    steps: Sequence[Steps], names: Sequence[str] = (), bounds: Sequence[float] = ()
) -> tuple[dict[str, Any], Encode]:
    """The fields of the spec that say which actions there are, and what turns recorded ones into
    these. `names` are those of the actions or of their parts, or none: then words are in
    alphabetical order, and whole numbers go up to the largest. Other numbers are a Box, between
    `bounds` or the least and the largest of each part. Raises DamagedFileError for actions that no
    game takes.
    """
    first, used = steps[0], [part.actions[part.present] for part in steps]
    kinds = [(actions.shape[1:], actions.dtype.kind in "iuf") for actions in used]
    for part, kind in zip(steps, kinds, strict=True):
        if kind != kinds[0]:
            raise DamagedFileError(f"{part.source} has other kinds of actions than {first.source}")
    found = np.concatenate(used)
    try:
        if not kinds[0][1]:
            return _worded(steps, found, names)
        if found.dtype.kind == "f":
            return _bounded(steps, found, names, bounds)
        if found.ndim > 1:
            return _in_parts(found, names)
        return _numbered(steps, found, names)
    except ActionSpaceError as error:
        raise DamagedFileError(str(error)) from None


def _numbered(
    steps: Sequence[Steps], found: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, Any], Encode]:
    used = np.unique(found)
    least, largest = int(used[0]), int(used[-1])
    if least < 0 or (names and largest >= len(names)):
        wrong = least if least < 0 else largest
        raise DamagedFileError(
            f"{_where(steps, wrong)}: the action {wrong} is none of "
            f"{len(names) or largest + 1} that count from 0"
        )
    if not names and largest >= 4 * len(used) + UNUSED:
        raise DamagedFileError(
            f"{_where(steps, largest)}: an action is {largest}, and only {len(used)} different "
            "ones are used; name all actions with --actions"
        )
    space = ActionSpace.discrete(len(names) or largest + 1)
    return space.spec_fields(names), lambda actions: actions.astype(np.int64)


def _worded(
    steps: Sequence[Steps], found: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, Any], Encode]:
    words = sorted({str(word) for word in found.tolist()})
    labels = list(names) or words
    codes = {word: number for number, word in enumerate(labels)}
    for word in words:
        if word not in codes:
            raise DamagedFileError(
                f"{_where(steps, word)}: the action {word!r:.60} is none of {', '.join(labels)}"
            )
    space = ActionSpace.discrete(len(labels))

    def encode(actions: np.ndarray) -> np.ndarray:
        return np.array([codes[word] for word in actions.tolist()], np.int64)

    return space.spec_fields(labels), encode


def _in_parts(found: np.ndarray, names: Sequence[str]) -> tuple[dict[str, Any], Encode]:
    least, largest = found.min(0), found.max(0)
    if least.min() < 0:
        raise DamagedFileError(f"a part of an action is {least.min()}; parts count from 0")
    counts = tuple((largest + 1).tolist())
    space = ActionSpace("MultiDiscrete", counts, (0,) * len(counts))
    return space.spec_fields(names), lambda actions: actions.astype(np.int64)


def _bounded(
    steps: Sequence[Steps], found: np.ndarray, names: Sequence[str], bounds: Sequence[float]
) -> tuple[dict[str, Any], Encode]:
    rows = found.reshape(len(found), -1).astype(np.float32)
    low, high = rows.min(0), rows.max(0)
    if bounds:
        least, most = map(np.float32, bounds)
        if low.min() < least or high.max() > most:
            wrong = low.min() if low.min() < least else high.max()
            raise DamagedFileError(f"an action is {wrong:g}, beyond {least:g} to {most:g}")
        low, high = np.full_like(low, least), np.full_like(high, most)
    high = np.where(high > low, high, low + 1)  # a part that was never moved
    space = ActionSpace("Box", low=tuple(low.tolist()), high=tuple(high.tolist()))
    return space.spec_fields(names), lambda actions: actions.reshape(len(actions), -1).astype(
        np.float32
    )


def _where(steps: Sequence[Steps], action: object) -> str:
    """The first place at which an action is used."""
    for part in steps:
        rows = np.flatnonzero((part.actions == action) & part.present)
        if len(rows):
            return f"{part.source}, row {part.line + rows[0]}"
    return steps[0].source
