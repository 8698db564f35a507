"""Contexts that dreams start from: the first frames of episodes, or any moment of a recording."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from collectors.dataset.dataset import Dataset
from world_models.bundles.contexts import Contexts
from world_models.protocols import Context, WorldSpec
from world_models.training.clips import ClipReader, context_of


def start_contexts(reader: ClipReader, count: int, generator: np.random.Generator) -> Contexts:
    """Contexts of `count` different episodes at their first frame,
    as a reset of the real game gives them.
    """
    starts = np.flatnonzero(reader.step == reader.start)
    rows = generator.choice(starts, min(count, len(starts)), replace=False)
    clips = reader.cut(rows)
    return Contexts(*(part.numpy() for part in context_of(clips, reader.context_length)))


class RecordedStarts:
    """Contexts from every step of the training episodes of a recording, cut when asked for;
    it has what `Contexts` has.

    Raises DatasetError where there is no recording, ValueError where it is of another game than
    `spec`.
    """

    def __init__(self, recording: str | Path, spec: WorldSpec, context_length: int):
        dataset = Dataset(recording)
        theirs = WorldSpec.from_dict(dataset.spec)
        for name in ("frame_shape", "action_names", "actions"):
            if (found := getattr(theirs, name)) != (expected := getattr(spec, name)):
                raise ValueError(
                    f"starts: the dataset has the {name} {found}, this dream has {expected}"
                )
        self.reader = ClipReader(dataset, dataset.split()["train"], context_length, 1)

    def __len__(self) -> int:
        return len(self.reader)

    def choose(self, indices: torch.Tensor) -> Context:
        """The contexts before these steps, (B,) int64, as tensors on the device of `indices`."""
        clips = self.reader.cut(indices.cpu().numpy())
        context = context_of(clips, self.reader.context_length)
        return Context(*(part.to(indices.device) for part in context))
