"""The layers shared by every grid network.

B lanes, D channels, E channels of a condition, G x G patch grid, P pixels along the side of a
patch. All maps are channels_last: on a CPU that doubles the throughput of 3x3 convolutions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.attention import AttentionBlock
from world_models.networks.initialization import zeroed
from world_models.networks.modulation import Film

HEADS = 4  # of attention after mixing blocks


class TokenNorm(nn.Module):
    """Layer norm over the channels of every token. (B, D, G, G) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))
        self.shift = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        # Channels last in memory, so the permuted view is contiguous and the fused CPU kernel
        # applies.
        y = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], self.scale, self.shift)
        return y.permute(0, 3, 1, 2)


def pool(x: Tensor) -> Tensor:
    """Mean and maximum over the grid: (B, D, G, G) -> (B, 2 D).

    The maximum lets one token speak to all.
    """
    tokens = x.permute(0, 2, 3, 1).flatten(1, 2)  # (B, G * G, D)
    return torch.cat((tokens.mean(1), tokens.amax(1)), 1)


class MixBlock(nn.Module):
    """Residual block: a 3x3 convolution for neighbors, a pooled message for all, a 1x1 to mix.

    The message is what lets the tail of a snake know that its head, anywhere on the grid, has just
    eaten. With a condition of `condition` channels the sum of the two is modulated by it.
    """

    def __init__(self, width: int, condition: int = 0):
        super().__init__()
        self.norm = TokenNorm(width)
        self.film = zeroed(Film(width, condition)) if condition else None
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.far = nn.Linear(2 * width, width)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x (B, D, G, G), condition (B, E) -> (B, D, G, G)."""
        y = self.norm(x)
        y = self.near(y) + self.far(pool(y))[:, :, None, None]
        if self.film is not None:
            assert condition is not None
            y = self.film(y, condition)
        return x + self.out(F.silu(y))


def trunk(width: int, depth: int, attention: bool) -> nn.Sequential:
    """`depth` mixing blocks, each followed by attention where asked for."""
    blocks: list[nn.Module] = []
    for _ in range(depth):
        blocks.append(MixBlock(width))
        if attention:
            blocks.append(AttentionBlock(width, HEADS, TokenNorm(width)))
    return nn.Sequential(*blocks)


class PatchEmbed(nn.Conv2d):
    """(B, C, H, W) -> (B, D, G, G): one token per patch."""

    def __init__(self, channels: int, width: int, patch: int):
        super().__init__(channels, width, patch, stride=patch)

    def forward(self, input: Tensor) -> Tensor:
        """On a processor never in bfloat16: there oneDNN (torch 2.13, AMX) computes something else
        where a patch of 4 has 16 or 24 channels, or one of 8 has 8 to 24.
        """
        weight = self.weight
        in_bfloat16 = torch.is_autocast_enabled("cpu") or weight.dtype == torch.bfloat16
        if not (input.is_cpu and in_bfloat16):
            return super().forward(input)
        bias = None if self.bias is None else self.bias.float()
        with torch.autocast("cpu", enabled=False):
            out = F.conv2d(input.float(), weight.float(), bias, self.stride)
        return out.to(weight.dtype)


class PatchOut(nn.Module):
    """(B, D, G, G) -> (B, C, H, W): each token is decoded to the pixels of its patch."""

    def __init__(self, width: int, channels: int, patch: int):
        super().__init__()
        self.norm, self.patch = TokenNorm(width), patch
        self.out = nn.Conv2d(width, channels * patch * patch, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(self.out(F.silu(self.norm(x))), self.patch)


def per_pixel(x: Tensor, patch: int) -> Tensor:
    """(B, D, G, G) -> (B, D, H, W): every pixel gets the values of its patch."""
    return x.repeat_interleave(patch, 2).repeat_interleave(patch, 3)


def fourier(t: Tensor, width: int) -> Tensor:
    """Sinusoidal features of a noise level. t (B,) -> (B, width)."""
    frequency = torch.exp(torch.linspace(0, math.log(50.0), width // 2, device=t.device))
    angle = t[:, None] * frequency
    return torch.cat((angle.cos(), angle.sin()), 1)
