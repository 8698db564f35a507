"""The messages of the page and the requests of programs, checked by hand: JSON, a message with a
`type`, a request.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, fields
from typing import Any

from neural_envs.play.keyboard import ARROWS, ENTER
from neural_envs.web.field_checks import MessageError, brief, flag, letters, number, whole

MESSAGE_BYTES = 4096  # longest message of a page
REQUEST_BYTES = 65_536  # longest body of /api/generate
DREAM_BYTES = 4_000_000  # longest .dream file that is accepted
MAX_ACTIONS = 256  # of one request
MAX_PARTS = 256  # of one action
MOST_NUMBER = 2**32  # of an action that is one number: beyond every start, and every choice from it
MOST_BUTTONS = 4096  # of actions on the page: more than choices and keys of one's own come to
MAX_SAMPLER_STEPS = 32  # per frame
MAX_GUIDANCE = 8.0
MAX_TEMPERATURE = 10.0
MIN_SPEED, MAX_SPEED = 0.1, 8.0  # times the world's own frame rate
MAX_SEED = 2**31 - 1
MOST_CODE = 0xFFFF  # of a character that browsers send as one


@dataclass(frozen=True)
class ChooseBundle:
    """Another dream: the bundle of this name."""

    bundle: str


@dataclass(frozen=True)
class Key:
    """A key went down or up; `key` as browsers call it: "a", " ", "ArrowUp"."""

    key: str
    down: bool


@dataclass(frozen=True)
class Action:
    """The button of an action on the page went down or up."""

    action: int
    down: bool


@dataclass(frozen=True)
class ReleaseKeys:
    """The page lost the keyboard: no key is down any more."""


@dataclass(frozen=True)
class NewGame:
    """A new game, from this seed where there is one."""

    seed: int | None = None


@dataclass(frozen=True)
class Pause:
    """Stop the clock or let it go on."""

    on: bool


@dataclass(frozen=True)
class Step:
    """Pause, and go on by one step."""


@dataclass(frozen=True)
class ChoosePlayer:
    """Who plays: "you", or the name of a policy."""

    name: str


@dataclass(frozen=True)
class ShowViews:
    """Which views there are beside the dream's; the difference needs the real game."""

    real: bool
    difference: bool


@dataclass(frozen=True)
class Settings:
    """The sliders: denoising steps, guidance, temperature (None: the bundle's own), and times the
    world's own frame rate.
    """

    sampler_steps: int | None
    guidance: float | None
    speed: float
    temperature: float | None = None


@dataclass(frozen=True)
class Resync:
    """The dream goes on from what the real game shows."""


@dataclass(frozen=True)
class TakeSnapshot:
    """Keep the game as it is now."""


@dataclass(frozen=True)
class RestoreSnapshot:
    """Go back to a snapshot."""

    snapshot: int


@dataclass(frozen=True)
class DiscardSnapshot:
    """Throw a snapshot away."""

    snapshot: int


@dataclass(frozen=True)
class Acknowledge:
    """The page has received the binary message of this number."""

    number: int


@dataclass(frozen=True)
class Generate:
    """The body of /api/generate: a dream from a seed under given actions.

    One of world and bundle, or neither.
    """

    actions: tuple[Any, ...]  # whole numbers or, of actions in parts, tuples of numbers
    world: str = ""
    bundle: str = ""
    seed: int = 0
    sampler_steps: int | None = None
    guidance: float | None = None
    temperature: float | None = None


MESSAGES: dict[str, type] = {
    "choose": ChooseBundle,
    "key": Key,
    "action": Action,
    "release": ReleaseKeys,
    "new": NewGame,
    "pause": Pause,
    "step": Step,
    "player": ChoosePlayer,
    "views": ShowViews,
    "settings": Settings,
    "resync": Resync,
    "snapshot": TakeSnapshot,
    "restore": RestoreSnapshot,
    "discard": DiscardSnapshot,
    "acknowledge": Acknowledge,
}


