"""Command-line settings: a dataclass is the whole definition of a command's settings.

``parse(Config, argv, prog)`` understands ``--name value``, ``--name=value``, ``--flag`` /
``--no-flag``, ``name=value`` and, for nested dataclasses, ``a.b=c`` (or ``--a.b c``); dashes and
underscores are the same. A field that holds a dataclass of one of several kinds
(``setting(kinds={"edm": EDM, ...})``) also takes the name of a kind, ``a.b=edm``, for that one's
defaults. ``--config FILE`` reads settings from YAML first, wherever it stands. ``--cfg``
prints the resolved settings, ``--help`` lists them. Nothing is guessed: an unknown name, a value of
the wrong type, an impossible or a missing one ends the command with exit code 2 and one sentence.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from collectors.settings.fields import (
    REQUIRED,
    Config,
    Setting,
    check_settings,
    fields_of,
    list_settings,
    nested_dataclass,
    setting,
)
from collectors.settings.renamed import GONE, RENAMED
from collectors.settings.values import KindOf, SettingsError, convert, type_name, value_text
from collectors.settings.yaml_file import as_text, file_words, take_files

__all__ = [
    "SettingsError",
    "apply_overrides",
    "as_text",
    "check_settings",
    "help_text",
    "list_settings",
    "parse",
    "setting",
]

LISTED_BY = "listed_by"  # in the metadata of a field: the command whose --help has its settings
TRUTHS = {"true", "false", "none"}  # after a flag that may also be none
OVERRIDE = re.compile(r"[A-Za-z_][\w.-]*=")


def apply_overrides(config: Config, overrides: Mapping[str, str]) -> Config:
    """A copy of the dataclass instance `config`
    with ``{"a.b": "3"}`` applied; raises SettingsError.
    """
    return _build(
        config, _read_words([f"{key}={text}" for key, text in overrides.items()], config, ())
    )


def parse(
    config_class: type[Config] | Config,
    argv: Sequence[str] | None,
    prog: str,
    positional: Sequence[str] = (),
) -> Config:
    """The settings that `argv` (None: the process's own arguments) asks for,
    as an instance of `config_class`.

    An instance may be passed for the class: its values then are the defaults (a preset). Bare words
    fill the fields named in `positional`, in order. Prints and raises SystemExit: 0 after
    ``--help`` or ``--cfg``, 2 after an error.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if "-h" in words or "--help" in words:
        print(help_text(config_class, prog, positional))
        raise SystemExit(0)
    try:
        source, rest = _read_files(config_class, [word for word in words if word != "--cfg"])
        values = _read_words(rest, source, positional)
        _check_given(source, values, positional, prog)
        config = _build(source, values)
    except SettingsError as error:
        print(f"{prog}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    if "--cfg" in words:
        print(as_text(config))
        raise SystemExit(0)
    return config


def _check_given(source: Any, values: dict, positional: Sequence[str], prog: str) -> None:
    """Raises SettingsError for a bare word that is missing and has no default."""
    defaults = {row.name: row.default for row in list_settings(source)}
    for name in positional:
        if defaults.get(name) is REQUIRED and name not in values:
            raise SettingsError(f"'{name}' is missing: {prog} {name.upper()}")


def _read_files(source: Any, words: list[str]) -> tuple[Any, list[str]]:
    """`source` with the settings of the files that the words name, and the words that are left."""
    try:
        files, rest = take_files(words)
        for file in files:
            read = file_words(file)
            if isinstance(source, type):  # it may lack values that only the command line has
                rest = [*read, *rest]
                continue
            try:
                source = _build(source, _read_words(read, source, ()))
            except SettingsError as error:
                raise ValueError(f"{file}: {error}") from None
    except ValueError as error:
        raise SettingsError(str(error)) from None
    return source, rest


def help_text(config_class: Any, prog: str, positional: Sequence[str] = ()) -> str:
    """What ``--help`` prints: usage, the class's docstring and every setting
    with type, default and help.
    """
    words = [name.upper().replace("_", "-") for name in positional]
    usage = " ".join([prog, *words, "[--config FILE] [--setting value] [a.b=c] [--cfg] [--help]"])
    cls = config_class if isinstance(config_class, type) else type(config_class)
    about = (cls.__doc__ or "").strip()
    # dataclasses writes the signature where there is no docstring
    generated = about.startswith(f"{cls.__name__}(")
    rows = [
        (f"{_option(s.name)} {type_name(s.type)}", _default_text(s.default), s.help)
        for s in list_settings(config_class)
    ]
    for name, listing in _listed_elsewhere(cls).items():
        rows = [row for row in rows if not row[0].startswith(f"{_option(name)}.")]
        rows.append((f"{_option(name)}.NAME value", "", f"as listed by `{listing} --help`"))
    left = max((len(row[0]) for row in rows), default=0)
    middle = max((len(row[1]) for row in rows), default=0)
    table = [
        f"  {name:{left}}  {default:{middle}}  {help_line}".rstrip()
        for name, default, help_line in rows
    ]
    footer = ["  --config FILE  settings in YAML; those of the command line come after it"]
    footer += [
        "  --cfg          print the resolved settings and stop",
        "  --help         print this and stop",
    ]
    return "\n".join(
        [
            f"usage: {usage}",
            *([] if generated or not about else ["", about]),
            "",
            "settings:",
            *table,
            "",
            *footer,
        ]
    )


def _listed_elsewhere(cls: type) -> dict[str, str]:
    """The fields whose own settings another command lists, and that command."""
    return {
        field.name: field.metadata[LISTED_BY]
        for field in dataclasses.fields(cls)
        if LISTED_BY in field.metadata
    }


def _build(source: Any, values: Mapping[str, Any], prefix: str = "") -> Any:
    arguments = {}
    for field, hint, default in fields_of(source):
        name = prefix + field.name
        nested = nested_dataclass(hint, values.get(name, default))
        if nested is not None:
            arguments[field.name] = _build(nested, values, f"{name}.")
        elif values.get(name, default) is REQUIRED:
            raise SettingsError(
                f"setting '{name}' ({type_name(hint)}) is missing; give it as {_option(name)} VALUE"
            )
        else:
            arguments[field.name] = values.get(name, default)
    try:
        return (source if isinstance(source, type) else type(source))(**arguments)
    except SettingsError:
        raise
    except ValueError as error:  # a config that checks itself in __post_init__
        raise SettingsError(str(error)) from error


def _read_words(words: list[str], source: Any, positional: Sequence[str]) -> dict[str, Any]:
    """The values that the words set, by dotted name.

    A kind counts wherever it stands among the words, and its settings with it.
    """
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
            value = convert(setting.name, setting.type, text)
        elif word.startswith("-") or not open_names:
            raise SettingsError(
                f"unexpected word '{word}'; settings are given as --name value, see --help"
            )
        else:
            setting = settings[open_names.pop(0)]
            value = convert(setting.name, setting.type, word)
        values[setting.name] = value
    return {
        name: v for name, v in values.items() if not isinstance(settings[name].type, KindOf)
    } | chosen


def _read_kinds(words: list[str], source: Any) -> tuple[dict[str, Any], dict[str, Setting]]:
    """An instance for every field of several kinds that the words set,
    and all settings that there are with these.

    A kind that the field has already leaves its values alone.
    """
    chosen: dict[str, Any] = {}
    settings = {setting.name: setting for setting in list_settings(source)}
    for word, after in zip(words, [*words, ""][1:], strict=True):
        key, equals, text = word.removeprefix("--").partition("=")
        setting = settings.get(_normal(key)) if equals or word.startswith("--") else None
        if setting is not None and isinstance(setting.type, KindOf):
            name = convert(setting.name, setting.type, text if equals else after)
            if name != setting.default:
                chosen[setting.name] = setting.type.kinds[name]()
                settings = {
                    setting.name: setting for setting in list_settings(source, chosen=chosen)
                }
    return chosen, settings


def _read_option(
    word: str, rest: list[str], settings: Mapping[str, Setting]
) -> tuple[Setting, Any]:
    """The setting and value of ``--word``; takes the value from `rest`
    where the word holds none.
    """
    key, equals, text = word.partition("=")
    name = _normal(key)
    if (
        not equals
        and name not in settings
        and name.startswith("no_")
        and _is_flag(settings.get(name[3:]))
    ):
        return settings[name[3:]], False
    setting = _find(settings, key)
    if equals:
        return setting, convert(setting.name, setting.type, text)
    if _is_flag(setting) and not (setting.type is not bool and rest and rest[0] in TRUTHS):
        return setting, True
    if not rest or rest[0].startswith("--"):
        raise SettingsError(
            f"setting '{setting.name}' needs a value of type {type_name(setting.type)}"
        )
    return setting, convert(setting.name, setting.type, rest.pop(0))


def _is_flag(setting: Setting | None) -> bool:
    return setting is not None and setting.type in (bool, bool | None)


def _normal(key: str) -> str:
    return key.replace("-", "_")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _find(settings: Mapping[str, Setting], key: str) -> Setting:
    if _normal(key) in settings:
        return settings[_normal(key)]
    last = _normal(key).rpartition(".")[2]
    if last in GONE:
        raise SettingsError(f"unknown setting '{key}': {GONE[last]}")
    if now := _with_last_part(settings, RENAMED.get(last, "")):
        raise SettingsError(f"setting '{key}' of earlier versions is called '{now[0]}' now")
    near = difflib.get_close_matches(_normal(key), settings, n=1, cutoff=0.4)
    leaves = _with_last_part(settings, last)
    nearest = (leaves or near or [None])[0]
    raise SettingsError(
        f"unknown setting '{key}'; " + (f"did you mean '{nearest}'?" if nearest else "see --help")
    )


def _with_last_part(settings: Mapping[str, Setting], last: str) -> list[str]:
    """The dotted names that end so."""
    return [name for name in settings if name.rpartition(".")[2] == last]


def _default_text(default: Any) -> str:
    if default is REQUIRED:
        return "(required)"
    if default in ("", (), None):
        return "[none]"
    text = value_text(default)
    return text if text.startswith("[") else f"[{text}]"
