"""The one place where pixels change their kind: uint8 HWC outside, float CHW in [-1, 1] inside."""

from __future__ import annotations

import torch
from torch import Tensor


def to_float(frames: Tensor) -> Tensor:
    """(..., H, W, C) uint8 -> (..., C, H, W) float32 in [-1, 1]; a view with channels-last strides
    where it can be.
    """
    return (frames.float() * (2 / 255) - 1).movedim(-1, -3)


def to_uint8(x: Tensor) -> Tensor:
    """(..., C, H, W) float -> (..., H, W, C) uint8, clipped to [-1, 1] and rounded."""
    return ((x.movedim(-3, -1) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).contiguous()


def stack(frames: Tensor) -> Tensor:
    """(B, K, H, W, C) uint8 -> (B, K * C, H, W) float32, channels_last, oldest frame first."""
    x = to_float(frames).flatten(1, 2)
    return x.contiguous(memory_format=torch.channels_last)
