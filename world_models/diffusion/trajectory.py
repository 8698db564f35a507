"""The frames between noise and frame: an objective that keeps what it was asked about."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from world_models.diffusion.objectives import Objective
from world_models.protocols import Features, Network


class Watched:
    """An objective that keeps what its samplers ask it about, a sample of each level once."""

    def __init__(self, objective: Objective):
        self.objective, self.seen = objective, {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """See `Objective`.

        A sampler that looks ahead asks twice about a level; what counts is the second time.
        """
        size = (self.objective.alpha(t[0]) ** 2 + self.objective.sigma(t[0]) ** 2).sqrt()
        self.seen[float(t[0])] = x / size  # at every level about as wide as a frame
        return self.objective.denoise(network, x, t, features)

    def field(self, network: Network, x: Tensor, features: Features) -> Tensor:
        """See `EquilibriumMatching`."""
        self.seen[len(self.seen)] = x
        return self.objective.field(network, x, features)
