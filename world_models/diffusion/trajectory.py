"""What is between noise and frame: an objective and a field that keep what goes through them.

B lanes.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from world_models.diffusion.objectives import Objective
from world_models.protocols import Features, Network


class RecordingObjective:
    """An objective that keeps what its sampler asks it about, one sample of each level."""

    def __init__(self, objective: Objective):
        self.objective: Any = objective
        self.samples: dict[float, Tensor] = {}  # in the order of sampling, (B, ...) each

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """See `Objective`.

        A sampler that looks ahead asks twice about a level; the second sample is kept.
        """
        size = (self.objective.alpha(t[0]) ** 2 + self.objective.sigma(t[0]) ** 2).sqrt()
        self.samples[float(t[0])] = x / size  # of about the range of a frame at every level
        return self.objective.denoise(network, x, t, features)

    def field(self, network: Network, x: Tensor, features: Features) -> Tensor:
        """See `EquilibriumMatching`."""
        self.samples[len(self.samples)] = x
        return self.objective.field(network, x, features)


class RecordingField(nn.Module):
    """A gradient field that keeps its inputs, and the root mean square of its outputs."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network
        self.inputs: list[Tensor] = []  # (B, N) each
        self.norms: list[Tensor] = []  # (B,) each

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """x (B, N), t (B,) -> (B, N)."""
        output = self.network(x, t, features)
        self.inputs.append(x)
        self.norms.append(output.square().mean(1).sqrt())
        return output
