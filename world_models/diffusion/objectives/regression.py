"""Regression: one deterministic frame, no noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from collectors.settings.parse import check_settings, setting
from world_models.diffusion.objectives.base import Objective
from world_models.protocols import Features, Network


@dataclass(frozen=True)
class Regression(Objective):
    """The network predicts x0 (B, n C, H, W) in one call, from x = 0 and t = 0;
    what is uncertain becomes its mean.

    Its output is the frame in [-1, 1], or with "bce" the logit of its brightness. Elements near
    motion may count `1 + motion_weight` times, divided by the mean weight of their sample.
    """

    preview_t: ClassVar[float] = 0.0

    error: Literal["mse", "huber", "bce"] = setting(
        "mse", "squared, Huber's, or the cross-entropy of brightness"
    )
    delta: float = setting(0.1, "where Huber's error turns from quadratic to linear, of [-1, 1]")
    motion_weight: float = setting(0.0, "extra weight of pixels near motion; 0: all count the same")
    motion_threshold: float = setting(
        0.04, "a pixel that differs from the last frame by more than this moves, of [-1, 1]"
    )
    motion_radius: int = setting(4, "pixels around a moving one that count as moving")

    def __post_init__(self):
        check_settings(self)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def sample_t(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """All 0, and nothing is drawn."""
        return torch.zeros(shape)

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """The frame; of x only the shape counts."""
        return self.frame(network(torch.zeros_like(x), torch.zeros_like(t), features))

    def frame(self, output: Tensor) -> Tensor:
        """The network's output as a frame, in about [-1, 1]."""
        return torch.tanh(output / 2) if self.error == "bce" else output

    def loss(
        self, network: Network, x0: Tensor, t: Tensor, noise: Tensor, features: Features
    ) -> Tensor:
        return self.distance(
            network(torch.zeros_like(x0), torch.zeros_like(t), features), x0, features.last
        )

    def learn(
        self, network: Network, x0: Tensor, features: Features, generator
    ) -> tuple[Tensor, Tensor]:
        """See `Objective.learn`; here the frame carries its gradient."""
        output = network(torch.zeros_like(x0), x0.new_zeros(len(x0)), features)
        return self.distance(output, x0, features.last), self.frame(output)

    def distance(self, output: Tensor, x0: Tensor, last: Tensor) -> Tensor:
        """Per-element error of the network's output, weighted by motion; all (B, n C, H, W), last
        (B, C, H, W).
        """
        output = output.to(x0.dtype)
        if self.error == "bce":
            error = F.binary_cross_entropy_with_logits(output, (x0 + 1) / 2, reduction="none")
        elif self.error == "huber":
            error = F.huber_loss(output, x0, reduction="none", delta=self.delta)
        else:
            error = (output - x0) ** 2
        return error * self.motion(x0, last) if self.motion_weight else error

    def motion(self, x0: Tensor, last: Tensor) -> Tensor:
        """Weights, the shape of x0 and of mean 1 over each sample."""
        moved = (x0.unflatten(1, (-1, last.shape[1])) - last[:, None]).abs().amax(
            2
        ) > self.motion_threshold
        # (B, n, H, W)
        mask = F.max_pool2d(moved.float(), 2 * self.motion_radius + 1, 1, self.motion_radius)
        weight = (1 + self.motion_weight * mask).repeat_interleave(last.shape[1], 1)
        return weight / weight.mean((1, 2, 3), keepdim=True)
