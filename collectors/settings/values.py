"""Values of settings: what a type is called, and which value a text means."""

from __future__ import annotations

import difflib
import json
import re
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

PLAIN_WORD = re.compile(r"[A-Za-z_./][\w./:@-]*(?<!:)")
RESERVED_WORDS = {"true", "false", "null", "none", "yes", "no", "on", "off", "~", ""}
TRUE_WORDS, FALSE_WORDS = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class SettingsError(ValueError):
    """A setting is unknown, missing or of the wrong type;
    the message names it and what would be right.
    """


class KindOf(NamedTuple):
    """The type of a setting whose value is the name of a kind of dataclass."""

    kinds: Mapping[str, type]


def type_name(hint: Any) -> str:
    """How a type is called in help and errors: ``int``, ``float or none``,
    ``int,int,...``, ``one of a, b``.
    """
    if isinstance(hint, KindOf):
        return "{" + ",".join(hint.kinds) + "}"
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(type_name(argument) for argument in arguments)
    if origin is tuple:
        names = [type_name(argument) for argument in arguments if argument is not Ellipsis]
        return f"{names[0]},{names[0]},..." if Ellipsis in arguments else ",".join(names)
    if origin is typing.Literal:
        return "{" + ",".join(map(str, arguments)) + "}"
    return "none" if hint is type(None) else getattr(hint, "__name__", str(hint))


def convert(name: str, hint: Any, text: str) -> Any:
    """The value of the setting `name`, of type `hint`, that `text` means;
    raises SettingsError that names both.
    """
    if isinstance(hint, KindOf) and text not in hint.kinds:
        near, known = difflib.get_close_matches(text, hint.kinds, 1, 0.0)[0], ", ".join(hint.kinds)
        raise SettingsError(
            f"setting '{name}' got '{text}'; did you mean '{near}'? There are {known}"
        )
    try:
        return _parse_value(text, hint)
    except ValueError:
        raise SettingsError(refusal(name, text, hint)) from None


def check_choice(name: str, value: Any, allowed: Sequence[Any]) -> None:
    """Raises ValueError with all that is allowed where `value` is none of it."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {tuple(allowed)}, got {value!r}")


def refusal(name: str, text: str, hint: Any) -> str:
    """The sentence for a value that the setting `name` of type `hint` cannot have."""
    literal = typing.get_origin(hint) is typing.Literal
    choices = [str(choice) for choice in typing.get_args(hint)] if literal else []
    near = difflib.get_close_matches(text, choices, 1, 0.0)
    remedy = f"; did you mean '{near[0]}'?" if near else ""
    return f"setting '{name}' got '{text}', expected {type_name(hint)}{remedy}"


def value_text(value: Any) -> str:
    """A leaf as YAML 1.1 reads it."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if value is None or isinstance(value, (bool, int)):
        return json.dumps(value)
    if isinstance(value, float):
        return re.sub(r"^(-?\d+)e", r"\1.0e", repr(value))  # YAML 1.1 reads 1e-05 as a word
    text = str(value)
    return (
        text
        if PLAIN_WORD.fullmatch(text) and text.lower() not in RESERVED_WORDS
        else json.dumps(text)
    )


def _parse_value(text: str, hint: Any) -> Any:
    """`text` as a value of type `hint`; raises ValueError."""
    if isinstance(hint, KindOf):
        return text
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _parse_union(text, arguments)
    if origin is tuple:
        parts = [part.strip() for part in text.strip().strip("()[]").split(",") if part.strip()]
        kinds = [arguments[0]] * len(parts) if Ellipsis in arguments else list(arguments)
        return tuple(_parse_value(part, kind) for part, kind in zip(parts, kinds, strict=True))
    if origin is typing.Literal:
        return (
            {str(choice): choice for choice in arguments}[text]
            if text in map(str, arguments)
            else _refuse()
        )
    if hint is bool:
        return text.lower() in TRUE_WORDS or (text.lower() not in FALSE_WORDS and _refuse())
    return hint(text) if hint in (int, float, str, Path) else _refuse()


def _parse_union(text: str, kinds: Sequence[Any]) -> Any:
    if type(None) in kinds and text.lower() in ("none", "null", ""):
        return None
    for kind in kinds:
        try:
            return _parse_value(text, kind)
        except ValueError:
            continue
    return _refuse()


def _refuse() -> typing.NoReturn:
    raise ValueError("not a value of this type")
