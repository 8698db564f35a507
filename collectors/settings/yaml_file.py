"""Settings as YAML, and from a YAML file as the words of a command line that mean the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from collectors.settings.fields import to_dict
from collectors.settings.values import value_text

# module:name, alone or after "key=" or a comma; not a policy as astar:0.2 or an address
CODE = re.compile(r"(?:^|[=,\[(\s\"'])[^\W\d][\w.]*:[^\W\d]")
# settings that choose a game, where anything before a colon is imported
OF_GAMES = {"env", "twin", "real", "name", "world", "options", "real_options", "policy_maker"}
KEY = re.compile(r"\w[\w-]*(\.\w[\w-]*)*")
MOST_VALUES = 10_000  # of a file: aliases of YAML unfold to any number


def as_text(config: Any) -> str:
    """A dataclass instance as YAML, fit for ``resolved_config.yaml``:
    nested by indentation, sequences in brackets.
    """
    return "\n".join(_lines(to_dict(config)))


def _lines(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield f"{name}:" + ("" if value else " {}")
            yield from (f"  {line}" for line in _lines(value))
        else:
            yield f"{name}: {value_text(value)}"


def take_files(words: list[str]) -> tuple[list[Path], list[str]]:
    """The files named by ``--config FILE`` or ``--config=FILE``, and the other words.

    Raises ValueError.
    """
    files, rest, waiting = [], [], False
    for word in words:
        if waiting or word.startswith("--config="):
            files.append(Path(word if waiting else word.partition("=")[2]))
            waiting = False
        elif word == "--config":
            waiting = True
        else:
            rest.append(word)
    if waiting:
        raise ValueError("--config needs the name of a YAML file")
    return files, rest


def file_words(path: Path) -> list[str]:
    """``a.b=c`` for every leaf of a YAML file, such as a run's resolved_config.yaml; `type` is the
    kind of a part.

    Raises ValueError with one sentence where the file cannot be read or is no table of settings.
    """
    import yaml  # only where a file is named: most commands never need it

    try:
        values = yaml.safe_load(path.read_text())
        _check_count(values)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no YAML: {reason}") from None
    if values is None:
        return []
    if not isinstance(values, Mapping):
        raise ValueError(f"{path} holds a {type(values).__name__}, not settings (name: value)")
    return list(_words(values, ""))


def _check_count(values: Any) -> None:
    """Raises ValueError for more values than settings have, before aliases are written out."""
    left, count = [values], 0
    while left:
        value = left.pop()
        parts = value.values() if isinstance(value, Mapping) else value
        left += parts if isinstance(value, Mapping | list | tuple | set) else ()
        count += 1
        if count + len(left) > MOST_VALUES:
            raise ValueError(
                f"a settings file has more than {MOST_VALUES} values, its aliases (*name) written "
                "out: leave them out"
            )


def _words(values: Mapping[Any, Any], prefix: str):
    for key, value in values.items():
        name = f"{prefix}{key}"
        if not KEY.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a setting: write it as name: value")
        if isinstance(value, Mapping):
            yield from _words(value, f"{name}.")
            continue
        name = prefix.removesuffix(".") if key == "type" and prefix else name
        text = value if isinstance(value, str) else value_text(value)
        _check_names_no_code(name, text)
        yield f"{name}={text}"


def _check_names_no_code(name: str, text: str) -> None:
    """Raises ValueError for "module:name": what a file says is never imported."""
    if CODE.search(text) or (":" in text and name.rpartition(".")[2].replace("-", "_") in OF_GAMES):
        raise ValueError(
            f"setting '{name}' is {text!r:.200}, which names code; a file may not: give it on the "
            "command line"
        )
