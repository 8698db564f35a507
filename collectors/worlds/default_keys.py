"""Keys for a game that names none: one per action or, where an action has parts, some per part."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from collectors.action_space import ActionSpace

RIGHT, LEFT, DOWN, UP = (1 << 30 | code for code in (79, 80, 81, 82))  # as SDL numbers the arrows
# less and more of a part of a Box, or its second and third choice
PAIRS = ((LEFT, RIGHT), (DOWN, UP), ("a", "d"), ("s", "w"))
SINGLE = "1234567890etyuiohjklzxbmfgc"  # of all other choices; the commands of `play` come last
MOST_COMBINATIONS = 512


def default_keys(space: ActionSpace) -> dict[tuple, Any]:
    """{(key, ...): action} as `gymnasium.utils.play` reads it; `()` is no key. Actions are ints
    or tuples of P numbers; keys of different parts may be held together.
    """
    if space.is_discrete:
        first, count = space.starts[0], space.counts[0]
        digit = first if 0 <= first and first + count <= 10 else 0
        return {(str(digit + i),): first + i for i in range(min(10, count))}
    rest, keyed, others, pairs = resting(space), {}, {}, iter(PAIRS)
    for part in range(space.parts):
        values = values_of(space, part)
        values = values if space.is_box else values[1:]
        pair = next(pairs, None) if len(values) == 2 else None
        if pair is None:
            others[part] = [value for value in values if value != rest[part]]
        else:
            moved = zip(pair, values, strict=True)
            keyed[part] = [((key,), value) for key, value in moved if value != rest[part]]
    single, share = iter(SINGLE), _share(others.values())
    for part, values in others.items():
        keyed[part] = [((key,), value) for value, key in zip(values[:share], single, strict=False)]
    return held_together(rest, dict(sorted(keyed.items())))


def held_together(
    rest: tuple, moves: Mapping[int, Sequence[tuple[tuple, Any]]]
) -> dict[tuple, tuple]:
    """{keys: row of P numbers} of the moves {part: [(keys, value), ...]}: every one alone, and with
    those of other parts, of two parts, of three, and so on while that are few enough.
    """
    parts = [[(part, *move) for move in own] for part, own in moves.items() if own]
    sizes = [1]  # combinations of moves of so many parts
    for own in parts:
        sizes = [a + len(own) * b for a, b in zip([*sizes, 0], [0, *sizes], strict=True)]
    most = max(i for i in range(len(sizes)) if i < 2 or sum(sizes[: i + 1]) <= MOST_COMBINATIONS)
    table: dict[tuple, tuple] = {}
    for count in range(most + 1):
        for chosen_parts in itertools.combinations(parts, count):
            for chosen in itertools.product(*chosen_parts):
                row = list(rest)
                for part, _, value in chosen:
                    row[part] = value
                table[tuple(key for _, keys, _ in chosen for key in keys)] = tuple(row)
    return table


def resting(space: ActionSpace) -> tuple:
    """The row of P numbers without any key: the number nearest 0 of every part of a Box, else the
    first choice.
    """
    if space.is_box:
        return tuple(space.clip(np.zeros(space.parts, np.float32)).tolist())
    return space.starts


def values_of(space: ActionSpace, part: int) -> list:
    """What a player can give a part: the bounds of a Box, else its choices."""
    if space.is_box:
        return [space.low[part], space.high[part]]
    return list(range(space.starts[part], space.starts[part] + space.counts[part]))


def _share(needs: Collection[Sequence]) -> int:
    """How many of the single keys a part has at most, so that they are enough for every part."""
    counts = range(1, len(SINGLE) + 1)
    enough = (n for n in counts if sum(min(n, len(one)) for one in needs) <= len(SINGLE))
    return max(enough, default=1)
