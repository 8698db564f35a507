"""Start contexts: real histories from which dreams begin.

N contexts of K frames, H x W x C each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from world_models.protocols import Context


@dataclass(frozen=True, eq=False)  # a set equals itself alone, as a key
class Contexts:
    """A set of real start histories."""

    frames: np.ndarray  # (N, K, H, W, C) uint8
    actions: np.ndarray  # (N, K - 1, *row), encoded

    def __len__(self) -> int:
        return len(self.frames)

    def choose(self, indices: Tensor) -> Context:
        """The contexts with these numbers, (B,) int64, as tensors on the device of `indices`."""
        rows = indices.cpu().numpy()
        frames, actions = torch.from_numpy(self.frames[rows]), torch.from_numpy(self.actions[rows])
        return Context(frames.to(indices.device), actions.to(indices.device))
