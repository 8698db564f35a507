"""Flow matching on straight paths. Symbols inside formulas are those of the papers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from collectors.settings.parse import check_settings, setting
from world_models.diffusion.objectives.base import PREVIEW_NOISE, Path, spread
from world_models.protocols import Features, Network

SMALLEST_T = 0.05  # a frame's error counts no more than at this level, though its velocity's would


@dataclass(frozen=True)
class FlowMatching(Path):
    """Rectified flow (Liu, Gong & Liu 2022, arXiv:2209.03003):
    x_t = (1 - t) x0 + t noise, v = noise - x0.

    Networks get t. With prediction "frame" they predict x0 and the loss is still that of v, (x_t -
    x0) / t (Li & He 2025, arXiv:2511.13720): for networks that copy from the last frame.
    """

    preview_t: ClassVar[float] = PREVIEW_NOISE / (1 + PREVIEW_NOISE)

    prediction: Literal["velocity", "frame"] = setting(
        "velocity", "what the network predicts; networks that copy need frame"
    )
    times: Literal["uniform", "logit-normal"] = setting(
        "uniform", "how noise levels are drawn in training"
    )
    log_mean: float = setting(0.0, "of ln(t / (1 - t)), where times are logit-normal")
    log_std: float = setting(1.0, "its standard deviation")
    shift: float = setting(1.0, "of the sampled levels: above 1, more of them are at high noise")

    def __post_init__(self):
        check_settings(self)

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def sample_t(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """In (0, 1), uniform or logit-normal."""
        if self.times == "uniform":
            return torch.rand(shape, generator=generator)
        return (torch.randn(shape, generator=generator) * self.log_std + self.log_mean).sigmoid()

    def levels(self, steps: int, device: torch.device | None = None) -> Tensor:
        """(steps + 1,) from 1 to 0, evenly but for the shift."""
        t = torch.linspace(1, 0, steps + 1, device=device)
        return self.shift * t / (1 + (self.shift - 1) * t)

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """x0 = x - t v."""
        output = network(x, t, features)
        return output if self.prediction == "frame" else x - spread(t, x) * output

    def loss(
        self, network: Network, x0: Tensor, t: Tensor, noise: Tensor, features: Features
    ) -> Tensor:
        """|v - (noise - x0)|^2 per element."""
        output = network(self.noised(x0, t, noise), t, features)
        if self.prediction == "velocity":
            return (output - (noise - x0)) ** 2
        return ((output - x0) / spread(t, x0).clamp_min(SMALLEST_T)) ** 2
