"""Keys of one's own, of `play`, `record` and `serve`: `--keys fire=space,up=w`, or a JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from collectors.settings.parse import setting
from collectors.worlds.default_keys import held_together, resting
from neural_envs.action_keys import choices_of, keys_of
from neural_envs.play.keyboard import ARROWS
from world_models.world_spec import WorldSpec

NAMED = {**ARROWS, "space": " ", "enter": "\r", "comma": ",", "equals": "=", "plus": "+"}
Pressed = tuple[str | int, ...]  # letters or key codes


class KeysError(ValueError):
    """Keys that cannot be used; the message says why."""


def keys_setting(which: str = "") -> Any:
    """The setting `keys` of a verb; `which` says of which games, where there are several."""
    text = "of your own: ACTION=KEY, as fire=space,up=w, or FILE.json of {KEY: ACTION}"
    return setting((), text + which)


def own_keys(
    words: Sequence[str], spec: WorldSpec, usual: Mapping[tuple, Any] | None = None
) -> dict[tuple, Any]:
    """The keyboard of a game with keys of one's own, {(key, ...): action} as `keys_of` has it.

    A word is ACTION=KEY, with the name of an action, or of a part of one and its number ("2 1"),
    as `choices_of` calls it; or a JSON file {KEY: ACTION}, where ACTION is such a name, a number,
    or a row of numbers. KEY is a character, a word of `NAMED`, or several joined by "+"; "" is no
    key. An action that is named loses its `usual` keys (those of `keys_of` if None), the others
    keep theirs; an action in parts has no other keys, and keys of different parts may be held
    together. Raises KeysError.
    """
    given: dict[Pressed, Any] = {}
    for word in words:
        is_file = word.lower().endswith(".json")
        pairs = _of_file(Path(word)) if is_file else [_of_word(word)]
        for keys, action in pairs:
            given[_pressed(keys)] = _action(action, spec)
    if spec.actions.is_discrete:
        taken, own = set(given.values()), [set(keys) for keys in given]
        rest = (keys_of(spec) if usual is None else usual).items()
        kept = {keys: act for keys, act in rest if act not in taken and set(keys) not in own}
        return kept | given
    return _combined({(): resting(spec.actions)} | given)


def _of_word(word: str) -> tuple[str, str]:
    action, equals, keys = word.rpartition("=")
    if not equals or not keys or not action:
        raise KeysError(f"keys are given as ACTION=KEY or as a FILE.json, not as {word!r}")
    return keys, action


def _of_file(path: Path) -> list[tuple[str, Any]]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise KeysError(f"the keys in {path} cannot be read: {error}") from error
    if not isinstance(found, Mapping) or not found:
        raise KeysError(f'{path} has no keys; write them as {{"space": "fire", "a": [-1, 0]}}')
    return list(found.items())


def _pressed(text: str) -> Pressed:
    """The keys of "left+space"; () for ""."""
    keys = []
    for word in filter(None, [part.strip() for part in text.split("+")]):
        key = NAMED.get(word.lower(), word.lower())
        if isinstance(key, str) and len(key) > 1:
            raise KeysError(f"there is no key {word!r}; keys are characters, {', '.join(NAMED)}")
        keys.append(key)
    return tuple(keys)


def _action(value: Any, spec: WorldSpec) -> Any:
    """An action by its name, its number or its row, as `choices_of` has it."""
    choices, space = choices_of(spec), spec.actions
    if isinstance(value, str):
        found = {choice.name: choice.action for choice in choices}
        if value not in found:
            raise KeysError(f"{spec.world} has no action {value!r}; there are {', '.join(found)}")
        return found[value]
    numbers = value if isinstance(value, list) else [value]
    kinds = (int, float) if space.is_box else (int,)
    row = np.asarray(value if all(type(one) in kinds for one in numbers) else ())
    if row.shape != space.row or not space.holds(row):
        raise KeysError(f"{value!r} is no action of {spec.world}, whose actions are {space}")
    return int(row) if space.is_discrete else tuple(row.astype(space.dtype).tolist())


def _combined(given: Mapping[Pressed, Any]) -> dict[tuple, Any]:
    """The table with the keys of different parts held together as well."""
    rest = given[()]
    moves: dict[int, list[tuple[Pressed, Any]]] = {}
    for keys, row in given.items():
        changed = [part for part, value in enumerate(row) if value != rest[part]]
        if len(changed) == 1:
            moves.setdefault(changed[0], []).append((keys, row[changed[0]]))
    return held_together(rest, moves) | dict(given)
