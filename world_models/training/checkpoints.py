"""Checkpoints of a run: `checkpoint_0000250.pt`, the newest two, and `best.pt`.

A file that has its name is complete.
"""

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collectors.files import write_atomically, write_error
from world_models.training.config import TrainingError

KEPT = 2  # of the newest; the second serves where the first is damaged
OLDER_PART = "carried"  # what older versions called "model_state"


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turns the OSError of a full disk into a TrainingError that says what is kept."""
    try:
        yield
    except OSError as error:
        kept = [path.name for path in sorted(out.glob("checkpoint_*.pt"))]
        going_on = f"; {kept[-1]} is kept, and a run goes on from it" if kept else ""
        raise TrainingError(f"{write_error(out, error)}{going_on}") from error


def write_checkpoint(out: Path, state: dict, update: int, best: bool) -> None:
    """Write a checkpoint, as best.pt too if it is the best, and only then delete old ones.

    Raises OSError where it cannot; what was there before then still is.
    """
    target = out / f"checkpoint_{update:07d}.pt"
    write_atomically(target, lambda path: _write(path, state))
    if best:
        write_atomically(out / "best.pt", lambda path: shutil.copyfile(target, path))
    for path in out.glob(".*.partial.pt"):  # of a run that was killed while it wrote
        path.unlink()
    so_far = [path for path in sorted(out.glob("checkpoint_*.pt")) if path <= target]
    # newer ones are damaged, or of a run that was started again from the beginning
    for path in out.glob("checkpoint_*.pt"):
        if path not in so_far[-KEPT:]:
            path.unlink()


def _write(path: Path, state: dict) -> None:
    with open(path, "wb") as file:  # a file of Python's: its errors say what is wrong
        torch.save(state, file)


def newest_checkpoint(
    out: Path, check: Callable[[dict], object] = lambda state: None
) -> dict[str, Any] | None:
    """The newest checkpoint that can be read and has all its parts, or None.

    One that is damaged, or about which `check` raises ValueError, is passed over, with a line on
    stderr. Raises TrainingError for one of an older version, which a run from the beginning would
    replace.
    """
    for path in sorted(out.glob("checkpoint_*.pt"), reverse=True):
        try:
            state = _read(path)
            _refuse_older_version(path, state)
            check_parts(state)
            check(state)
            return state
        except ValueError as error:
            print(f"passing over {path}: {error}", file=sys.stderr)
    return None


def _read(path: Path) -> Any:
    """What is in a file. Raises ValueError, in our words: torch advises to read it unsafely."""
    if not path.is_file():
        raise ValueError("it is no file")
    if not path.stat().st_size:
        raise ValueError("it is empty")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a half-written file makes torch raise
        raise ValueError(f"it is damaged ({type(error).__name__})") from error


def _refuse_older_version(path: Path, state: Any) -> None:
    if isinstance(state, dict) and OLDER_PART in state:
        raise TrainingError(
            f"{path} was written by an older version of this package, with which the run goes on; "
            f"give another out= here, and init_from={path.parent / 'bundle'} to begin with its "
            "weights"
        )


def check_parts(state: Any) -> None:
    """Raises ValueError, which names the part, where a run could not go on from `state`."""
    if not isinstance(state, dict):
        raise ValueError("it is no checkpoint of a training run")
    for name, is_right in PARTS.items():
        if name not in state:
            raise ValueError(f"its part '{name}' is missing")
        try:
            right = is_right(state[name])
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, OverflowError):
            right = False
        if not right:
            raise ValueError(f"its part '{name}' is wrong")


def _is_tensors(value: Any) -> bool:
    if not (isinstance(value, dict) and value):
        return False
    return all(
        isinstance(name, str)
        and isinstance(tensor, torch.Tensor)
        and (not tensor.is_floating_point() or bool(tensor.isfinite().all()))
        for name, tensor in value.items()
    )


def _is_optimizer(value: Any) -> bool:
    """A state for each of the parameters that have one, the parameters in groups,
    all finite; or a list of these.
    """
    if isinstance(value, list):
        return bool(value) and all(map(_is_optimizer, value))
    count = sum(len(group["params"]) for group in value["param_groups"])
    tensors = [
        tensor
        for number, state in value["state"].items()
        if isinstance(number, int) and 0 <= number < count
        for tensor in state.values()
        if isinstance(tensor, torch.Tensor)
    ]
    known = all(isinstance(key, int) and 0 <= key < count for key in value["state"])
    return count > 0 and known and all(bool(tensor.isfinite().all()) for tensor in tensors)


def _is_noise(value: Any) -> bool:
    torch.Generator().set_state(value)
    return True


def _is_order(value: Any) -> bool:
    np.random.default_rng(0).bit_generator.state = value
    return True


def _is_progress(value: Any) -> bool:
    update, commands = value["update"], value["commands"]
    counts = type(update) is int and update >= 0 and math.isfinite(value["seconds"])
    best = isinstance(value["best"], float) and not math.isnan(value["best"])
    named = isinstance(commands, list) and all(isinstance(one, str) for one in commands)
    return counts and value["seconds"] >= 0 and best and named


PARTS: dict[str, Callable[[Any], bool]] = {
    "model": _is_tensors,
    "average": _is_tensors,
    "optimizer": _is_optimizer,
    "noise": _is_noise,
    "order": _is_order,
    "progress": _is_progress,
    "before": lambda value: isinstance(value, (int, float)) and 0 <= value <= 1,
    "model_state": lambda value: isinstance(value, dict),
}
