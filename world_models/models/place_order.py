"""In which order places of a frame are decided: evenly spread ones first.

Besnier et al. 2025 (arXiv:2503.17076) decide the places of an image in the order of a Halton
sequence, so that those of one pass lie far apart: each is drawn by itself, and what is near should
know of it. Here the order is that of ordered dithering (Bayer 1973), shifted at random for every
frame and lane, so that no place of the frame is always an early one.

B lanes, G x G places, L = G * G.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from world_models.noise import NoiseStream


@lru_cache
def dither_matrix(rows: int, columns: int, device: torch.device) -> Tensor:
    """(rows, columns) float32, different numbers in (0, 1): the places above any threshold are
    evenly spread. A part of Bayer's matrix of the next power of two.
    """
    matrix = np.zeros((1, 1), np.float32)
    while len(matrix) < max(rows, columns):
        matrix = np.block([[4 * matrix, 4 * matrix + 2], [4 * matrix + 3, 4 * matrix + 1]])
    part = np.ascontiguousarray(((matrix + 0.5) / matrix.size)[:rows, :columns])
    with torch.inference_mode(False):  # it outlasts the call
        return torch.from_numpy(part).to(device)  # once: a CUDA graph records no copy from the host


def spread_order(shape: torch.Size, noise: NoiseStream, salt: int) -> Tensor:
    """(B, L) float32: the places of a frame (G, G) in evenly spread order, the largest first."""
    rows, columns = shape
    matrix = dither_matrix(rows, columns, noise.seeds.device)
    shift = noise.uniform((2,), salt)  # (B, 2)
    down, right = ((shift[:, axis, None] * shape[axis]).long() for axis in (0, 1))
    row = (torch.arange(rows, device=matrix.device) + down) % rows  # (B, G)
    column = (torch.arange(columns, device=matrix.device) + right) % columns
    return matrix[row[:, :, None], column[:, None, :]].flatten(1)
