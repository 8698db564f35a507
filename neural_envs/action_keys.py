"""Which keys press which actions of a game, by the names of its actions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from collectors.worlds.default_keys import default_keys, resting, values_of
from neural_envs.play.keyboard import ARROWS
from world_models.world_spec import WorldSpec

_IDLE = ("noop", "none", "stay", "nothing")


class Choice(NamedTuple):
    """One thing that a player can press: what it is called, and its action."""

    name: str
    action: Any  # an int, or a tuple of P numbers


def choices_of(spec: WorldSpec, table: Mapping[Any, Any] | None = None) -> list[Choice]:
    """What a player of a game can press: every action, or of actions in parts the one without any
    key, those that move one part to each of its choices or to a bound, whether they have a key or
    not, those that keys move one part by, and those that a single key moves several parts by.
    `table` is {keys: row of P numbers}, that of `keys_of` if None.
    """
    space = spec.actions
    if space.is_discrete:
        numbered = enumerate(spec.action_names, space.starts[0])
        return [Choice(name, action) for action, name in numbered]
    rows = default_keys(space) if table is None else table
    rows = {frozenset(keys): row for keys, row in rows.items()}
    rest = rows.get(frozenset(), resting(space))
    moves: dict[Any, list[tuple[int, Any]]] = {}
    for part in range(space.parts):
        for value in values_of(space, part):
            if value != rest[part]:
                moves[(*rest[:part], value, *rest[part + 1 :])] = [(part, value)]
    for keys, row in rows.items():
        moved = [(part, row[part]) for part in range(space.parts) if row[part] != rest[part]]
        if len(moved) == 1 or (moved and len(keys) == 1):
            moves[row] = moved
    ordered = sorted(moves.items(), key=lambda move: (len(move[1]), move[1]))
    return [Choice("rest", rest), *(Choice(_moved(spec, move), row) for row, move in ordered)]


def _moved(spec: WorldSpec, parts: Iterable[tuple[int, Any]]) -> str:
    """As "2 1", or "0 -1 and 2 1": the name of a part and its number."""
    return " and ".join(f"{spec.action_names[part]} {value:g}" for part, value in parts)


def keys_of(spec: WorldSpec) -> dict[tuple, Any]:
    """The keyboard of a game, {(key, ...): action}; an action is an int or a tuple of P numbers,
    `()` is no key.
    """
    if not spec.actions.is_discrete:
        return default_keys(spec.actions)
    start = spec.actions.starts[0]
    return {keys: start + action for keys, action in keys_to_action(spec.action_names).items()}


def as_chosen(action: Any) -> Any:
    """An action as one that can be compared: an int, or a tuple of P numbers."""
    return tuple(np.asarray(action).tolist()) if np.ndim(action) else int(action)


def as_taken(action: Any, space: Any) -> Any:
    """A chosen action in the type that an environment's action space has."""
    return np.asarray(action, space.dtype) if space.shape else action


def keys_to_action(action_names: tuple[str, ...]) -> dict[tuple, int]:
    """The keyboard for gymnasium.utils.play, {(key, ...): action}.

    Arrows and WASD are directions ("up_left" and "upleft" are two keys at once). Any other action
    has the key of its number, from 10 on a letter that is free: e, t, y, ...
    """
    arrows = dict(ARROWS)
    letters = {"up": "w", "down": "s", "left": "a", "right": "d", "fire": " ", "serve": " "}
    if "up" not in action_names:
        arrows["forward"], letters["forward"] = arrows["up"], letters["up"]
    keys: dict[tuple, int] = {}
    spare = iter("etyuiofghjklzxcbm")
    for action, name in enumerate(action_names):
        words = _key_words(name, letters)
        if re.split("[-_]", name.lower())[0] in _IDLE:
            keys[()] = action  # no key pressed
        elif words:
            keys[tuple(arrows.get(word, letters[word]) for word in words)] = action
            keys[tuple(letters[word] for word in words)] = action
        elif key := str(action) if action < 10 else next(spare, ""):
            keys[(key,)] = action
    return keys


def _key_words(name: str, known: Iterable[str]) -> list[str]:
    """The known words that a name such as "up-left" consists of; none if it has others too."""
    word = "|".join(known)
    text = name.lower()
    return re.findall(word, text) if re.fullmatch(f"({word})([-_]?({word}))*", text) else []
