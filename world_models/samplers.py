"""Samplers: from noise to a frame. Each is an objective and a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from world_models.objectives import EDM
from world_models.protocols import Features, Network


@dataclass(frozen=True)
class Euler:
    """Euler steps on the probability-flow ODE (Karras et al. 2022, algorithm 1 without its correction)."""

    objective: EDM
    steps: int

    def __call__(self, network: Network, noise: Tensor, features: Features) -> Tensor:
        """noise (B, C, H, W) standard normal -> frame (B, C, H, W)."""
        levels = self.objective.levels(self.steps).to(noise)
        x = noise * levels[0]
        for now, after in zip(levels[:-1], levels[1:], strict=True):
            x0 = self.objective.denoise(network, x, now.expand(len(x)), features)
            x = x0 + (x - x0) * (after / now)
        return x


class Guided(nn.Module):
    """Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598, eq. 6) on the action.

    Features hold both halves, the one with the action first.
    """

    def __init__(self, network: nn.Module, scale: float, null_action: int):
        super().__init__()
        self.network, self.scale, self.null_action = network, scale, null_action

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """(2 B, D, G, G): the features with the action, then without."""
        return self.network.encode(frames.repeat(2, 1, 1, 1), torch.cat((action, action * 0 + self.null_action)))

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        with_action, without = self.network(x.repeat(2, 1, 1, 1), t.repeat(2), features).chunk(2)
        return without + self.scale * (with_action - without)


def guide(network: nn.Module, scale: float, null_action: int) -> nn.Module:
    """The network under guidance; scale 1 is the network itself and costs one forward."""
    return network if scale == 1 else Guided(network, scale, null_action)
