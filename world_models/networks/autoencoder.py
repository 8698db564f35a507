"""A convolutional autoencoder: frames to a small grid of latents and back.

Hinton & Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", with
Huber's error (1964).

B frames, C colors, H x W pixels, Z latent channels on an h x w grid, h = H / downsample.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import check_settings, setting

GROUP = 8  # channels that are normalized together


@dataclass(frozen=True)
class AutoencoderConfig:
    """Sizes of the autoencoder and what it learns. Raises ValueError on what cannot be built."""

    width: int = setting(32, "channels after the first halving; each further one doubles them")
    widest: int = setting(128, "most channels")
    downsample: Literal[8, 16] = setting(8, "pixels along the side of a latent")
    latent_channels: int = setting(16, "numbers per latent")
    delta: float = setting(1.0, "where Huber's error turns from quadratic to linear, of [-1, 1]")
    variance_weight: float = setting(1e-4, "of the loss that gives latents a variance of 1")

    def __post_init__(self):
        check_settings(self)
        if self.width % GROUP or self.widest % GROUP:
            raise ValueError(
                f"widths of an autoencoder are multiples of {GROUP}: {self.width}, {self.widest}"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels after each halving."""
        return tuple(
            min(self.widest, self.width << level)
            for level in range(int(math.log2(self.downsample)))
        )


class Autoencoder(nn.Module):
    """`encode` halves the sides with 4x4 convolutions;
    `decode` doubles them, 2x2 pixels out of each 3x3 convolution.
    """

    def __init__(self, config: AutoencoderConfig, colors: int):
        super().__init__()
        self.config, widths = config, config.widths
        down: list[nn.Module] = []
        for before, after in zip((colors, *widths), widths, strict=False):
            down.append(nn.Conv2d(before, after, 4, 2, 1))
            down += [nn.GroupNorm(after // GROUP, after), nn.SiLU()]
        self.encoder = nn.Sequential(*down, nn.Conv2d(widths[-1], config.latent_channels, 1))
        up: list[nn.Module] = [nn.Conv2d(config.latent_channels, widths[-1], 1)]
        for before, after in zip(widths[::-1], widths[-2::-1], strict=False):
            up += [nn.Conv2d(before, 4 * after, 3, padding=1), nn.PixelShuffle(2)]
            up += [nn.GroupNorm(after // GROUP, after), nn.SiLU()]
        self.decoder = nn.Sequential(
            *up, nn.Conv2d(widths[0], 4 * colors, 3, padding=1), nn.PixelShuffle(2)
        )

    def encode(self, frames: Tensor) -> Tensor:
        """frames (B, C, H, W) in [-1, 1] -> latents (B, Z, h, w) float32, of variance about 1."""
        return self.encoder(frames).float()

    def decode(self, latents: Tensor) -> Tensor:
        """latents (B, Z, h, w) -> frames (B, C, H, W) in (-1, 1)."""
        return torch.tanh(self.decoder(latents).float())

    def losses(self, frames: Tensor) -> dict[str, Tensor]:
        """Means over frames (B, C, H, W), weighted:
        Huber's error, and that of each frame's variance of latents.
        """
        config, latents = self.config, self.encode(frames)
        spread = latents.flatten(1).var(1)
        return {
            "reconstruction": F.huber_loss(self.decode(latents), frames, delta=config.delta),
            "variance": config.variance_weight * ((spread - 1) ** 2).mean(),
        }
