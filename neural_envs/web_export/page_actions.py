"""The actions of a game as the exported page has them: keys, buttons, and the keys in words"""

from __future__ import annotations

from typing import Any

from neural_envs.action_keys import keys_of
from neural_envs.play.keyboard import ARROWS, Keys
from neural_envs.web.keyboards import buttons
from world_models.world_spec import WorldSpec

KEY_NAMES = {code: f"Arrow{name.capitalize()}" for name, code in ARROWS.items()}  # as browsers say


def page_actions(spec: WorldSpec) -> dict[str, Any]:
    """`keys`: rows as of `key_rows`. `choices`: what the page has buttons for, a name and an action
    each. `described`: what the keys do, "" in a known world. Actions are as the game takes them, a
    number or a row of P numbers.
    """
    keys = Keys(keys_of(spec))
    choices, described = buttons(keys, spec)
    listed = [choice._asdict() for choice in choices]
    return {"keys": key_rows(keys), "choices": listed, "described": described}


def key_rows(keys: Keys) -> list[dict[str, Any]]:
    """Keys held together, by the names of browsers, and their action; no keys at all is the idle
    action. What only a button presses has a key that no browser sends.
    """
    return [
        {"keys": sorted(map(_key_name, pressed)), "action": action}
        for pressed, action in keys.table.items()
    ]


def _key_name(code: int) -> str:
    if code < 0:
        return f"button {-1 - code}"
    return KEY_NAMES.get(code, chr(code % 2**20))
