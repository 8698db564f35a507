"""What the recorded actions of a source mean: which game takes them, and as which numbers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from collectors.action_space import ActionSpace, ActionSpaceError
from collectors.interchange.steps import Encode, Steps
from collectors.untrusted_files import DamagedFileError

UNUSED = 16  # numbers without use, beyond four times those in use, that a source may leave out


def read_actions(
    steps: Sequence[Steps],
    names: Sequence[str] = (),
    bounds: Sequence[float] = (),
    space: ActionSpace | None = None,
) -> tuple[dict[str, Any], Encode]:
    """The fields of the spec that say which actions there are, and what turns recorded ones into
    these. `names` are those of the actions or of their parts, or none: then words are in
    alphabetical order, and whole numbers go up to the largest. Other numbers are a Box, between
    `bounds` (one pair for all parts, or one for each) or the least and the largest of each part.
    Where `space` is given, it is that of the game. Raises DamagedFileError for actions that no game
    takes, or that are not in it.
    """
    found, are_numbers = _all_alike(steps)
    try:
        if space is not None:
            return _of_space(steps, space, names)
        if bounds and (not are_numbers or found.dtype.kind != "f"):
            raise DamagedFileError(
                "--bounds is for actions that are numbers with a point; say another space with "
                "--action-space"
            )
        if not are_numbers:
            return _worded(steps, found, names)
        if found.dtype.kind == "f":
            return _bounded(steps, found, names, bounds)
        if found.ndim > 1:
            return _in_parts(found, names)
        return _numbered(steps, found, names)
    except ActionSpaceError as error:
        raise DamagedFileError(str(error)) from None


def _all_alike(steps: Sequence[Steps]) -> tuple[np.ndarray, bool]:
    """The actions of all files, and whether they are numbers. Raises DamagedFileError where files
    have other kinds than the first one.
    """
    used = [part.actions[part.present] for part in steps]
    kinds = [(actions.shape[1:], actions.dtype.kind in "iuf") for actions in used]
    for part, kind in zip(steps, kinds, strict=True):
        if kind != kinds[0]:
            raise DamagedFileError(
                f"{part.source} has other kinds of actions than {steps[0].source}"
            )
    return np.concatenate(used), kinds[0][1]


def _numbered(
    steps: Sequence[Steps], found: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, Any], Encode]:
    used = np.unique(found)
    least, largest = int(used[0]), int(used[-1])
    if least < 0 or (names and largest >= len(names)):
        wrong = least if least < 0 else largest
        space = json.dumps({"type": "Discrete", "n": largest - least + 1, "start": least})
        remedy = "" if names else f"; where they count from {least}: --action-space '{space}'"
        raise DamagedFileError(
            f"{_where(steps, wrong)}: the action {wrong} is none of "
            f"{len(names) or largest + 1} that count from 0{remedy}"
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
    return named(space, names), lambda actions: actions.astype(np.int64)


def _of_space(
    steps: Sequence[Steps], space: ActionSpace, names: Sequence[str]
) -> tuple[dict[str, Any], Encode]:
    """Actions of a space that is known, as numbers or, of a Discrete, as names too."""
    fields = named(space, names)
    codes = {name: number for number, name in enumerate(fields["action_names"])}

    def encode(actions: np.ndarray) -> np.ndarray:
        if actions.dtype == object and space.is_discrete:
            words = [codes.get(str(word), -1) for word in actions.tolist()]
            return np.array(words, np.int64) + space.starts[0]
        return actions.reshape(len(actions), *space.row).astype(space.dtype)

    for part in steps:
        used, rows = part.actions[part.present], np.flatnonzero(part.present)
        fits = used.dtype.kind in ("iuf" if space.is_box else "iu")
        fits |= used.dtype == object and space.is_discrete
        if not fits or np.prod(used.shape[1:]) != space.parts:
            raise DamagedFileError(
                f"{part.source} has actions like {used[:1].tolist()!s:.60}, which are none of "
                f"{space}"
            )
        codes_used = encode(used)
        if not space.holds(codes_used):
            wrong = next(n for n, code in enumerate(codes_used) if not space.holds(code))
            raise DamagedFileError(
                f"{part.source}, row {part.line + rows[wrong]}: the action {used[wrong]!s:.60} is "
                f"not in {space}"
            )
    return fields, encode


def named(space: ActionSpace, names: Sequence[str]) -> dict[str, Any]:
    """The fields of a spec for this space and these names, or none. Raises DamagedFileError for
    another number of names.
    """
    fields = space.spec_fields(names)
    expected = len(fields["action_names"])
    if names and len(names) != expected:
        what = "actions" if space.is_discrete else "parts of an action"
        raise DamagedFileError(f"--actions has {len(names)} names, and there are {expected} {what}")
    return fields


def between(bounds: Sequence[float], parts: int) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest number of each part: from one pair for all, or one for each.
    Raises DamagedFileError for another number of pairs, and for bounds the wrong way round.
    """
    pairs = np.array(bounds, np.float32).reshape(-1, 2)
    if len(pairs) not in (1, parts):
        raise DamagedFileError(
            f"--bounds has {len(pairs)} pairs, and an action has {parts} parts; give one for all, "
            "or one for each"
        )
    low, high = np.broadcast_to(pairs, (parts, 2)).T
    if not (low < high).all():
        raise DamagedFileError("--bounds are pairs of a lower and an upper bound, as --bounds=-1,1")
    return low, high


def _bounded(
    steps: Sequence[Steps], found: np.ndarray, names: Sequence[str], bounds: Sequence[float]
) -> tuple[dict[str, Any], Encode]:
    rows = found.reshape(len(found), -1).astype(np.float32)
    low, high = rows.min(0), rows.max(0)
    if bounds:
        least, most = between(bounds, rows.shape[1])
        for part in np.flatnonzero((low < least) | (high > most)):
            wrong = low[part] if low[part] < least[part] else high[part]
            raise DamagedFileError(
                f"an action is {wrong:g} in part {part}, beyond {least[part]:g} to {most[part]:g}"
            )
        low, high = least, most
    else:
        high = np.where(high > low, high, low + 1)  # a part that was never moved
    space = ActionSpace("Box", low=tuple(low.tolist()), high=tuple(high.tolist()))
    return named(space, names), lambda actions: actions.reshape(len(actions), -1).astype(np.float32)


def _where(steps: Sequence[Steps], action: object) -> str:
    """The first place at which an action is used."""
    for part in steps:
        rows = np.flatnonzero((part.actions == action) & part.present)
        if len(rows):
            return f"{part.source}, row {part.line + rows[0]}"
    return steps[0].source
