"""The few colors of a game: frames that are drawn in them cannot fade, blur or keep ghosts.

P colors, B lanes, H x W x C a frame.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from world_models.protocols import TrainingFrames


def find_palette(frames: TrainingFrames, most: int) -> np.ndarray | None:
    """All colors (P, C) uint8 of the frames, in order; None where there are more than `most`."""
    found: np.ndarray | None = None
    for part in frames():
        own = _colors(part.reshape(-1, part.shape[-1]))
        found = own if found is None else _colors(np.concatenate((found, own)))
        if len(found) > most:
            return None
    return found


def _colors(pixels: np.ndarray) -> np.ndarray:
    """The different rows of pixels (N, C) uint8; numpy sorts numbers far quicker than rows."""
    if pixels.shape[1] > 8:  # of a stack of images
        return np.unique(pixels, axis=0)
    wide = np.zeros((len(pixels), 8), np.uint8)
    wide[:, : pixels.shape[1]] = pixels
    return np.unique(wide.view(np.uint64)).view(np.uint8).reshape(-1, 8)[:, : pixels.shape[1]]


def to_palette(x: Tensor, palette: Tensor) -> Tensor:
    """Frames (B, C, H, W) in about [-1, 1] -> (B, H, W, C) uint8, each pixel the nearest color of
    the palette (P, C) float of whole numbers from 0 to 255.
    """
    levels = (x.float().movedim(1, -1) + 1) * 127.5
    # a product of matrices would be in bfloat16 under autocast and by some backends
    apart = [(levels[..., c, None] - palette[:, c].float()).square() for c in range(x.shape[1])]
    return palette.to(torch.uint8)[torch.stack(apart).sum(0).argmin(-1)].contiguous()
