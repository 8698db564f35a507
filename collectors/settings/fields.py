"""The fields of a dataclass of settings: defaults, help, ranges; as a list, as a dictionary.

A field whose value is a dataclass of one of several kinds is ``setting(kinds={"edm": EDM, ...},
factory=EDM)``; written down, the name of the kind stands first under ``type``.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar

from collectors.settings.values import KindOf, refusal, type_name

Config = TypeVar("Config")
REQUIRED: Any = typing.cast(Any, dataclasses.MISSING)


def setting(
    default: Any = REQUIRED,
    help: str = "",
    *,
    factory: Callable[[], Any] | None = None,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    kinds: Mapping[str, type] | None = None,
) -> Any:
    """A field of a dataclass with a line for ``--help``;
    without `default` and `factory` it is required.

    `least` and `most` are allowed values themselves, `above` is not; `check_settings` checks them.
    """
    limits = {"least": least, "most": most, "above": above, "kinds": kinds}
    metadata = {
        "help": help,
        **{name: value for name, value in limits.items() if value is not None},
    }
    if factory is not None:
        return dataclasses.field(default_factory=factory, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def check_settings(config: Any) -> None:
    """For a dataclass's ``__post_init__``: raises ValueError that names the first number outside
    its range or the first value that its Literal does not list, and the nearest that is allowed.

    nan is outside of every range.
    """
    hints = typing.get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value, limits, hint = getattr(config, field.name), field.metadata, hints[field.name]
        if typing.get_origin(hint) is typing.Literal and value not in typing.get_args(hint):
            raise ValueError(refusal(field.name, str(value), hint))
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        above, least, most = (limits.get(name) for name in ("above", "least", "most"))
        start = f"setting '{field.name}' got {value}, expected"
        if above is not None and not value > above:
            raise ValueError(f"{start} more than {above}")
        if least is not None and not value >= least:
            expected = f"{least} or more" if most is None else f"{least} to {most}"
            raise ValueError(f"{start} {expected}; the nearest possible value is {least}")
        if most is not None and not value <= most:
            raise ValueError(f"{start} at most {most}; the nearest possible value is {most}")


class Setting(NamedTuple):
    """One leaf of a (nested) dataclass; `name` is dotted,
    `default` is ``REQUIRED`` if there is none.
    """

    name: str
    type: Any
    default: Any
    help: str


def list_settings(
    source: Any, prefix: str = "", chosen: Mapping[str, Any] | None = None
) -> list[Setting]:
    """All leaves of `source`, a dataclass or an instance
    of one (whose values then are the defaults).

    `chosen` are instances by dotted name to stand in place of those of `source`. A field of several
    kinds is listed itself, with a ``KindOf`` for its type, before its leaves.
    """
    found: list[Setting] = []
    for field, hint, default in fields_of(source):
        name, help_line = prefix + field.name, field.metadata.get("help", "")
        nested = nested_dataclass(hint, (chosen or {}).get(name, default))
        if nested is None:
            found.append(Setting(name, hint, default, help_line))
            continue
        kinds = field.metadata.get("kinds", {})
        if kinds:
            found.append(Setting(name, KindOf(kinds), _kind_name(kinds, nested), help_line))
        found += list_settings(nested, f"{name}.", chosen)
    return found


def fields_of(source: Any) -> list[tuple[dataclasses.Field, Any, Any]]:
    """(field, resolved type, default) of every field that the constructor takes; an instance's
    values are its defaults.
    """
    hints = typing.get_type_hints(source if isinstance(source, type) else type(source))
    rows = []
    for field in dataclasses.fields(source):
        factory: Any = field.default_factory
        if not isinstance(source, type):
            default = getattr(source, field.name)
        else:
            default = field.default if factory is REQUIRED else factory()
        if field.init:
            rows.append((field, hints[field.name], default))
    return rows


def nested_dataclass(hint: Any, default: Any) -> Any:
    """The nested dataclass (an instance where a default gives one), or None for a leaf."""
    if dataclasses.is_dataclass(default) and not isinstance(default, type):
        return default
    return hint if default is REQUIRED and dataclasses.is_dataclass(hint) else None


def to_dict(config: Any) -> dict[str, Any]:
    """A (nested) dataclass instance as a dictionary; the kind of a field of several kinds is its
    first entry, ``{"type": "edm", ...}``.
    """
    values = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            kind = _kind_name(field.metadata.get("kinds", {}), value)
            value = {**({"type": kind} if kind else {}), **to_dict(value)}
        values[field.name] = value
    return values


def from_dict(config_class: type[Config], values: Mapping[str, Any]) -> Config:
    """Inverse of `to_dict`, also after JSON; ValueError names unknown
    and missing keys and unknown kinds.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{config_class.__name__} is a table of settings, not {values!r:.40}")
    rows = fields_of(config_class)
    names = {field.name for field, _, _ in rows}
    unknown, missing = set(values) - names, names - set(values)
    if unknown or missing:
        raise ValueError(
            f"{config_class.__name__}: unknown keys {sorted(unknown)}, missing keys "
            f"{sorted(missing)}"
        )
    arguments = {}
    for field, hint, default in rows:
        value, nested = values[field.name], nested_dataclass(hint, default)
        if "kinds" in field.metadata:
            value = _from_kind(field.metadata["kinds"], field.name, value)
        elif nested is not None:
            value = from_dict(nested if isinstance(nested, type) else type(nested), value)
        else:
            value = tuple(value) if isinstance(value, list) else value
            if not is_of_type(value, hint):
                raise ValueError(
                    f"{config_class.__name__}: {field.name} is {value!r:.40}, expected "
                    f"{type_name(hint)}"
                )
        arguments[field.name] = value
    return config_class(**arguments)


def is_of_type(value: Any, hint: Any) -> bool:
    """Whether a stored value is what the field's type says; a float may be whole, and is finite."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(is_of_type(value, one) for one in arguments)
    if origin is typing.Literal:
        return any(type(value) is type(choice) and value == choice for choice in arguments)
    if origin is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = [arguments[0]] * len(value) if Ellipsis in arguments else list(arguments)
        return len(kinds) == len(value) and all(map(is_of_type, value, kinds))
    if hint is float:
        return type(value) in (int, float) and abs(value) < math.inf
    if hint in (int, bool, str, type(None)):
        return type(value) is hint if hint is not type(None) else value is None
    return True


def _from_kind(kinds: Mapping[str, type], name: str, values: Any) -> Any:
    kind = values.get("type") if isinstance(values, Mapping) else None
    if not isinstance(kind, str) or kind not in kinds:
        raise ValueError(f"{name} is of type {kind!r}; this package knows {sorted(kinds)}")
    return from_dict(kinds[kind], {key: v for key, v in values.items() if key != "type"})


def _kind_name(kinds: Mapping[str, type], value: Any) -> str | None:
    return next((name for name, kind in kinds.items() if kind is type(value)), None)
