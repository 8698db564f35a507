"""What all objectives share: x_t = alpha(t) x0 + sigma(t) noise, and t = 0 is clean.

B lanes, ... any trailing shape: C x H x W for a frame, T x C x H x W for a clip with a level for
every frame.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from world_models.noise import channels_last
from world_models.protocols import Features, Network

# noise over signal at which a training step takes the frame that the network predicts
PREVIEW_NOISE = 0.3


def spread(t: Tensor, x: Tensor) -> Tensor:
    """Levels t (B,), or (B, T), with as many axes as x (B, ...), to multiply it."""
    return t[(...,) + (None,) * (x.ndim - t.ndim)]


class Objective(ABC):
    """What a network learns, and how its output becomes a frame.

    Subclasses are frozen dataclasses. They decide what their networks get for a level, and know
    nothing of a network's insides.
    """

    prediction: str = "frame"  # what the network's output stands for
    preview_t: float  # the level whose noise over signal is PREVIEW_NOISE, or near it

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Share of the frame at levels t, the shape of t."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Standard deviation of the noise at levels t, the shape of t."""

    @abstractmethod
    def sample_t(self, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Levels to train at."""

    @abstractmethod
    def loss(
        self, network: Network, x0: Tensor, t: Tensor, noise: Tensor, features: Features
    ) -> Tensor:
        """Per-element loss, the shape of x0 and noise (B, ...); t (B,)."""

    @abstractmethod
    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """Estimate of x0, the shape of x (B, ...); t (B,)."""

    def noised(self, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t, the shape of x0."""
        return spread(self.alpha(t), x0) * x0 + spread(self.sigma(t), x0) * noise

    def learn(
        self, network: Network, x0: Tensor, features: Features, generator
    ) -> tuple[Tensor, Tensor]:
        """One training step: the loss per element, and the frame that a short dream would show;
        both shaped as x0.

        The frame has no gradient, unless the objective's only call made it.
        """
        t = self.sample_t((len(x0),), generator).to(x0)
        noise = channels_last(torch.randn(x0.shape, generator=generator).to(x0))
        error = self.loss(network, x0, t, noise, features)
        with torch.no_grad():
            level = torch.full_like(t, self.preview_t)
            predicted = self.denoise(network, self.noised(x0, level, noise), level, features)
        return error, predicted


class Path(Objective):
    """An objective with a path from noise to data that a sampler can walk, level by level."""

    @abstractmethod
    def levels(self, steps: int, device: torch.device | None = None) -> Tensor:
        """(steps + 1,) decreasing, the last one 0; made on the device, as a CUDA graph asks."""
