"""A tokenizer without training: a code is a patch that occurs in the data, so a game of few
different patches is encoded without any loss (cf. Dedieu et al. 2025, arXiv:2502.01591, whose codes
are patches of the data too).

B frames, C colors, H x W pixels, P pixels along the side of a patch, G x G patches, N entries.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SOFTMAX = 64  # most values of a digit of a code: such a digit is decided by one softmax
NEAR = 8  # entries from which a slightly wrong one is drawn


class PatchDictionary(nn.Module):
    """Codes are patches of the data; a frame is encoded by its nearest patches."""

    entries: Tensor  # (N, P * P * C) gray levels

    def __init__(self, patch: int, entries: int, colors: int):
        super().__init__()
        self.patch, size = patch, colors * patch**2
        self.codes = entries
        self.sizes = (
            (self.codes,) if self.codes <= SOFTMAX else (-(-self.codes // SOFTMAX), SOFTMAX)
        )
        # Gray levels: a bundle keeps weights in half precision, which holds whole numbers up to
        # 2048.
        self.register_buffer("entries", torch.zeros(self.codes, size))  # (N, P * P * C)
        self.neighbors: Tensor | None = None  # (N, NEAR) of each entry, once they are asked for

    def fill(self, patches: Tensor) -> None:
        """Takes over the patches (N, P * P * C) uint8 of the data. With the most frequent first the
        first digit of a code is easy to tell.
        """
        self.entries.copy_(patches)
        self.neighbors = None

    def encode(self, frames: Tensor) -> Tensor:
        entries = self.entries * (2 / 255) - 1
        tiles = cut_patches(frames.permute(0, 2, 3, 1), self.patch)  # (B, G, G, P * P * C)
        flat = tiles.flatten(0, 2)
        where, which = different_rows(flat)
        tile = flat[where]
        nearest = (entries.square().sum(1) - 2 * (tile @ entries.T)).argmin(-1)
        return nearest[which].view(tiles.shape[:3])

    def decode(self, codes: Tensor) -> Tensor:
        tiles = self.values(codes).unflatten(3, (self.patch, self.patch, -1))
        return tiles.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)

    def values(self, codes: Tensor) -> Tensor:
        return F.embedding(codes, self.entries) * (2 / 255) - 1

    def nearby(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """One of the `NEAR` entries that look most like each code's."""
        near = self.neighbors
        if near is None or near.device != codes.device:
            near = self.neighbors = self.find_neighbors()
        which = torch.randint(near.shape[1], codes.shape, generator=generator).to(codes.device)
        return near[codes, which]

    def find_neighbors(self) -> Tensor:
        """(N, NEAR) int64, the entries that look most like each."""
        distance = torch.cdist(self.entries, self.entries).fill_diagonal_(math.inf)
        return distance.topk(min(NEAR, self.codes), largest=False).indices

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self.neighbors = None  # other entries, other neighbors

    def losses(self, frames: Tensor) -> dict[str, Tensor]:
        return {}


def different_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (N, E) -> where the different ones are (M,), and for each row which of these it is (N,):
    most patches of a batch of frames are alike.
    """
    weights = torch.randn(rows.shape[1], generator=torch.Generator().manual_seed(0))
    keys = rows.double() @ weights.to(rows.device, torch.float64)
    _, which = keys.unique(return_inverse=True)
    where = which.new_zeros(int(which.max()) + 1)
    return where.scatter_(0, which, torch.arange(len(rows), device=rows.device)), which


def cut_patches(frames: Tensor, patch: int) -> Tensor:
    """frames (B, H, W, C) -> (B, H / P, W / P, P * P * C)."""
    tiles = frames.unflatten(2, (-1, patch)).unflatten(1, (-1, patch)).transpose(2, 3)
    return tiles.flatten(3)
