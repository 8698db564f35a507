"""The layers shared by every grid network.

B lanes, D channels, G x G patch grid, P pixels a patch side. All maps are channels_last: on CPU
that doubles the throughput of 3x3 convolutions.
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
        # Channels last in memory, so the permuted view is contiguous and the fused CPU kernel
        # applies.
        y = F.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], self.scale, self.shift)
        return y.permute(0, 3, 1, 2)


def pool(x: Tensor) -> Tensor:
    """Mean and maximum over the grid: (B, D, G, G) -> (B, 2 D).

    The maximum lets one cell speak to all.
    """
    tokens = x.permute(0, 2, 3, 1).flatten(1, 2)  # (B, G * G, D)
    return torch.cat((tokens.mean(1), tokens.amax(1)), 1)


class MixBlock(nn.Module):
    """Residual block: 3x3 convolution for neighbours, pooled message for the far side, 1x1 to mix.

    The message is what lets the tail of a snake know that its head, anywhere on the board, has just
    eaten.
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
    """Residual self-attention over the G * G tokens, for worlds in which where matters and not only
    whether.
    """

    def __init__(self, width: int, heads: int = 4):
        super().__init__()
        self.heads, self.norm = heads, TokenNorm(width)
        self.qkv, self.out = nn.Conv2d(width, 3 * width, 1), nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        batch, width, rows, columns = x.shape
        tokens = (
            self.qkv(self.norm(x))
            .permute(0, 2, 3, 1)
            .reshape(batch, rows * columns, 3, self.heads, -1)
        )
        query, key, value = tokens.permute(2, 0, 3, 1, 4)  # each (B, heads, G * G, D / heads)
        y = (
            F.scaled_dot_product_attention(query, key, value)
            .transpose(1, 2)
            .reshape(batch, rows, columns, width)
        )
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


class CopyOut(nn.Module):
    """Each patch is painted, or copied from the last frame, or a blend of the two: a softmax over
    the sources.

    What does not change, or only moves, then costs the tokens nothing and does not fade over a long
    dream. Sources are the frame moved by given distances along each axis and, with `flow`, warped
    by a displacement that each patch predicts (Finn, Goodfellow & Levine 2016, arXiv:1605.07157;
    Jaderberg et al. 2015, arXiv:1506.02025, eq. 5): what the whole frame does, for cameras move all
    there is alike, and what it does beside.
    """

    sharpness = (
        4.0  # of the choice: a share soon comes so near to 1 that a copy is exact to the grey level
    )
    still, whole = (
        0.35,
        0.75,
    )  # where things are warped a dream takes less than so many pixels for none, more for all

    def __init__(self, width: int, patch: int, distances: tuple[int, ...], flow: float):
        super().__init__()
        moves = {
            (sign * d * (1 - axis), sign * d * axis)
            for d in distances
            for axis in (0, 1)
            for sign in (1, -1)
        }
        self.moves, self.flow, self.patch = sorted(moves), flow, patch
        self.norm = TokenNorm(width)
        self.choose = nn.Conv2d(width, 1 + len(self.moves) + (flow > 0), 1)
        self.point = nn.Conv2d(width, 2, 1) if flow else None
        self.pan = nn.Linear(2 * width, 2) if flow else None
        for layer in filter(None, (self.choose, self.point, self.pan)):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, tokens: Tensor, painted: Tensor, last: Tensor) -> Tensor:
        """tokens (B, D, G, G), painted and last (B, C, H, W) -> (B, C, H, W)."""
        tokens = F.silu(self.norm(tokens))
        share = (self.sharpness * self.choose(tokens)).softmax(1)  # (B, 1 + sources, G, G)
        sources = [shifted(last, *move) for move in self.moves]
        if self.point is not None:
            flow = self.flow * torch.tanh(
                self.point(tokens) + self.pan(pool(tokens))[:, :, None, None]
            )
            if not self.training:
                share, flow = self.settled(share, flow)
            sources.append(warped(last, flow, self.patch))
        share = share[:, :, :, None, :, None]  # (B, 1 + sources, G, 1, G, 1)
        if len(sources) == 1:
            # Under autocast the parts are of different precision, which lerp refuses.
            copied = self.tiles(sources[0])
            blend = torch.lerp(
                copied, *(x.to(copied.dtype) for x in (self.tiles(painted), share[:, 0]))
            )
        else:
            blend = sum(
                share[:, i] * self.tiles(source) for i, source in enumerate((painted, *sources))
            )
        return blend.reshape(painted.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)

    def settled(self, share: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
        """Shares (B, 1 + sources, G, G) and flow (B, 2, G, G) without what is all but certain to be
        nothing.

        A hundredth of a pixel of bilinear reading, or a hundredth of painting, is not to be seen in
        one frame and has dissolved the picture after forty.
        """
        most, which = share.max(1, keepdim=True)
        share = torch.where(
            most > self.whole, torch.zeros_like(share).scatter_(1, which, 1.0), share
        )
        return share, torch.where(flow.abs() < self.still, 0.0, flow)

    def tiles(self, frame: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, G, P, G, P * C), a view where channels come last in memory."""
        batch, channels, height, width = frame.shape
        patch = self.patch
        shape = (batch, height // patch, patch, width // patch, patch * channels)
        return frame.permute(0, 2, 3, 1).reshape(shape)


def shifted(frame: Tensor, down: int, right: int) -> Tensor:
    """The frame (B, C, H, W) moved by whole pixels; its edge is repeated into what comes in."""
    if not (down or right):
        return frame
    margin = max(abs(down), abs(right))
    height, width = frame.shape[2:]
    padded = F.pad(frame, (margin,) * 4, mode="replicate")
    return padded[
        :, :, margin - down : margin - down + height, margin - right : margin - right + width
    ]


def warped(frame: Tensor, flow: Tensor, patch: int) -> Tensor:
    """The frame (B, C, H, W) read `flow` (B, 2, G, G) pixels off, x first, bilinearly; its edge is
    repeated.
    """
    height, width = frame.shape[2:]
    rows = torch.linspace(-1, 1, height, device=frame.device)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, device=frame.device).expand(height, width)
    scale = flow.new_tensor((2 / (width - 1), 2 / (height - 1)))
    offset = (
        flow.repeat_interleave(patch, 2).repeat_interleave(patch, 3).permute(0, 2, 3, 1) * scale
    )  # (B, H, W, 2)
    grid = torch.stack((columns, rows), 2) + offset
    return F.grid_sample(frame, grid, mode="bilinear", padding_mode="border", align_corners=True)


def fourier(t: Tensor, width: int) -> Tensor:
    """Sinusoidal features of a noise level. t (B,) -> (B, width)."""
    frequency = torch.exp(torch.linspace(0, math.log(50.0), width // 2, device=t.device))
    angle = t[:, None] * frequency
    return torch.cat((angle.cos(), angle.sin()), 1)
