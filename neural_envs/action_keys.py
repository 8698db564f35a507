"""Which keys press which actions of a game, by the names of its actions."""

from __future__ import annotations

import re
from collections.abc import Iterable

from neural_envs.play.keyboard import ARROWS

_IDLE = ("noop", "none", "stay", "nothing")


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
