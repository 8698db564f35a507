"""The pixel U-Net: the reference architecture of diffusion world models,
at its published size or a small one.

Convolutions run at the frame's own resolution, as in the systems it stands for; all other networks
here work on a patch grid. `stem` 2 or 4 folds pixels into channels first, which is fast enough
for a CPU.

B lanes, K context frames, C colors, D channels of a token, N channels of the condition, G x G
patch grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import setting
from world_models.networks.actions import Actions, embed_actions
from world_models.networks.attention import AttentionBlock
from world_models.networks.blocks import fourier
from world_models.networks.grid import ContextEncoder, GridConfig
from world_models.networks.modulation import Film
from world_models.protocols import Features

LEVEL_FEATURES = 64  # sinusoids of the noise level


@dataclass(frozen=True)
class UNetConfig:
    """Sizes.

    The defaults are those of the pixel U-Net of the reference Snake, 64 x 64, 53 M parameters.

    Level i has `base * multipliers[i]` channels, half the resolution of the level above, and is
    left by a convolution of stride 2; the middle, below the last level, has attention. Raises
    ValueError where the sizes do not fit.
    """

    null_action: ClassVar[bool] = True
    copies = False

    width: int = setting(64, "channels of every token")
    patch: int = setting(
        4, "pixels along the side of a token: a power of two that one of the levels has"
    )
    encoder_depth: int = setting(
        1, "mixing blocks that read the context for outcome head and chance"
    )
    base: int = setting(128, "channels that the multipliers multiply")
    multipliers: tuple[int, ...] = setting(
        (2, 4, 4), "channels of each level, in bases; each level halves the resolution"
    )
    blocks: int = setting(1, "of each level, on the way down and on the way up")
    condition: int = setting(512, "channels of action and noise level together")
    groups: int = setting(32, "of every group norm")
    heads: int = setting(8, "of attention")
    stem: int = setting(1, "pixels along the side that are folded into channels")
    pixel_features: int = setting(
        0, "features of single pixels that the outcome head counts; 0: it sees patches linearly"
    )

    def __post_init__(self):
        token_sizes = [self.stem * 2**level for level in range(len(self.multipliers) + 1)]
        if self.patch not in token_sizes:
            raise ValueError(
                f"patch {self.patch} is the side of no level; with stem {self.stem} they are "
                f"{token_sizes}"
            )
        odd = [c for c in (self.base, *self.channels) if c % self.groups]
        if odd:
            raise ValueError(f"{odd[0]} channels do not divide into {self.groups} groups")
        if self.channels[-1] % self.heads:
            raise ValueError(f"{self.channels[-1]} channels do not divide into {self.heads} heads")

    @property
    def channels(self) -> tuple[int, ...]:
        """Of every level, the finest first."""
        return tuple(self.base * multiplier for multiplier in self.multipliers)


def adaptive_norm(channels: int, condition: int, groups: int) -> Film:
    """Group normalization whose scale and shift come from the condition (Dhariwal & Nichol 2021,
    arXiv:2105.05233, eq. 4).
    """
    return Film(channels, condition, nn.GroupNorm(groups, channels, affine=False))


def convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    """3 x 3 pixels, padded."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


class UNetBlock(nn.Module):
    """Convolution, AdaGN, SiLU, twice, and a 1x1 skip."""

    def __init__(self, inputs: int, outputs: int, condition: int, groups: int = 32):
        super().__init__()
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.conv1, self.conv2 = convolution(inputs, outputs), convolution(outputs, outputs)
        self.norm1, self.norm2 = (adaptive_norm(outputs, condition, groups) for _ in range(2))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = F.silu(self.norm1(self.conv1(x), condition))
        return self.skip(x) + F.silu(self.norm2(self.conv2(h), condition))


class UNetLevel(nn.ModuleList):
    """Blocks one after another under one condition; the first one changes the channels."""

    def __init__(self, count: int, inputs: int, outputs: int, config: UNetConfig):
        sizes = [(inputs, outputs)] + [(outputs, outputs)] * (count - 1)
        super().__init__(UNetBlock(i, o, config.condition, config.groups) for i, o in sizes)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for block in self:
            x = block(x, condition)
        return x


