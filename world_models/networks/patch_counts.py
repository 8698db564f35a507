"""The different patches of recorded frames: whether a dictionary of them is enough, and which.

T frames, H x W x C a frame, P pixels along the side of a patch, G x G patches, N entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch

from world_models.networks.tokenizer import TokenizerConfig, cut_patches


class PatchCounter:
    """Counts how often each patch occurs."""

    def __init__(self, patch: int, values: int):
        """`values`: of a patch, P * P * C."""
        self.patch = patch
        odd = np.random.default_rng(0).integers(2**62, size=values, dtype=np.int64) * 2 + 1
        # the sum of a patch's values times these is another one for another patch, all but surely
        self._weights = torch.from_numpy(odd)
        self.counts: dict[int, int] = {}
        self.patches: dict[int, np.ndarray] = {}

    def add(self, frames: np.ndarray) -> None:
        """Counts the patches of frames (T, H, W, C) uint8."""
        tiles = cut_patches(torch.from_numpy(frames), self.patch).flatten(0, 2)
        keys = torch.zeros(len(tiles), dtype=torch.int64)  # tiles are (T * G * G, P * P * C)
        for i, weight in enumerate(self._weights):
            keys += tiles[:, i].long() * weight
        found, first, counts = np.unique(keys.numpy(), return_index=True, return_counts=True)
        for key, index, count in zip(found.tolist(), first.tolist(), counts.tolist(), strict=True):
            self.counts[key] = self.counts.get(key, 0) + count
            if key not in self.patches:
                self.patches[key] = tiles[index].numpy().copy()

    def most_frequent(self, count: int) -> np.ndarray:
        """(up to `count`, P * P * C) uint8, the most frequent first."""

        def rank(key: int) -> tuple[int, bytes]:
            return -self.counts[key], self.patches[key].tobytes()

        return np.stack([self.patches[key] for key in sorted(self.counts, key=rank)[:count]])


def count_patches(
    config: TokenizerConfig, colors: int, frames: Callable[[], Iterable[np.ndarray]]
) -> np.ndarray | None:
    """The patches (N, P * P * C) uint8 of a dictionary for frames in parts (T, H, W, C) uint8; None
    where the tokenizer of the config is no dictionary, or `auto` and too many patches differ.
    """
    if config.kind == "fsq":
        return None
    counter = PatchCounter(config.patch, config.patch**2 * colors)
    for part in frames():
        counter.add(part)
        if config.kind == "auto" and len(counter.counts) > config.most_patches:
            return None
    return counter.most_frequent(config.patches or config.most_patches)
