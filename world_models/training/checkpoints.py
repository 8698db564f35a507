"""Checkpoints of a run: `checkpoint_0000250.pt`, the newest two, and `best.pt`.

A file that has its name is complete.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from collectors.files import write_atomically
from world_models.training.config import TrainingError

KEPT = 2  # of the newest; the second serves where the first is damaged


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """Turns the OSError of a full disk into a TrainingError that says what is kept."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        kept = [path.name for path in sorted(out.glob("checkpoint_*.pt"))]
        remedy = "make room and give the same command again" + (
            f" to go on from {kept[-1]}" if kept else ""
        )
        raise TrainingError(f"{out} cannot be written ({reason}); {remedy}") from error


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
    with open(path, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # what torch's writer makes of an OSError
            raise OSError(str(error.__context__ or error).splitlines()[0]) from error
        file.flush()
        os.fsync(file.fileno())  # some file systems report only now that they are full


def newest_checkpoint(out: Path) -> dict | None:
    """The newest checkpoint that can be read, or None; a damaged one is passed over, with a line on
    stderr.
    """
    for path in sorted(out.glob("checkpoint_*.pt"), reverse=True):
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # whatever a half-written file makes torch raise
            print(f"passing over {path}: {str(error).splitlines()[0]}", file=sys.stderr)
    return None