class UNet(nn.Module):
    """A denoiser (see `protocols.Network`) after Ronneberger et al. 2015 and Ho et al. 2020,
    arXiv:2006.11239, app. B.

    What depends on context and action alone is computed in `encode`: the context's share of the
    first convolution, the action's share of the condition, and the tokens, which enter at the level
    of their own resolution.
    """

    def __init__(
        self,
        config: UNetConfig,
        colors: int,
        context_channels: int,
        actions: Actions,
        grid_shape: tuple[int, int],
    ):
        super().__init__()
        check_halvings(config, grid_shape)
        self.colors, self.stem = colors, config.stem
        self.entry = (config.patch // config.stem).bit_length() - 1  # the level that tokens enter
        fold, channels, base = config.stem**2, config.channels, config.base
        grid = GridConfig(config.width, config.patch, config.encoder_depth)
        self.encoder = ContextEncoder(grid, context_channels, actions, grid_shape)
        n = config.condition
        self.action = nn.Sequential(embed_actions(actions, n), nn.SiLU(), nn.Linear(n, n))
        self.level = nn.Sequential(nn.Linear(LEVEL_FEATURES, n), nn.SiLU(), nn.Linear(n, n))
        self.conv_context = convolution(fold * context_channels, base)
        # without a bias: the other half of this convolution has it
        self.conv_noisy = nn.Conv2d(fold * colors, base, 3, padding=1, bias=False)
        ins, middle = (base, *channels[:-1]), channels[-1]
        self.enter = nn.Conv2d(config.width, (base, *channels)[self.entry], 1)
        self.down = nn.ModuleList(
            UNetLevel(config.blocks, i, o, config) for i, o in zip(ins, channels, strict=True)
        )
        self.shrink = nn.ModuleList(convolution(c, c, 2) for c in channels)
        self.middle = nn.ModuleList(UNetLevel(1, middle, middle, config) for _ in range(2))
        norm = nn.GroupNorm(config.groups, middle)
        self.attention = AttentionBlock(middle, config.heads, norm)
        above = ins[::-1]  # channels of what leaves a level on the way up
        below = (middle, *above[:-1])  # and of what enters it
        self.grow = nn.ModuleList(nn.ConvTranspose2d(c, c, 4, 2, 1) for c in below)
        self.up = nn.ModuleList(
            UNetLevel(config.blocks, i + skip, o, config)
            for i, skip, o in zip(below, channels[::-1], above, strict=True)
        )
        self.norm_out = nn.GroupNorm(config.groups, base)
        self.conv_out = convolution(base, fold * colors)

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """`rest`: the context's share of the first convolution (B, base, H, W) / stem and the
        action's share of the condition (B, N).
        """
        tokens, last, _ = self.encoder(frames, action, self.colors)
        return Features(tokens, last, (self.conv_context(self.folded(frames)), self.action(action)))

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """x (B, C, H, W), t (B,) -> (B, C, H, W)."""
        context, action = features.rest
        condition, skips = action + self.level(fourier(t, LEVEL_FEATURES)), []
        x = context + self.conv_noisy(self.folded(x))
        for depth, (blocks, shrink) in enumerate(zip(self.down, self.shrink, strict=True)):
            x = x + self.enter(features.tokens) if depth == self.entry else x
            skips.append(x := blocks(x, condition))
            x = shrink(x)
        x = x + self.enter(features.tokens) if self.entry == len(self.down) else x
        x = self.middle[1](self.attention(self.middle[0](x, condition)), condition)
        for blocks, grow in zip(self.up, self.grow, strict=True):
            x = blocks(torch.cat((grow(x), skips.pop()), 1), condition)
        x = self.conv_out(F.silu(self.norm_out(x)))
        return F.pixel_shuffle(x, self.stem) if self.stem > 1 else x

    def folded(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, stem^2 C, H / stem, W / stem)."""
        return F.pixel_unshuffle(x, self.stem) if self.stem > 1 else x


def check_halvings(config: UNetConfig, grid_shape: tuple[int, int]) -> None:
    """Raises ValueError where frames of G x G patches cannot be halved once per level."""
    deepest = config.stem * 2 ** len(config.multipliers)
    height, width = (config.patch * g for g in grid_shape)
    if height % deepest or width % deepest:
        raise ValueError(
            f"frames of {height}x{width} pixels cannot be halved down to cells of {deepest}"
        )
