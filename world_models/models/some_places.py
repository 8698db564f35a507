"""Some places of some lanes, as a batch of their own: where it is sure what comes, no more needs to
be computed.

B lanes, L places of a frame, N of the B * L in all, D channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from world_models.noise import NoiseStream


class SomePlaces(NamedTuple):
    """N of the places of B lanes."""

    rows: Tensor  # (N,) int64 into the B * L places
    shape: tuple[int, int]  # B, L

    @classmethod
    def where(cls, among: Tensor) -> SomePlaces:
        """Those that are True in `among` (B, L) bool."""
        return cls(among.flatten().nonzero()[:, 0], (among.shape[0], among.shape[1]))

    def take(self, x: Tensor) -> Tensor:
        """(B, L, D) -> (N, 1, D); of two halves (2 B, L, D), as under guidance, (2 N, 1, D)."""
        parts = x.reshape(len(x) // self.shape[0], -1, x.shape[2])
        return parts.index_select(1, self.rows).reshape(-1, 1, x.shape[2])

    def put_back(self, x: Tensor) -> Tensor:
        """(N, 1) -> (B, L), zeros at the other places."""
        every_place = torch.zeros(self.shape[0] * self.shape[1], dtype=x.dtype, device=x.device)
        return every_place.index_copy(0, self.rows, x[:, 0]).view(self.shape)


class PlaceNoise(NamedTuple):
    """The noise of lanes at some places of their frames: the draws that these have among all."""

    stream: NoiseStream
    places: SomePlaces

    @property
    def seeds(self) -> Tensor:
        """(N,) int64, of the lane of each place."""
        return self.stream.seeds[self.places.rows // self.places.shape[1]]

    def uniform(self, shape: tuple[int, ...], salt: int) -> Tensor:
        """(N, 1) float32 in [0, 1): one number per place is all that `shape` may ask for."""
        if shape != (1,):
            raise ValueError(f"a place has one number per use, not {shape}")
        drawn = self.stream.uniform((self.places.shape[1],), salt)
        return drawn.flatten().index_select(0, self.places.rows)[:, None]


def along_edge(shape: torch.Size, places: int, device: torch.device) -> Tensor:
    """Which places of a grid are among the outermost `places` on any side, (1, L) bool."""
    near = torch.ones(shape, dtype=torch.bool, device=device)
    near[places:-places, places:-places] = False
    return near.flatten()[None]
