"""The two-part grid network: a dear half that reads the context once, a cheap half that paints.

B lanes, K context frames, C colours, D channels, G x G patch grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.blocks import CopyOut, PatchEmbed, PatchOut, fourier, trunk
from world_models.protocols import Features, NetworkConfig


@dataclass(frozen=True)
class GridConfig:
    """Sizes of the two halves."""

    null_action: ClassVar[bool] = True

    width: int = 64  # channels of every token
    patch: int = 4  # pixels along the side of a patch
    encoder_depth: int = 2  # mixing blocks that read the context, once a step
    decoder_depth: int = 2  # mixing blocks that paint, once a denoising step
    attention: bool = False  # self-attention after every mixing block
    positions: bool = False  # tokens know where they are, for worlds in which a place pays
    copy: tuple[
        int, ...
    ] = ()  # patches may be copied from the last frame, from so many pixels off along each axis
    pixel_features: int = (
        0  # features of single pixels that the outcome head counts; 0: it sees patches linearly
    )
    # and from so many pixels off at most in any direction, wherever the network points; 0: not
    flow: float = 0.0

    @property
    def copies(self) -> bool:
        return bool(self.copy) or self.flow > 0


class Encoder(nn.Module):
    """Context frames and the action -> features (B, D, G, G)."""

    def __init__(
        self, config: GridConfig, channels: int, actions: int, grid_shape: tuple[int, int]
    ):
        super().__init__()
        self.place = (
            nn.Parameter(torch.zeros(config.width, *grid_shape)) if config.positions else None
        )
        self.embed = PatchEmbed(channels, config.width, config.patch)
        self.action = nn.Embedding(
            actions + 1, config.width
        )  # the last row is the learned null for guidance
        self.trunk = trunk(config.width, config.encoder_depth, config.attention)

    def forward(self, frames: Tensor, action: Tensor, colours: int) -> Features:
        """frames (B, K * C, H, W) in [-1, 1], action (B,) int64; the number of actions stands for
        'none given'.
        """
        tokens = self.embed(frames) + self.action(action)[:, :, None, None]
        tokens = self.trunk(tokens if self.place is None else tokens + self.place)
        return Features(tokens, frames[:, -colours:])


class Decoder(nn.Module):
    """Tokens -> frame (B, C, H, W), painted, or where the config says so blended from painting and
    copies.
    """

    def __init__(self, config: GridConfig, channels: int):
        super().__init__()
        self.trunk = trunk(config.width, config.decoder_depth, config.attention)
        self.out = PatchOut(config.width, channels, config.patch)
        self.copy = (
            CopyOut(config.width, config.patch, config.copy, config.flow) if config.copies else None
        )

    def paint(self, tokens: Tensor, last: Tensor) -> Tensor:
        """tokens (B, D, G, G) after the trunk, last (B, C, H, W) -> (B, C, H, W)."""
        painted = self.out(tokens)
        return painted if self.copy is None else self.copy(tokens, painted, last)

    def forward(self, tokens: Tensor, last: Tensor) -> Tensor:
        return self.paint(self.trunk(tokens), last)


class GridDenoiser(nn.Module):
    """A denoiser (see `protocols.Network`): what it says of x at level t, given the features of
    context and action.
    """

    def __init__(
        self,
        config: GridConfig,
        channels: int,
        context_channels: int,
        actions: int,
        grid_shape: tuple[int, int],
    ):
        super().__init__()
        self.colours, self.patch = channels, config.patch
        self.encoder = Encoder(config, context_channels, actions, grid_shape)
        self.embed = PatchEmbed(channels, config.width, config.patch)
        width = config.width
        self.level = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.decoder = Decoder(config, channels)
        # How much of the noisy patch itself goes to the output, token by token. What EDM asks for
        # is the clean frame minus a share of the noisy one: without this path the tokens would have
        # to carry every noisy value.
        self.keep = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.keep.weight)
        nn.init.zeros_(self.keep.bias)

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        return self.encoder(frames, action, self.colours)

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        level = self.level(fourier(t, features.tokens.shape[1]))[:, :, None, None]
        tokens = self.decoder.trunk(self.embed(x) + level + features.tokens)
        keep = (
            self.keep(tokens).repeat_interleave(self.patch, 2).repeat_interleave(self.patch, 3)
        )  # (B, 1, H, W)
        return self.decoder.paint(tokens, features.last) + keep * x


class OutcomeHead(nn.Module):
    """What a frame pays: reward classes, termination and trust, from the features and the frame
    that was sampled.
    """

    def __init__(self, config: NetworkConfig, channels: int, rewards: int):
        super().__init__()
        self.rewards, fine = rewards, config.pixel_features
        # A patch is embedded linearly, and no linear map counts the pixels of a colour: where that
        # pays, look at each.
        self.fine = (
            nn.Sequential(nn.Conv2d(channels, fine, 1), nn.SiLU()) if fine else nn.Identity()
        )
        self.embed = PatchEmbed(fine or channels, config.width, config.patch)
        self.mix = nn.Conv2d(config.width, config.width, 1)
        self.out = nn.Linear(2 * config.width, rewards + 2)

    def forward(self, features: Tensor, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """features (B, D, G, G), frame (B, C, H, W) -> logits of reward (B, R), termination (B,)
        and trust (B,).
        """
        h = F.silu(self.mix(F.silu(features + self.embed(self.fine(frame)))))
        tokens = h.permute(0, 2, 3, 1).flatten(1, 2)  # (B, G * G, D)
        out = self.out(torch.cat((tokens.mean(1), tokens.amax(1)), 1))
        return out[:, : self.rewards], out[:, self.rewards], out[:, self.rewards + 1]
