"""An experiment in stages that are each done once; what a run has finished is in one file."""

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from collectors.files import write_atomically
from collectors.locks import holds_files
from collectors.settings.fields import list_settings
from collectors.settings.values import value_text


class StageError(ValueError):
    """The folder holds a run of other settings or a damaged record; the message says what to do."""


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write `values`, without nan, so that a reader never sees half a file."""
    write_atomically(path, json.dumps(values, indent=1, allow_nan=False) + "\n")


class Settings(NamedTuple):
    """What decides a stage or a run: texts by dotted name.

    A name that an older record lacks was at its default then.
    """

    values: dict[str, str]
    defaults: dict[str, str]

    def different(self, made: Mapping[str, str]) -> tuple[str, str] | None:
        """The first name, in alphabetical order, with another value in `made`, and that value."""
        for name in sorted(self.values):
            before = made.get(name, self.defaults.get(name, self.values[name]))
            if before != self.values[name]:
                return name, before
        return None


def settings_of(config: Any, free: tuple[str, ...] = (), **more: str) -> Settings:
    """The settings of a dataclass whose fields have defaults, and `more`.

    Those that start with one of `free` are left out.
    """
    rows, defaults = (
        {
            row.name: value_text(row.default)
            for row in list_settings(source)
            if not row.name.startswith(free)
        }
        for source in (config, type(config)())
    )
    return Settings(rows | more, defaults)


NO_SETTINGS = Settings({}, {})


class Stages:
    """The finished stages of the run in `folder`, by name, in its `state.json`.

    Each has what it found, a dict for JSON, and its seconds. `settings` decide all stages. Raises
    StageError where the folder holds something else, or a run with other settings.
    """

    def __init__(self, folder: Path, settings: Settings = NO_SETTINGS):
        self.path = folder / "state.json"
        if not self.path.is_file() and holds_files(folder):
            raise StageError(
                f"{folder} is not empty and holds no {self.path.name}; choose another folder"
            )
        self._settings, self._before = settings, folder / "state_before.json"
        if self._read() is None:
            self._write({})

    def run(
        self,
        name: str,
        work: Callable[[], Mapping[str, Any]],
        settings: Settings = NO_SETTINGS,
        product: Path | None = None,
        repeat: bool = False,
        check: Callable[[dict[str, Any]], object] = lambda found: None,
    ) -> dict[str, Any]:
        """Do a stage, unless that is done; return what it found, with `seconds`.

        `settings` decide this stage alone. One that was done with other settings is done again
        with `repeat`, else it raises StageError. A stage whose `product` has been deleted counts as
        not done, and so does one whose record is wrong, with a line on stderr: `check` raises
        KeyError, TypeError or ValueError for what it cannot have found.
        """
        made = self._record(name, check)
        if made is not None and (product is None or product.exists()):
            other = settings.different(made.get("settings", {}))
            if other is None:
                return {key: value for key, value in made.items() if key != "settings"}
            if not repeat:
                raise self._refusal(f"'{name}'", other, settings)
        start = time.monotonic()
        found: dict[str, Any] = {**work(), "seconds": round(time.monotonic() - start, 1)}
        decided = {"settings": settings.values} if settings.values else {}
        self._write({**(self._read() or {}), name: {**found, **decided}})
        return found

    def finished(self) -> set[str]:
        """The names of the stages that are done."""
        return set(self._read() or {})

    def _record(self, name: str, check: Callable[[dict[str, Any]], object]) -> dict | None:
        """What a finished stage left, None where there is nothing or it is wrong."""
        made = (self._read() or {}).get(name)
        if made is None:
            return None
        try:
            seconds, settings = made["seconds"], made.get("settings", {})
            if not (type(seconds) in (int, float) and isinstance(settings, dict)):
                raise TypeError("no seconds or settings")
            if not 0 <= seconds < math.inf:
                raise ValueError(f"it took {seconds} seconds")
            check(made)
            return made
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            message = f"passing over '{name}' in {self.path}: {error!r}; it is done again"
            print(message, file=sys.stderr)
            return None

    def _read(self) -> dict[str, Any] | None:
        """The records of all finished stages by name, None where there is no file yet."""
        try:
            state = read_state(self.path)
        except ValueError as error:
            print(f"passing over {self.path}: it is damaged ({error})", file=sys.stderr)
            try:
                state = read_state(self._before)
            except ValueError:
                state = None
            if state is None:
                raise StageError(
                    f"{self.path} is damaged ({error}); delete {self.path.parent} and begin anew"
                ) from error
            write_atomically(self.path, self._before.read_bytes())
        if state is None:
            return None
        made, done = state
        other = self._settings.different(made)
        if other is not None:
            raise self._refusal("a run", other, self._settings)
        return done

    def _refusal(self, what: str, other: tuple[str, str], settings: Settings) -> StageError:
        name, before = other
        return StageError(
            f"{self.path.parent} holds {what} with {name}={before}, not {settings.values[name]}; "
            "go on with that, delete it or choose another folder"
        )

    def _write(self, done: Mapping[str, Any]) -> None:
        try:
            if read_state(self.path) is not None:  # what is good is kept beside the newest
                write_atomically(self._before, self.path.read_bytes())
        except ValueError:
            pass
        write_json(self.path, {"settings": self._settings.values, "done": done})


def read_state(path: Path) -> tuple[dict[str, str], dict[str, Any]] | None:
    """The settings and the finished stages of a state file, None where there is no file.

    Raises ValueError for a damaged one.
    """
    if not path.exists():
        return None
    try:
        state = json.loads(path.read_bytes())
        made, done = state["settings"], state["done"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(repr(error)) from error
    if not (isinstance(made, dict) and isinstance(done, dict)):
        raise ValueError("its settings or stages are no table")
    return made, done


def folder_of_seed(root: Path, seed: int, alone: bool) -> Path:
    """The folder of a seed's trainings: that of a seed that is `alone` is `root` itself, and stays
    so when others join it later."""
    own = root / f"seed_{seed}"
    if own.is_dir():
        return own
    return root if alone or seed in _seeds_trained(root / "state.json") else own


def _seeds_trained(path: Path) -> set[int]:
    """The seeds of the finished trainings in a state file."""
    try:
        _, done = read_state(path) or ({}, {})
        return {int(made["settings"]["seed"]) for name, made in done.items() if "/train" in name}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()  # no state of trainings, or a damaged one, which Stages says
