"""Attention between the frames of a clip: whole to a frame's own tokens, causal between frames, and
never further back than the window. Positions are rotations (RoPE: Su et al. 2021,
arXiv:2104.09864), so that only distances count.

B lanes, T frames, P tokens a frame, N = T * P tokens a clip, d channels a head.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import create_block_mask, flex_attention


def sees(query: Tensor, key: Tensor, window: int) -> Tensor:
    """Whether tokens of the frames `query` look at those of the frames `key`; int64 frame numbers
    that broadcast.
    """
    return (query >= key) & (query - key < window)


@lru_cache(8)
def dense_mask(frames: int, tokens: int, window: int, device: torch.device) -> Tensor:
    """(N, N) bool, true where a token looks."""
    with torch.inference_mode(False):  # it is kept, and training needs it too
        number = torch.arange(frames * tokens, device=device) // tokens
        return sees(number[:, None], number, window)


@lru_cache(8)
def block_mask(frames: int, tokens: int, window: int, device: torch.device):
    """The same for FlexAttention (Dong et al. 2024, arXiv:2412.05496)."""

    def rule(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return sees(query // tokens, key // tokens, window)

    with torch.inference_mode(False):
        return create_block_mask(rule, None, None, frames * tokens, frames * tokens, device=device)


def attend_dense(query: Tensor, key: Tensor, value: Tensor, tokens: int, window: int) -> Tensor:
    """See `attend`; with a mask of all pairs."""
    mask = dense_mask(query.shape[2] // tokens, tokens, window, query.device)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def attend_flex(query: Tensor, key: Tensor, value: Tensor, tokens: int, window: int) -> Tensor:
    """See `attend`; what is masked is skipped. Fused on CUDA, elsewhere plain and slow."""
    mask = block_mask(query.shape[2] // tokens, tokens, window, query.device)
    kernel = fused_flex() if query.is_cuda else flex_attention
    return kernel(query, key, value, block_mask=mask)


@lru_cache(1)
def fused_flex():
    """FlexAttention as one kernel."""
    return torch.compile(flex_attention)


def attend(query: Tensor, key: Tensor, value: Tensor, tokens: int, window: int) -> Tensor:
    """Block-causal attention within clips.

    query, key, value (B, heads, N, d) -> (B, heads, N, d).
    """
    return (attend_flex if query.is_cuda else attend_dense)(query, key, value, tokens, window)


class Rotary(nn.Module):
    """Angles of the tokens of a frame, with the number of the frame among them.

    flat: the position is that in the whole sequence, frame * P + token. factored: the channels are
    divided between frame, row and column. Registers, which have no place, come first and sit
    outside the grid.
    """

    def __init__(
        self, kind: str, channels: int, grid_shape: tuple[int, int], registers: int, base: float
    ):
        super().__init__()
        rows, columns = grid_shape
        tokens, pairs = registers + rows * columns, channels // 2
        if kind == "flat":
            scale, place = torch.full((pairs,), float(tokens)), torch.arange(float(tokens))[:, None]
            frequency = base ** -(torch.arange(pairs) / pairs)
            inside = place * frequency
        else:
            share = pairs // 3
            numbers = torch.cat(
                (torch.arange(pairs - 2 * share), torch.arange(share), torch.arange(share))
            )
            counts = torch.tensor([pairs - 2 * share] * (pairs - 2 * share) + [share] * (2 * share))
            frequency = base ** -(numbers / counts)
            scale = (torch.arange(pairs) < pairs - 2 * share).float()
            place = torch.cartesian_prod(torch.arange(float(rows)), torch.arange(float(columns)))
            outside = -1 - torch.arange(float(registers))[:, None].expand(registers, 2)
            place = torch.cat((outside, place)).repeat_interleave(share, 1)  # (P, 2 * share)
            inside = F.pad(place, (pairs - 2 * share, 0)) * frequency
        self.register_buffer(
            "frame", scale * frequency, persistent=False
        )  # (d / 2,) angle from frame to frame
        self.register_buffer(
            "inside", inside, persistent=False
        )  # (P, d / 2) angle of a token in its frame

    def forward(self, frames: int) -> Tensor:
        """Angles (T, P, d / 2) of frames 0 to T - 1."""
        number = torch.arange(frames, device=self.frame.device, dtype=self.frame.dtype)
        return number[:, None, None] * self.frame + self.inside


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """x (..., d) turned by angles (..., d / 2) that broadcast: channel i makes a pair with channel
    i + d / 2.
    """
    first, second = x.chunk(2, -1)
    cosine, sine = angle.cos(), angle.sin()
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), -1)
