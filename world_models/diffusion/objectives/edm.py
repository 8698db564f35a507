"""EDM. Symbols inside formulas are those of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from collectors.settings.parse import setting
from world_models.diffusion.objectives.base import PREVIEW_NOISE, Path, spread
from world_models.protocols import Features, Network


@dataclass(frozen=True)
class EDM(Path):
    """Karras et al. 2022, "Elucidating the design space of diffusion-based generative models",
    arXiv:2206.00364.

    Here t is sigma itself and alpha = 1. Where a new thing lands is decided at noise between 0.5
    and 5: a patch of food stands out of noise of 1 by six standard deviations, of 5 by one. So
    levels are drawn there, far above those of photographs, and the last sampled one is high: from
    there on a frame of flat colors is known.
    """

    preview_t: ClassVar[float] = PREVIEW_NOISE

    sigma_data: float = setting(0.5, "standard deviation of frames, of [-1, 1]")
    log_mean: float = setting(0.2, "mean of ln sigma in training")
    log_std: float = setting(1.0, "standard deviation of ln sigma in training")
    sigma_min: float = setting(0.4, "last noise level that the network is called at")
    sigma_max: float = setting(6.0, "noise level that sampling starts from")
    rho: float = setting(7.0, "how sampled levels crowd towards the last one")
    precondition: bool = setting(
        True,
        "the paper's; false: the network predicts the frame, as those that copy must",
    )

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def sample_t(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Training levels: ln sigma ~ N(log_mean, log_std^2)."""
        return (torch.randn(shape, generator=generator) * self.log_std + self.log_mean).exp()

    def levels(self, steps: int, device: torch.device | None = None) -> Tensor:
        """(steps + 1,) decreasing from sigma_max to sigma_min, then 0 (eq. 5)."""
        ramp = torch.linspace(0, 1, steps, device=device)
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        return torch.cat(((high + ramp * (low - high)) ** self.rho, torch.zeros(1, device=device)))

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """D(x; sigma) = c_skip x + c_out F(c_in x; c_noise) (eq. 7, table 1)."""
        sigma = spread(t, x)
        total = sigma**2 + self.sigma_data**2
        c_skip = self.sigma_data**2 / total
        c_out = sigma * self.sigma_data / total.sqrt()
        c_in = 1 / total.sqrt()
        output = network(c_in * x, t.log() / 4, features)
        return c_skip * x + c_out * output if self.precondition else output

    def loss(
        self, network: Network, x0: Tensor, t: Tensor, noise: Tensor, features: Features
    ) -> Tensor:
        """lambda(sigma) |D - x0|^2 per element, lambda = 1 / c_out^2 (eq. 8)."""
        sigma = spread(t, x0)
        denoised = self.denoise(network, self.noised(x0, t, noise), t, features)
        weight = (sigma**2 + self.sigma_data**2) / (sigma * self.sigma_data) ** 2
        return weight * (denoised - x0) ** 2
