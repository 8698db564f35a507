"""Keys for a game that names none: one per action or, where an action has parts, some per part."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from collectors.action_space import ActionSpace

RIGHT, LEFT, DOWN, UP = (1 << 30 | code for code in (79, 80, 81, 82))  # as SDL numbers the arrows
# less and more of a part of a Box, or its second and third choice
PAIRS = ((LEFT, RIGHT), (DOWN, UP), ("a", "d"), ("s", "w"))
NUMBERS = "1234567890"
MOST_COMBINATIONS = 512


def default_keys(space: ActionSpace) -> dict[tuple, Any]:
    """{(key, ...): action} as `gymnasium.utils.play` reads it; `()` is no key. Actions are ints
    or tuples of P numbers; keys of different parts may be held together.
    """
    if space.is_discrete:
        first = space.starts[0]
        return {(str(first + i),): first + i for i in range(min(10, space.counts[0]))}
    rest, parts = resting(space), []
    pairs, numbers, combinations = iter(PAIRS), iter(NUMBERS), 1
    for part in range(space.parts):
        values = _deflections(space, part)
        keys = list(next(pairs, ())) if len(values) == 2 else list(itertools.islice(numbers, 9))
        keys = [key for key, _ in zip(keys, values, strict=False)]
        combinations *= 1 + len(keys)
        if combinations > MOST_COMBINATIONS:
            break
        moved = [
            (key, value) for key, value in zip(keys, values, strict=False) if value != rest[part]
        ]
        parts.append([None, *((part, key, value) for key, value in moved)])
    table: dict[tuple, Any] = {}
    for chosen in itertools.product(*parts):
        row = list(rest)
        for part, _, value in filter(None, chosen):
            row[part] = value
        table[tuple(key for _, key, _ in filter(None, chosen))] = tuple(row)
    return table


def resting(space: ActionSpace) -> tuple:
    """The row of P numbers without any key: the number nearest 0 of every part of a Box, else the
    first choice.
    """
    if space.is_box:
        return tuple(space.clip(np.zeros(space.parts, np.float32)).tolist())
    return space.starts


def _deflections(space: ActionSpace, part: int) -> list:
    """What keys can give a part: the bounds of its range, else its choices but the first."""
    if space.is_box:
        return [space.low[part], space.high[part]]
    first = space.starts[part]
    return list(range(first + 1, first + space.counts[part]))
