"""The key-value cache of a frame-causal transformer: a ring of the last S frames.

B lanes, T frames, P tokens per frame, D channels, L blocks, h heads of d channels, S places.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class KVCache(NamedTuple):
    """Keys and values of past frames.

    Keys are kept before their rotation, because the age of a frame will change.
    """

    keys: Tensor  # (B, L, h, S, P, d)
    values: Tensor  # (B, L, h, S, P, d)
    count: Tensor  # (B,) int64, frames read so far; number n lies in place n % S


class CacheView(NamedTuple):
    """A cache as the next frame sees it, and the action that leads there."""

    keys: Tensor  # (B, L, h, S * P, d), rotated
    values: Tensor  # (B, L, h, S * P, d)
    mask: Tensor  # (B, 1, 1, S * P + P) bool, visible: filled places, and the frame itself
    action: Tensor  # (B,) int64, the number of actions for none

    def layer(self, number: int) -> LayerView:
        """What block `number` attends to."""
        return LayerView(self.keys[:, number], self.values[:, number], self.mask)


class LayerView(NamedTuple):
    """A `CacheView` of one block."""

    keys: Tensor  # (B, h, S * P, d), rotated
    values: Tensor  # (B, h, S * P, d)
    mask: Tensor  # (B, 1, 1, S * P + P) bool


class Encoded(NamedTuple):
    """What a pass over frames leaves."""

    tokens: Tensor  # (B, T, P, D), before the output
    keys: Tensor  # (B, L, h, T, P, d), not rotated
    values: Tensor  # (B, L, h, T, P, d)


def append(cache: KVCache, encoded: Encoded) -> KVCache:
    """A new cache with the frames of `encoded` after those it has; the last S of all."""
    places, frames = cache.keys.shape[3], encoded.keys.shape[3]
    number = torch.arange(places, device=cache.count.device)
    # (B, S), which of the new frames comes into a place
    after = (number - cache.count[:, None]) % places
    index = after.clamp(max=frames - 1)[:, None, None, :, None, None]
    fresh = (after < frames)[:, None, None, :, None, None]

    def written(old: Tensor, new: Tensor) -> Tensor:
        moved = new if frames == 1 else torch.gather(new, 3, index.expand(old.shape))
        return torch.where(fresh, moved.to(old.dtype), old)

    keys, values = written(cache.keys, encoded.keys), written(cache.values, encoded.values)
    return KVCache(keys, values, cache.count + frames)
