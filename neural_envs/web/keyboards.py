"""The keys of the page's games: keys of one's own for the bundles that have their actions, and keys
that only the page's buttons press.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from collectors.worlds.table import WORLDS
from neural_envs.action_keys import Choice, choices_of
from neural_envs.own_keys import KeysError, own_keys
from neural_envs.play.keyboard import ARROWS, ENTER, Keys
from neural_envs.play.player_view import Dream
from neural_envs.web.protocol import MOST_CODE
from world_models.world_spec import WorldSpec


def page_keys(
    dream: Dream, own: Mapping[tuple, Any] | None = None
) -> tuple[Keys, list[Choice], str]:
    """The keys of a dream, by a table of one's own where there is one, and its `buttons`."""
    keys = Keys.of_dream(dream) if own is None else Keys(own)
    return keys, *buttons(keys, dream.simulator.model.spec, own is not None)


def buttons(keys: Keys, spec: WorldSpec, own: bool = False) -> tuple[list[Choice], str]:
    """The choices for which the page has buttons, each of which has a key from now on; and what the
    keys do in words, where they are one's own or not those of a known world.
    """
    choices = choices_of(spec, keys.table)
    described = keys.described(choices) if own or spec.world not in WORLDS else ""
    with_buttons(keys, choices)
    return choices, described


def keyboards(
    words: Sequence[str], specs: Mapping[str, WorldSpec], needed: Collection[str]
) -> dict[str, dict[tuple, Any]]:
    """Keyboards as of `own_keys` by the names of bundles. `specs` are the games of all bundles; the
    keys are those of the bundles `needed` or, where there are none, of every one that has their
    actions. Raises KeysError where one of those `needed`, or none of all, has them, and for a key
    that no page sends.
    """
    found: dict[str, dict[tuple, Any]] = {}
    errors: list[KeysError] = []
    for name in needed or specs:
        try:
            found[name] = own_keys(words, specs[name])
        except KeysError as error:
            errors.append(error)
    if errors and (needed or not found):
        raise errors[0]
    for table in found.values():
        check_sent(table)
    return found


def check_sent(table: Mapping[tuple, Any]) -> None:
    """Raises KeysError for a key that a browser does not send as a character, an arrow or enter."""
    for key in {key for keys in table for key in keys}:
        code = ord(key) if isinstance(key, str) else key
        known = code in (*ARROWS.values(), ENTER)
        if not known and (code > MOST_CODE or not chr(code).isprintable()):
            raise KeysError(f"the page cannot tell the key {chr(code)!r}; choose another one")


def with_buttons(keys: Keys, choices: Sequence[Choice]) -> None:
    """Gives every choice without a key one that only its button on the page presses."""
    pressed = set(keys.table.values())
    for number, choice in enumerate(choices):
        if choice.action not in pressed:
            keys.table[frozenset({-1 - number})] = choice.action