def _taken(name: str, value: Any) -> Any:
    """One action: a whole number, or a row of numbers as a tuple."""
    if not isinstance(value, list):
        return whole(-MOST_NUMBER, MOST_NUMBER)(name, value)
    if not 0 < len(value) <= MAX_PARTS or not all(type(part) in (int, float) for part in value):
        raise MessageError(f"'{name}' is an action of 1 to {MAX_PARTS} numbers")
    return tuple(value)


def _actions(name: str, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_ACTIONS:
        size = f"a list of {len(value)}" if isinstance(value, list) else brief(value)
        raise MessageError(f"'{name}' is a list of 1 to {MAX_ACTIONS} actions, not {size}")
    return tuple(_taken(f"{name}[{i}]", action) for i, action in enumerate(value))


# A field of one name means the same in every message.
CHECKS: dict[str, Callable[[str, Any], Any]] = {
    "bundle": letters(200),
    "world": letters(40),
    "name": letters(40),
    "key": letters(20),
    "down": flag,
    "on": flag,
    "real": flag,
    "difference": flag,
    "action": whole(0, MOST_BUTTONS),
    "actions": _actions,
    "seed": whole(0, MAX_SEED, optional=True),
    "sampler_steps": whole(1, MAX_SAMPLER_STEPS, optional=True),
    "guidance": number(0, MAX_GUIDANCE, optional=True),
    "temperature": number(0, MAX_TEMPERATURE, optional=True),
    "speed": number(MIN_SPEED, MAX_SPEED),
    "snapshot": whole(0, 10**9),
    "number": whole(0, 10**12),
}


def read_message(text: str) -> Any:
    """The message that `text` is, one of `MESSAGES`; MessageError says what is wrong with it."""
    if len(text) > MESSAGE_BYTES:
        raise MessageError(
            f"a message has at most {MESSAGE_BYTES} characters, this one {len(text)}"
        )
    values = _object(text, "a message")
    kind = values.pop("type", None)
    if not isinstance(kind, str) or kind not in MESSAGES:
        raise MessageError(
            f"a message has a 'type', one of {', '.join(MESSAGES)}, not {brief(kind)}"
        )
    return _filled(MESSAGES[kind], values, f"the message '{kind}'")


def read_generate(text: str) -> Generate:
    """The request that the body of /api/generate is; MessageError says what is wrong with it."""
    request = _filled(Generate, _object(text, "the request"), "the request")
    if request.seed is None:
        raise MessageError(f"'seed' is a whole number from 0 to {MAX_SEED}; leave it out for 0")
    if request.world and request.bundle:
        raise MessageError("the request names a 'world' or a 'bundle', not both")
    return request


def key_code(key: str) -> int | None:
    """The code, as in `Keys`, of a key as browsers call it; None for one that no game uses."""
    name = key.lower()
    if name == "enter":
        return ENTER
    return ord(name) if len(name) == 1 else ARROWS.get(name.removeprefix("arrow"))


def key_names(table: Iterable[Iterable[int]]) -> list[str]:
    """What browsers call the keys of some combinations of codes, sorted, without arrows."""
    codes = {code for keys in table for code in keys}
    characters = {chr(code) for code in codes if 32 <= code <= MOST_CODE}
    return sorted(characters | ({"Enter"} if ENTER in codes else set()))


def _object(text: str, what: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise MessageError(f"{what} is JSON, and this is not ({str(error)[:80]})") from None
    if not isinstance(values, dict):
        raise MessageError(f"{what} is a JSON object, not {brief(values)}")
    return values


def _filled(kind: type, values: dict[str, Any], what: str) -> Any:
    """The dataclass `kind` with these values, every one checked."""
    known = {field.name: field for field in fields(kind)}
    unknown = sorted(set(values) - set(known))
    if unknown:
        raise MessageError(
            f"{what} has no '{unknown[0][:40]}'; it has "
            f"{', '.join(known) or 'nothing but its type'}"
        )
    missing = [
        name for name, field in known.items() if name not in values and field.default is MISSING
    ]
    if missing:
        raise MessageError(f"{what} lacks '{missing[0]}'")
    return kind(**{name: CHECKS[name](name, value) for name, value in values.items()})
