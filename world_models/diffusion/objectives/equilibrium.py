"""Equilibrium matching. Symbols inside formulas are those of the paper, but for t = 1 - gamma."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from collectors.settings.parse import check_settings, setting
from world_models.diffusion.energy import energy_gradient, energy_of
from world_models.diffusion.objectives.base import PREVIEW_NOISE, Objective, spread
from world_models.protocols import Features, Network


@dataclass(frozen=True)
class EquilibriumMatching(Objective):
    """Wang & Du 2025, "Equilibrium matching", arXiv:2510.02300:
    one gradient field whose resting points are frames.

    x_gamma = gamma x0 + (1 - gamma) noise, and the network learns (noise - x0) c(gamma), which
    vanishes at the data (eq. 3). It does not get gamma (its t is 0): `samplers.Descent` follows the
    field downhill. Here t stands for 1 - gamma, so that 0 is clean as everywhere.

    c(gamma), times the multiplier lambda (section 3.2), is by `schedule`:

    - linear: 1 - gamma
    - truncated: 1 up to gamma = a, then straight down to 0
    - piecewise: from b straight down (or up) to 1 at gamma = a, then straight down to 0; b = 1 is
      truncated

    The paper's best is a = 0.8, b = 1, lambda = 4, the default. With an `energy` the field is its
    gradient (section 3.4): the network's output f enters x . f(x) ("dot") or |f(x)|^2 / 2 ("l2"). A
    step then costs a backward pass too.
    """

    schedule: Literal["linear", "truncated", "piecewise"] = setting(
        "piecewise", "how the target shrinks towards the data"
    )
    a: float = setting(0.8, "share of the path after which it falls straight to 0")
    b: float = setting(1.0, "where the piecewise schedule begins, in its height at a")
    multiplier: float = setting(4.0, "of the whole target")
    energy: Literal["", "dot", "l2"] = setting(
        "", 'the field is the gradient of x . f(x) (dot) or |f(x)|^2 / 2 (l2); "": it is the output'
    )

    def __post_init__(self):
        check_settings(self)
        if not (0 < self.a < 1 and self.multiplier > 0):
            raise ValueError(
                f"equilibrium matching needs 0 < a < 1 and multiplier > 0: {self.a}, "
                f"{self.multiplier}"
            )

    @property
    def knee(self) -> float:
        """gamma from which c falls straight to 0."""
        return 0.0 if self.schedule == "linear" else self.a

    @property
    def stride(self) -> float:
        """The step size that lands on the data in one step from the last part of the path;
        a larger one may overshoot.
        """
        return (1 - self.knee) / self.multiplier

    @property
    def preview_t(self) -> float:
        """On the last part of the path, where `denoise` lands."""
        return min(1 - self.knee, PREVIEW_NOISE / (1 + PREVIEW_NOISE))

    def magnitude(self, gamma: Tensor) -> Tensor:
        """lambda c(gamma), the shape of gamma in [0, 1]."""
        rest = (1 - gamma) / (1 - self.knee)
        if self.schedule == "linear":
            return self.multiplier * rest
        start = self.b if self.schedule == "piecewise" else 1.0
        return self.multiplier * torch.where(
            gamma <= self.a, start - (start - 1) * gamma / self.a, rest
        )

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def sample_t(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Uniform in (0, 1)."""
        return torch.rand(shape, generator=generator)

    def field(self, network: Network, x: Tensor, features: Features) -> Tensor:
        """What `samplers.Descent` follows, the shape of x (B, ...)."""
        level = x.new_zeros(len(x))
        if not self.energy:
            return network(x, level, features)

        def energy(x: Tensor, features: Features) -> Tensor:
            return energy_of(self.energy, x, network(x, level.clone(), features))

        return energy_gradient(energy, x, features)

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """x - stride f(x): where one step of descent lands.

        x0 itself for gamma >= `knee`, and short of it before.
        """
        return x - self.stride * self.field(network, x, features)

    def loss(
        self, network: Network, x0: Tensor, t: Tensor, noise: Tensor, features: Features
    ) -> Tensor:
        """|f - (noise - x0) c(gamma)|^2 per element (eq. 3)."""
        field = self.field(network, self.noised(x0, t, noise), features)
        return (field - (noise - x0) * spread(self.magnitude(1 - t), x0)) ** 2
