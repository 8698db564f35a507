"""Denoising diffusion with the cosine schedule. Symbols inside formulas are those of the papers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from collectors.settings.parse import check_settings, setting
from world_models.diffusion.objectives.base import PREVIEW_NOISE, Path, spread
from world_models.protocols import Features, Network

SMALLEST_SIGMA = 0.05  # a frame's error counts no more than at this level, though its v's would
# keeps a trace of the frame in the noisiest level (Nichol & Dhariwal, section 3.2)
LARGEST_BETA = 0.999


@dataclass(frozen=True)
class DDPM(Path):
    """Ho, Jain & Abbeel 2020 (arXiv:2006.11239) with the schedule
    of Nichol & Dhariwal 2021 (arXiv:2102.09672).

    t counts the levels 0 (clean) to T as floats; alpha(t)^2 = alpha-bar(t) and sigma^2 = 1 -
    alpha^2. Networks get t / T. From v = alpha noise - sigma x0 (Salimans & Ho 2022,
    arXiv:2202.00512, eq. 9) x0 follows at every level; from the noise it follows poorly at the top,
    so few steps need "v". With prediction "frame" networks predict x0 and the loss is still that of
    v, (x0' - x0) / sigma: for networks that copy from the last frame.
    """

    timesteps: int = setting(400, "noise levels of the schedule")
    prediction: Literal["noise", "v", "frame"] = setting(
        "v", "what the network predicts; few steps need v, networks that copy need frame"
    )
    clamp: bool = setting(True, "estimates of the frame to [-1, 1]; not for latents")
    offset: float = setting(0.008, "s of the cosine schedule")

    def __post_init__(self):
        check_settings(self)
        if self.timesteps < 2:
            raise ValueError(f"DDPM needs at least two timesteps, got {self.timesteps}")

    @property
    def floor(self) -> float:
        """alpha-bar of the noisiest level."""
        quarter = math.pi / 2 / (1 + self.offset)
        before, first = (
            math.cos((u + self.offset) * quarter) ** 2 for u in (1 - 1 / self.timesteps, 0)
        )
        return (1 - LARGEST_BETA) * before / first

    def alpha_bar(self, t: Tensor) -> Tensor:
        """f(t) / f(0), f(t) = cos^2((t / T + s) / (1 + s) pi / 2) (eq. 17),
        the last beta cut to LARGEST_BETA.
        """
        quarter = math.pi / 2 / (1 + self.offset)
        first = math.cos(self.offset * quarter) ** 2
        return (((t / self.timesteps + self.offset) * quarter).cos() ** 2 / first).clamp_min(
            self.floor
        )

    def alpha(self, t: Tensor) -> Tensor:
        return self.alpha_bar(t).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        # 1 - alpha-bar as a product of sines, which loses no digits near t = 0 and is 0 there
        quarter = math.pi / 2 / (1 + self.offset)
        angle = t / self.timesteps * quarter
        sines = angle.sin() * (angle + 2 * self.offset * quarter).sin()
        return (sines / math.cos(self.offset * quarter) ** 2).clamp_max(1 - self.floor).sqrt()

    @property
    def preview_t(self) -> float:
        """The inverse of the schedule at sigma / alpha = PREVIEW_NOISE."""
        quarter = math.pi / 2 / (1 + self.offset)
        cosine = math.cos(self.offset * quarter) / math.sqrt(1 + PREVIEW_NOISE**2)
        return max(1.0, round(self.timesteps * (math.acos(cosine) / quarter - self.offset)))

    def sample_t(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Uniform in 1 ... T."""
        return torch.randint(1, self.timesteps + 1, shape, generator=generator).float()

    def levels(self, steps: int, device: torch.device | None = None) -> Tensor:
        """(steps + 1,) whole levels, evenly from T to 0."""
        return torch.linspace(self.timesteps, 0, steps + 1, device=device).round()

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """x0 = (x - sigma noise) / alpha, or alpha x - sigma v, or the output itself."""
        alpha, sigma = spread(self.alpha(t), x), spread(self.sigma(t), x)
        output = network(x, t / self.timesteps, features)
        if self.prediction == "frame":
            x0 = output
        elif self.prediction == "noise":
            x0 = (x - sigma * output) / alpha
        else:
            x0 = alpha * x - sigma * output
        return x0.clamp(-1, 1) if self.clamp else x0

    def loss(
        self, network: Network, x0: Tensor, t: Tensor, noise: Tensor, features: Features
    ) -> Tensor:
        """|prediction - target|^2 per element (Ho et al., eq. 14)."""
        output = network(self.noised(x0, t, noise), t / self.timesteps, features)
        if self.prediction == "noise":
            return (output - noise) ** 2
        alpha, sigma = spread(self.alpha(t), x0), spread(self.sigma(t), x0)
        if self.prediction == "frame":
            return ((output - x0) / sigma.clamp_min(SMALLEST_SIGMA)) ** 2
        return (output - (alpha * noise - sigma * x0)) ** 2
