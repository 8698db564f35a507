"""The different patches of recorded frames: whether a dictionary of them is enough, and which.

T frames, H x W x C a frame, P pixels along the side of a patch, G x G patches, N entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from world_models.networks.tokenizer import TokenizerConfig

# patches of a frame, as a mean, that a dictionary may lack: their nearest entries are shown
MOST_LACKING = 0.25
TOO_MANY = 8  # times as many different patches as a dictionary may have: then counting ends


class PatchCounter:
    """Counts how often each patch occurs."""

    def __init__(self, patch: int, values: int):
        """`values`: of a patch, P * P * C."""
        self.patch = patch
        odd = np.random.default_rng(0).integers(2**62, size=values, dtype=np.int64) * 2 + 1
        # the sum of a patch's values times these is another one for another patch, all but surely
        self._weights = odd.reshape(patch, -1)
        self.frames = 0
        self.counts: dict[int, int] = {}
        self.patches: dict[int, np.ndarray] = {}

    def add(self, frames: np.ndarray) -> None:
        """Counts the patches of frames (T, H, W, C) uint8."""
        patch, width = self.patch, self._weights.shape[1]
        rows = np.ascontiguousarray(frames).reshape(
            len(frames), frames.shape[1] // patch, patch, -1
        )
        tiles = rows.reshape(*rows.shape[:3], -1, width)  # (T, G, P, G, P * C)
        words = tiles.view(np.int32) if width % 4 == 0 else tiles  # fewer, of four values each
        keys = np.zeros(np.array(words.shape)[[0, 1, 3]], np.int64)
        for row in range(patch):
            for i in range(words.shape[-1]):
                keys += words[:, :, row, :, i] * self._weights[row, i]
        found, first, counts = np.unique(keys, return_index=True, return_counts=True)
        for key, index, count in zip(found.tolist(), first.tolist(), counts.tolist(), strict=True):
            self.counts[key] = self.counts.get(key, 0) + count
            if key not in self.patches:
                frame, down, right = np.unravel_index(index, keys.shape)
                self.patches[key] = tiles[frame, down, :, right].reshape(-1).copy()
        self.frames += len(frames)

    def most_frequent(self, count: int) -> np.ndarray:
        """(up to `count`, P * P * C) uint8, the most frequent first."""

        def rank(key: int) -> tuple[int, bytes]:
            return -self.counts[key], self.patches[key].tobytes()

        return np.stack([self.patches[key] for key in sorted(self.counts, key=rank)[:count]])

    def lacking(self, count: int) -> float:
        """How many patches of another frame of the same game a dictionary of the `count` most
        frequent ones lacks, as a mean: those left out, and as many that never occurred as did once
        (Good 1953, "The population frequencies of species", eq. 9).
        """
        ascending = sorted(self.counts.values())
        left_out = ascending[: max(0, len(ascending) - count)]
        once = sum(number == 1 for number in ascending[len(left_out) :])
        return (sum(left_out) + once) / max(1, self.frames)


def too_many(counter: PatchCounter, count: int) -> bool:
    """Whether too many patches differ for a dictionary of `count` entries: count no more."""
    return len(counter.counts) > TOO_MANY * count


def enough(counter: PatchCounter, count: int) -> bool:
    """Whether a dictionary of at most `count` entries is enough for what was counted."""
    return not too_many(counter, count) and counter.lacking(count) <= MOST_LACKING


def count_patches(
    config: TokenizerConfig, colors: int, frames: Callable[[], Iterable[np.ndarray]]
) -> np.ndarray | None:
    """The patches (N, P * P * C) uint8 of a dictionary for frames in parts (T, H, W, C) uint8; None
    where the tokenizer of the config is no dictionary, or `auto` and too many patches differ.
    """
    if config.kind == "fsq":
        return None
    counter, automatic = PatchCounter(config.patch, config.patch**2 * colors), config.kind == "auto"
    for part in frames():
        counter.add(part)
        if automatic and too_many(counter, config.most_patches):
            return None
    if automatic and not enough(counter, config.most_patches):
        return None
    return counter.most_frequent(config.patches or config.most_patches)
