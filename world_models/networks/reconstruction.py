"""What an autoencoder of frames is measured by, beside the error of a pixel.

B frames, C colors, H x W pixels.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def roughness(frames: Tensor, area: int = 4) -> Tensor:
    """Mean absolute Laplacian of areas of so many pixels a side: frames (B, C, H, W) ->
    (B * C, 1, H / area, W / area).
    """
    kernel = frames.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    edges = F.conv2d(frames.flatten(0, 1)[:, None], kernel[None, None])
    return F.avg_pool2d(edges.abs(), area, ceil_mode=True)


def patch_weights(squared: Tensor, patch: int, focus: float) -> Tensor:
    """Weights of pixels (B, 1, H, W), mean 1, from their squared errors (B, C, H, W): the error of
    their patch of so many pixels a side, to the power of `focus`.
    """
    errors = F.avg_pool2d(squared.detach().mean(1, keepdim=True), patch)
    weights = (errors / errors.mean().clamp_min(1e-8)).clamp(1e-2, 1e2).pow(focus)
    weights = weights / weights.mean()
    return weights.repeat_interleave(patch, 2).repeat_interleave(patch, 3)
