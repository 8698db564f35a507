"""The layers shared by every grid network.

B lanes, D channels, G x G patch grid, P pixels a patch side. All maps are channels_last: on CPU that doubles the
throughput of 3x3 convolutions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class TokenNorm(nn.Module):
    """Layer norm over the channels of every token. (B, D, G, G) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        # Channels last in memory, so the permuted view is contiguous and the fused CPU kernel applies.
        y = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], self.scale, self.shift)
        return y.permute(0, 3, 1, 2)


def pool(x: Tensor) -> Tensor:
    """Mean and maximum over the grid: (B, D, G, G) -> (B, 2 D). The maximum lets one cell speak to all."""
    tokens = x.permute(0, 2, 3, 1).flatten(1, 2)  # (B, G * G, D)
    return torch.cat((tokens.mean(1), tokens.amax(1)), 1)


class MixBlock(nn.Module):
    """Residual block: 3x3 convolution for neighbours, pooled message for the far side, 1x1 to mix.

    The message is what lets the tail of a snake know that its head, anywhere on the board, has just eaten.
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm = TokenNorm(width)
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.far = nn.Linear(2 * width, width)
        self.out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        y = self.near(y) + self.far(pool(y))[:, :, None, None]
        return x + self.out(F.silu(y))


class AttentionBlock(nn.Module):
    """Residual self-attention over the G * G tokens, for worlds in which where matters and not only whether."""

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads, self.norm = heads, TokenNorm(width)
        self.qkv, self.out = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, rows, columns = x.shape
        tokens = self.qkv(self.norm(x)).permute(0, 2, 3, 1).reshape(batch, rows * columns, 3, self.heads, -1)
        query, key, value = tokens.permute(2, 0, 3, 1, 4)  # each (B, heads, G * G, D / heads)
        y = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).reshape(batch, rows, columns, width)
        return x + self.out(y.permute(0, 3, 1, 2))


def trunk(width: int, depth: int, attention: bool) -> nn.Sequential:
    """`depth` mixing blocks, each followed by attention where asked for."""
    blocks: list[nn.Module] = []
    for _ in range(depth):
        blocks += [MixBlock(width)] + ([AttentionBlock(width)] if attention else [])
    return nn.Sequential(*blocks)


class PatchEmbed(nn.Conv2d):
    """(B, channels, H, W) -> (B, D, G, G): one token a patch."""

    def __init__(self, channels: int, width: int, patch: int):
        super().__init__(channels, width, patch, stride=patch)


class PatchOut(nn.Module):
    """(B, D, G, G) -> (B, channels, H, W): each token paints its patch."""

    def __init__(self, width: int, channels: int, patch: int):
        super().__init__()
        self.norm, self.patch = TokenNorm(width), patch
        self.out = nn.Conv2d(width, channels * patch * patch, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.out(F.silu(self.norm(x))), self.patch)


def fourier(t: Tensor, width: int) -> Tensor:
    """Sinusoidal features of a noise level. t (B,) -> (B, width)."""
    frequency = torch.exp(torch.linspace(0, math.log(1000.0), width // 2, device=t.device))
    angle = t[:, None] * frequency
    return torch.cat((angle.cos(), angle.sin()), 1)
