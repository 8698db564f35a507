"""What held and tapped keys mean: from key codes to actions, without pygame."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neural_envs.action_keys import Choice
    from neural_envs.play.player_view import Dream

QUEUED_TAPS = 2  # quick taps kept for the next steps, so that a fast double turn is not lost
ARROWS = {  # the key codes of SDL, and so of pygame
    "right": 1 << 30 | 79,
    "left": 1 << 30 | 80,
    "down": 1 << 30 | 81,
    "up": 1 << 30 | 82,
}
SPACE, ENTER = ord(" "), ord("\r")
WORDS = {code: name for name, code in ARROWS.items()} | {SPACE: "space", ENTER: "enter"}
LETTERS = frozenset(range(ord("a"), ord("z") + 1))


class Keys:
    """From held keys to actions, by a table ``{(key, ...): action}`` as of `get_keys_to_action`.

    Keys are letters or key codes. The latest key counts first; a tap shorter than a step still acts
    once. ``()`` in the table is the action of no keys; without it the last action goes on (Snake:
    the last direction). Keys `reserved` for commands act only where an action has no others; where
    one of WASD is reserved, so are all letters.
    """

    def __init__(self, table: Mapping[Any, Any], reserved: frozenset[int] = frozenset()):
        combinations = {_key_codes(keys): action for keys, action in table.items()}
        if any(keys & reserved & LETTERS for keys in combinations):
            reserved = reserved | LETTERS
        free = {keys: action for keys, action in combinations.items() if not keys & reserved}
        self.table = free | {
            keys: act for keys, act in combinations.items() if act not in free.values()
        }
        self.pressed: list[int] = []
        self.taps: deque[int] = deque(maxlen=QUEUED_TAPS)
        self.last: Any = None

    @classmethod
    def of_dream(cls, dream: Dream, reserved: frozenset[int] = frozenset()) -> Keys:
        """The keys of a dream, and its idle action for no keys if it has one."""
        idle = {} if dream.idle_action is None else {(): dream.idle_action}
        return cls(dream.get_keys_to_action() | idle, reserved)

    def knows(self, key: int) -> bool:
        """Whether the key takes part in an action."""
        return any(key in keys for keys in self.table)

    def described(self, choices: Sequence[Choice]) -> str:
        """What the keys do, in words: "w: up, 4: pickup", one way per action.

        Letters come before arrows where an action has both.
        """
        names = {action: name for name, action in choices}
        lines: dict[Any, str] = {}
        for keys in sorted(self.table, key=lambda keys: bool(keys & WORDS.keys() - {SPACE})):
            word = "+".join(WORDS.get(key) or chr(key) for key in sorted(keys, reverse=True))
            lines.setdefault(self.table[keys], word or "no key")
        return ", ".join(f"{lines[act]}: {name}" for act, name in names.items() if act in lines)

    def press(self, key: int) -> bool:
        """The key `key` went down; False for a key without a meaning."""
        if not self.knows(key):
            return False
        self.pressed = [*(other for other in self.pressed if other != key), key]
        action = self._held_action()
        if action is not None:
            self.taps.append(action)
        return True

    def release(self, key: int) -> None:
        """The key `key` went up."""
        self.pressed = [other for other in self.pressed if other != key]

    def set_down(self, key: int, down: bool) -> None:
        """The key `key` went down or up."""
        if down:
            self.press(key)
        else:
            self.release(key)

    @property
    def active(self) -> bool:
        """Whether there is an action for the next step: of a key, or of pressing none."""
        return bool(self.pressed or self.taps or self.last is not None or frozenset() in self.table)

    def clear(self) -> None:
        """A new game: nothing pressed earlier acts in it, except a key that is still held."""
        self.taps.clear()
        self.last = None

    def next_action(self) -> Any:
        """The action of the next step; None while no key has been pressed yet."""
        pressed = self._held_action()
        if self.taps:
            self.last = self.taps.popleft()
        elif pressed is not None:
            self.last = pressed
        elif frozenset() in self.table:
            self.last = self.table[frozenset()]
        return self.last

    def _held_action(self) -> Any:
        pressed = set(self.pressed)
        fitting = [keys for keys in self.table if keys and keys <= pressed]
        best = max(
            fitting, key=lambda keys: (len(keys), max(map(self.pressed.index, keys))), default=None
        )
        return None if best is None else self.table[best]


def _key_codes(keys: Any) -> frozenset[int]:
    """``"wd"``, ``("w", "d")``, ``(119, 100)`` or one code -> the set of key codes."""
    parts = [keys] if isinstance(keys, int) else list(keys)
    return frozenset(ord(part) if isinstance(part, str) else int(part) for part in parts)
