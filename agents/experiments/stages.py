"""A long run in stages that are each done once: what a killed run has finished is in one file,
replaced as a whole.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path

from collectors.files import write_atomically
from collectors.settings.parse import list_settings
from collectors.settings.values import value_text


class StageError(ValueError):
    """The folder holds a run of other settings or a damaged record; the message says which and what
    to do.
    """


def write_json(path: Path, values: dict) -> None:
    """Write `values`, without nan, so that a reader never sees half a file."""
    write_atomically(path, json.dumps(values, indent=1, allow_nan=False) + "\n")


class Stages:
    """The finished stages of the run in `folder`, by name, each with what it found (a dict for
    JSON) and its seconds.

    `config` is the run's dataclass of settings, of which those that start with one of `free` may
    change from call to call. Raises StageError where the folder holds something else, or a run with
    other settings.
    """

    def __init__(self, folder: Path, config, free: tuple[str, ...] = ()):
        self.path = folder / "state.json"
        rows = {
            row.name: value_text(row.default)
            for row in list_settings(config)
            if not row.name.startswith(free)
        }
        self.done = self._read(rows)
        self._settings = rows
        folder.mkdir(parents=True, exist_ok=True)
        self._write()

    def run(self, name: str, work: Callable[[], dict]) -> dict:
        """Do a stage, unless that is done; return what it found, with `seconds`."""
        if name not in self.done:
            start = time.monotonic()
            found = work()
            self.done[name] = {**found, "seconds": round(time.monotonic() - start, 1)}
            self._write()
        return self.done[name]

    def _read(self, settings: dict[str, str]) -> dict[str, dict]:
        folder = self.path.parent
        if not self.path.is_file():
            if folder.exists() and any(folder.iterdir()):
                raise StageError(
                    f"{folder} is not empty and holds no {self.path.name}; choose another folder"
                )
            return {}
        try:
            state = json.loads(self.path.read_text())
            made, done = state["settings"], state["done"]
        except (ValueError, KeyError, TypeError) as error:
            raise StageError(
                f"{self.path} is damaged ({error!r}); delete {folder} and begin anew"
            ) from error
        other = [name for name in settings.keys() & made.keys() if made[name] != settings[name]]
        if other:
            name = min(other)
            raise StageError(
                f"{folder} holds a run with {name}={made[name]}, not {settings[name]}; go on with "
                "that or choose "
                "another folder"
            )
        return done

    def _write(self) -> None:
        write_json(self.path, {"settings": self._settings, "done": self.done})
