"""What every command does around its own work: parse, run, print, and end with an exit code."""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from collectors.extras import EXTRAS, missing
from collectors.files import REMEDIES
from collectors.freed_memory import keep_freed_memory
from collectors.interrupts import interrupted, interruptible
from collectors.settings.parse import SettingsError, parse

OURS = ("collectors", "world_models", "neural_envs", "agents")
MENDABLE = (ValueError, OSError, ImportError)  # what a command ends with one sentence about


def command(
    config: Any,
    run: Callable[[Any], str | int | None],
    argv: Sequence[str] | None,
    prog: str,
    positional: Sequence[str] = (),
) -> int:
    """Run one command; returns its exit code.

    `config` is a settings dataclass, an instance of one (a preset), or a function that returns one
    of these for the words of the command line. `argv` are these words, by default the process's
    own; the rest is as in `collectors.settings.parse.parse`. `run` takes the parsed settings and
    returns the text to print, an exit code where it printed for itself, or None.

    Exit codes: 0 success; 1 an error that the user can mend, as one sentence on stderr; 2 a wrong
    command line (`parse` raises SystemExit); 130 Ctrl-C and 143 SIGTERM, with a sentence. Any other
    error is a bug and is raised.
    """
    keep_freed_memory()
    try:
        with interruptible():
            return _command(config, run, argv, prog, positional)
    except KeyboardInterrupt as error:
        stop = interrupted(error)
        return fail(prog, str(stop), stop.code)


def _command(
    config: Any,
    run: Callable[[Any], str | int | None],
    argv: Sequence[str] | None,
    prog: str,
    positional: Sequence[str],
) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        source = config if dataclasses.is_dataclass(config) else config(words)
        settings = parse(source, words, prog, positional)
    except SettingsError as error:
        return fail(prog, str(error), 2)
    except BrokenPipeError:  # the reader of our output has gone: no failure of the command
        raise
    except MENDABLE as error:
        return fail(prog, sentence(error))
    try:
        result = run(settings)
    except BrokenPipeError:
        raise
    except Exception as error:
        text = explained(error) or (sentence(error) if isinstance(error, MENDABLE) else None)
        if text is None:
            raise
        return fail(prog, text)
    if isinstance(result, str):
        print(result)
    return result if isinstance(result, int) else 0


def first_word(words: Sequence[str]) -> str | None:
    """The first word of a command line where it is a bare name, neither an option nor `a.b=c`."""
    bare = bool(words) and not words[0].startswith("-") and "=" not in words[0]
    return words[0] if bare else None


def option(words: Sequence[str], name: str) -> str | None:
    """The text that a command line gives for a setting, None where it gives none."""
    found = re.search(rf"(?:^|\n)(?:--)?{name}[=\n]([^\n]+)", "\n".join(words))
    return found[1] if found else None


def explained(error: Exception, package: str = "") -> str | None:
    """The sentence for an error of this project, of Gymnasium or of a missing extra, else None.

    `package`: the one of ours that it was raised in, as in `collectors.extras.missing`.
    """
    if isinstance(error, ModuleNotFoundError) and (error.name or "").split(".")[0] in EXTRAS:
        return missing(error.name or "", package=package)
    ours = type(error).__module__.split(".")[0] in (*OURS, "gymnasium")
    return sentence(error) if ours else None


def sentence(error: Exception) -> str:
    """An error as one sentence; an error of the system names the file and what is wrong with it."""
    if not (isinstance(error, OSError) and error.strerror):
        return str(error)
    about = f"cannot write or read {error.filename}: " if error.filename else ""
    remedy = REMEDIES.get(error.errno or 0, "")
    return f"{about}{error.strerror}" + (f"; {remedy}" if remedy else "")


def fail(prog: str, message: str, code: int = 1) -> int:
    """Print a sentence about a failed command on stderr; returns the exit code."""
    print(f"{prog}: {message}", file=sys.stderr)
    return code
