"""In which order places of a frame are decided, evenly spread ones first, and how many per pass.

Besnier et al. 2025 (arXiv:2503.17076) decide the places of an image in the order of a Halton
sequence, so that those of one pass lie far apart: each is drawn by itself, and what is near should
know of it. Here the order is that of ordered dithering (Bayer 1973), shifted at random for every
frame and lane, so that no place of the frame is always an early one.

B lanes, G x G places, L = G * G.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from world_models.networks.code_copy import SURE
from world_models.noise import NoiseStream

FAR = 1_000.0  # puts all unsure places behind the sure ones


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


def shuffled(log_probability: Tensor, noise: NoiseStream, salt: int, temperature: float) -> Tensor:
    """Log-probabilities (B, L) with so much Gumbel noise, as the code of MaskGIT orders places."""
    gumbel = noise.gumbel(tuple(log_probability.shape[1:]), salt)
    return log_probability + temperature * gumbel


def sure_first(log_probability: Tensor, order: Tensor | None) -> Tensor:
    """What places are decided by (B, L), the largest first: log-probabilities (B, L), but for
    places that are not sure their `order` (B, L), behind the sure ones; None: all alike.
    """
    if order is None:
        return log_probability
    return torch.where(log_probability < SURE, order - FAR, log_probability)


def still_masked(unsure: Tensor, number: int, passes: int, doubling: bool = False) -> Tensor:
    """How many of `unsure` (B,) places are undecided (B,) int64 after pass `number`, none after the
    last one: by the cosine schedule of MaskGIT, or each pass decides twice as many places as the
    one before (`doubling`).

    In spread order the places of a pass lie amid those of the passes before, so the last half may
    be decided at once. What is decided first knows of nothing, so it should be little.
    """
    if doubling:
        return (unsure * (1 - (2**number - 1) / (2**passes - 1))).long()
    return (unsure * math.cos(math.pi / 2 * number / passes)).long()
