"""Command-line settings: a dataclass is the whole definition of a command's settings.

``parse(Config, argv, prog)`` understands ``--name value``, ``--name=value``, ``--flag`` / ``--no-flag``, ``name=value``
and, for nested dataclasses, ``a.b=c`` (or ``--a.b c``); dashes and underscores are the same. A field with a dataclass
of one of several kinds, told by ``metadata={"kinds": {"edm": EDM, ...}}``, also takes the name of a kind, ``a.b=edm``,
for that one's defaults. ``--cfg`` prints the resolved settings, ``--help`` lists them. Nothing is guessed: an unknown
name, a value of the wrong type or a missing setting ends the command with exit code 2 and one sentence.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import sys
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from collectors.settings_text import as_text, value_text

Config = TypeVar("Config")
REQUIRED = dataclasses.MISSING
OVERRIDE = re.compile(r"[A-Za-z_][\w.-]*=")
TRUE_WORDS, FALSE_WORDS = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}


class SettingsError(ValueError):
    """A setting is unknown, missing or of the wrong type; the message names it and what would be right."""


class Setting(NamedTuple):
    """One leaf of the (nested) dataclass; `name` is dotted, `default` is ``REQUIRED`` if there is none."""

    name: str
    type: Any
    default: Any
    help: str


def list_settings(source: Any, prefix: str = "", chosen: Mapping[str, Any] | None = None) -> list[Setting]:
    """All leaves of `source`, a dataclass or an instance of one (whose values then are the defaults).

    `chosen` are instances by dotted name to stand in place of those of `source`. A field of several kinds is listed
    itself, with a ``KindOf`` for its type, before its leaves.
    """
    found: list[Setting] = []
    for field, hint, default in _fields(source):
        nested = _nested(hint, (chosen or {}).get(prefix + field.name, default))
        if nested is not None:
            kinds = field.metadata.get("kinds", {})
            name = {kind: name for name, kind in kinds.items()}.get(type(nested))
            row = Setting(prefix + field.name, KindOf(kinds), name, field.metadata.get("help", ""))
            found += ([row] if kinds else []) + list_settings(nested, f"{prefix}{field.name}.", chosen)
        else:
            found.append(Setting(prefix + field.name, hint, default, field.metadata.get("help", "")))
    return found


class KindOf(NamedTuple):
    """The type of a setting whose value is the name of a kind of dataclass."""

    kinds: Mapping[str, type]


def apply_overrides(config: Config, overrides: Mapping[str, str]) -> Config:
    """A copy of the dataclass instance `config` with ``{"a.b": "3"}`` applied; raises SettingsError."""
    return _build(config, _read_words([f"{key}={text}" for key, text in overrides.items()], config, ()))


def parse(
    config_class: type[Config] | Config, argv: Sequence[str] | None, prog: str, positional: Sequence[str] = ()
) -> Config:
    """The settings that `argv` (None: the process's own arguments) asks for, as an instance of `config_class`.

    An instance may be passed for the class: its values then are the defaults (a preset). Bare words fill the fields
    named in `positional`, in order. Prints and raises SystemExit: 0 after ``--help`` or ``--cfg``, 2 after an error.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if "-h" in words or "--help" in words:
        print(help_text(config_class, prog, positional))
        raise SystemExit(0)
    try:
        config = _build(
            config_class, _read_words([word for word in words if word != "--cfg"], config_class, positional)
        )
    except SettingsError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if "--cfg" in words:
        print(as_text(config))
        raise SystemExit(0)
    return config


def help_text(config_class: Any, prog: str, positional: Sequence[str] = ()) -> str:
    """What ``--help`` prints: usage, the class's docstring and every setting with type, default and help."""
    words = [name.upper().replace("_", "-") for name in positional]
    usage = " ".join([prog, *words, "[--setting value] [a.b=c] [--cfg] [--help]"])
    cls = config_class if isinstance(config_class, type) else type(config_class)
    about = (cls.__doc__ or "").strip()
    generated = about.startswith(f"{cls.__name__}(")  # dataclasses writes the signature where there is no docstring
    settings = list_settings(config_class)
    rows = [(f"{_option(s.name)} {type_name(s.type)}", _default_text(s.default), s.help) for s in settings]
    left = max((len(row[0]) for row in rows), default=0)
    middle = max((len(row[1]) for row in rows), default=0)
    table = [f"  {name:{left}}  {default:{middle}}  {help_line}".rstrip() for name, default, help_line in rows]
    footer = ["  --cfg   print the resolved settings and stop", "  --help  print this and stop"]
    return "\n".join(
        [f"usage: {usage}", *([] if generated or not about else ["", about]), "", "settings:", *table, "", *footer]
    )


def type_name(hint: Any) -> str:
    """How a type is called in help and errors: ``int``, ``float or none``, ``int,int,...``, ``one of a, b``."""
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


def _fields(source: Any) -> list[tuple[dataclasses.Field, Any, Any]]:
    """(field, resolved type, default) of every field that the constructor takes; an instance's values are defaults."""
    hints = typing.get_type_hints(source if isinstance(source, type) else type(source))
    rows = []
    for field in dataclasses.fields(source):
        if not isinstance(source, type):
            default = getattr(source, field.name)
        else:
            default = field.default if field.default_factory is REQUIRED else field.default_factory()
        if field.init:
            rows.append((field, hints[field.name], default))
    return rows


def _nested(hint: Any, default: Any) -> Any:
    """The nested dataclass (an instance where a default gives one), or None for a leaf."""
    if dataclasses.is_dataclass(default) and not isinstance(default, type):
        return default
    return hint if default is REQUIRED and dataclasses.is_dataclass(hint) else None


def _build(source: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    arguments = {}
    for field, hint, default in _fields(source):
        name = prefix + field.name
        nested = _nested(hint, values.get(name, default))
        if nested is not None:
            arguments[field.name] = _build(nested, values, f"{name}.")
        elif values.get(name, default) is REQUIRED:
            raise SettingsError(f"setting '{name}' ({type_name(hint)}) is missing; give it as {_option(name)} VALUE")
        else:
            arguments[field.name] = values.get(name, default)
    try:
        return (source if isinstance(source, type) else type(source))(**arguments)
    except SettingsError:
        raise
    except ValueError as error:  # a config that checks itself in __post_init__
        raise SettingsError(str(error)) from error


def _read_words(words: list[str], source: Any, positional: Sequence[str]) -> dict[str, Any]:
    """The values that the words set, by dotted name. Kinds count wherever they are said, their settings with them."""
    chosen, settings = _read_kinds(words, source)
    values: dict[str, Any] = {}
    open_names, rest = list(positional), list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--"):
            setting, value = _read_option(word[2:], rest, settings)
        elif OVERRIDE.match(word):
            key, _, text = word.partition("=")
            setting = _find(settings, key)
            value = _convert(setting, text)
        elif word.startswith("-") or not open_names:
            raise SettingsError(f"unexpected word '{word}'; settings are given as --name value, see --help")
        else:
            setting = settings[open_names.pop(0)]
            value = _convert(setting, word)
        values[setting.name] = value
    return {name: v for name, v in values.items() if not isinstance(settings[name].type, KindOf)} | chosen


def _read_kinds(words: list[str], source: Any) -> tuple[dict[str, Any], dict[str, Setting]]:
    """An instance for every field of several kinds that the words set, and all settings that there are with these.

    A kind that the field has already leaves its values alone.
    """
    chosen: dict[str, Any] = {}
    for word, after in zip(words, [*words, ""][1:], strict=True):
        settings = {setting.name: setting for setting in list_settings(source, chosen=chosen)}
        key, equals, text = word.removeprefix("--").partition("=")
        setting = settings.get(_normal(key)) if equals or word.startswith("--") else None
        if setting is not None and isinstance(setting.type, KindOf):
            name = _convert(setting, text if equals else after)
            if name != setting.default:
                chosen[setting.name] = setting.type.kinds[name]()
    return chosen, {setting.name: setting for setting in list_settings(source, chosen=chosen)}


def _read_option(word: str, rest: list[str], settings: Mapping[str, Setting]) -> tuple[Setting, Any]:
    """The setting and value of ``--word``; takes the value from `rest` where the word holds none."""
    key, equals, text = word.partition("=")
    name = _normal(key)
    if not equals and name not in settings and name.startswith("no_") and _is_flag(settings.get(name[3:])):
        return settings[name[3:]], False
    setting = _find(settings, key)
    if equals:
        return setting, _convert(setting, text)
    if _is_flag(setting):
        return setting, True
    if not rest or rest[0].startswith("--"):
        raise SettingsError(f"setting '{setting.name}' needs a value of type {type_name(setting.type)}")
    return setting, _convert(setting, rest.pop(0))


def _is_flag(setting: Setting | None) -> bool:
    return setting is not None and setting.type is bool


def _normal(key: str) -> str:
    return key.replace("-", "_")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _find(settings: Mapping[str, Setting], key: str) -> Setting:
    if _normal(key) in settings:
        return settings[_normal(key)]
    near = difflib.get_close_matches(_normal(key), settings, n=1, cutoff=0.4)
    leaves = [name for name in settings if name.rpartition(".")[2] == _normal(key).rpartition(".")[2]]
    nearest = (leaves or near or [None])[0]
    raise SettingsError(f"unknown setting '{key}'; " + (f"did you mean '{nearest}'?" if nearest else "see --help"))


def _convert(setting: Setting, text: str) -> Any:
    if isinstance(setting.type, KindOf) and text not in setting.type.kinds:
        near, known = difflib.get_close_matches(text, setting.type.kinds, 1, 0.0)[0], ", ".join(setting.type.kinds)
        raise SettingsError(f"setting '{setting.name}' got '{text}'; did you mean '{near}'? There are {known}")
    try:
        return _parse_value(text, setting.type)
    except ValueError:
        raise SettingsError(f"setting '{setting.name}' got '{text}', expected {type_name(setting.type)}") from None


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
        return {str(choice): choice for choice in arguments}[text] if text in map(str, arguments) else _refuse()
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


def _default_text(default: Any) -> str:
    return "(required)" if default is REQUIRED else f"[{value_text(default)}]"
