"""How a file of figures was made: command, commit, date, class of machine; no paths, no names.

Every command that writes figures puts this under `made`, so that a table can name its source.
"""

import os
import shlex
from pathlib import Path
from typing import Any

from collectors.settings.parse import list_settings
from neural_envs import __version__
from world_models.training.run_info import git_commit, machine_class, today

PLACES = ("out", "overwrite")  # settings of where something is written, not of what is measured


def how_made(verb: str, config: Any, defaults: Any, positional: tuple[str, ...] = ()) -> dict:
    """{"command", "commit", "date", "version", "machine"} of the figures of this process.

    `defaults` is the dataclass of the settings or an instance of it, a preset: only what differs
    from it is in the command.
    """
    return {
        "command": command_text(verb, config, defaults, positional),
        "commit": git_commit(Path(__file__)),
        "date": today(),
        "version": __version__,
        "machine": machine_class(),
    }


def command_text(verb: str, config: Any, defaults: Any, positional: tuple[str, ...] = ()) -> str:
    """The command line that gives these settings; absolute paths are cut to their last name."""
    usual = {setting.name: setting.default for setting in list_settings(defaults)}
    bare, words = [], []
    for name, _, value, _ in list_settings(config):
        if name in PLACES or (name not in positional and value == usual.get(name)):
            continue
        text = _word(value)
        if name in positional:
            bare.append(text)
        elif isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{name.replace('_', '-')}")
        else:
            words += [f"--{name.replace('_', '-')}", text]
    return shlex.join(["neural-envs", verb, *bare, *words])


def _word(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_word, value))
    return Path(value).name if isinstance(value, str) and os.path.isabs(value) else str(value)
