"""Classifier-free guidance on the action (Ho & Salimans 2022, arXiv:2207.12598, eq. 6).

B lanes. Under guidance features hold two halves in every leaf: (2 B, ...), the one with the action
first, then the one without.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from world_models.protocols import Features


class Guided(nn.Module):
    """A network whose output goes from that without the action past that with it.

    output = without + scale (with - without)
    """

    network: Any  # a module that is a `protocols.Network`

    def __init__(self, network: nn.Module, scale: float, null_action: int | float):
        super().__init__()
        self.network, self.scale, self.null_action = network, scale, null_action

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """(2 B, ...): the features with the action, then without.

        frames (B, K * C, H, W), encoded actions (B, *row).
        """
        none = action * 0 + self.null_action
        return self.network.encode(torch.cat((frames, frames)), torch.cat((action, none)))

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """x (B, ...), t (B,), features (2 B, ...) -> the shape of x."""
        output = self.network(torch.cat((x, x)), torch.cat((t, t)), features)
        with_action, without = output.chunk(2)
        return without + self.scale * (with_action - without)


def guide(network: nn.Module, scale: float, null_action: int | float) -> nn.Module:
    """The network under guidance; scale 1 is the network itself and costs one forward pass."""
    return network if scale == 1 else Guided(network, scale, null_action)
