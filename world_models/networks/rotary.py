"""Positions as rotations of queries and keys (RoPE: Su et al. 2021, arXiv:2104.09864),
so that only distances count.

T frames, P tokens per frame (registers first, then the patch grid), d channels per head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Rotary(nn.Module):
    """Angles of the tokens of a frame, which the number of the frame enters.

    flat: the position is that in the whole sequence, frame * P + token. factored: the channels are
    divided between frame, row and column. Registers, which have no position, come first and lie
    outside the grid.
    """

    frame: Tensor  # (d / 2,) angle from frame to frame
    inside: Tensor  # (P, d / 2) angle of a token in its frame

    def __init__(
        self, kind: str, channels: int, grid_shape: tuple[int, int], registers: int, base: float
    ):
        super().__init__()
        angles = _flat_angles if kind == "flat" else _factored_angles
        frame, inside = angles(channels // 2, grid_shape, registers, base)
        self.register_buffer("frame", frame, persistent=False)
        self.register_buffer("inside", inside, persistent=False)

    def forward(self, frames: int) -> Tensor:
        """Angles (T, P, d / 2) of frames 0 to T - 1."""
        number = torch.arange(frames, device=self.frame.device, dtype=self.frame.dtype)
        return number[:, None, None] * self.frame + self.inside


def _flat_angles(
    pairs: int, grid_shape: tuple[int, int], registers: int, base: float
) -> tuple[Tensor, Tensor]:
    tokens = registers + grid_shape[0] * grid_shape[1]
    frequency = base ** -(torch.arange(pairs) / pairs)
    inside = torch.arange(float(tokens))[:, None] * frequency
    return torch.full((pairs,), float(tokens)) * frequency, inside


def _factored_angles(
    pairs: int, grid_shape: tuple[int, int], registers: int, base: float
) -> tuple[Tensor, Tensor]:
    share = pairs // 3  # of the row, and of the column; the frame has the rest
    frame_pairs = pairs - 2 * share
    numbers = torch.cat((torch.arange(frame_pairs), torch.arange(share), torch.arange(share)))
    counts = torch.tensor([frame_pairs] * frame_pairs + [share] * (2 * share))
    frequency = base ** -(numbers / counts)
    of_frame = (torch.arange(pairs) < frame_pairs).float()
    rows, columns = grid_shape
    place = torch.cartesian_prod(torch.arange(float(rows)), torch.arange(float(columns)))
    outside = -1 - torch.arange(float(registers))[:, None].expand(registers, 2)
    place = torch.cat((outside, place)).repeat_interleave(share, 1)  # (P, 2 * share)
    return of_frame * frequency, F.pad(place, (frame_pairs, 0)) * frequency


def rotate(x: Tensor, angle: Tensor) -> Tensor:
    """x (..., d) turned by angles (..., d / 2) that broadcast.

    Channel i makes a pair with channel i + d / 2.
    """
    first, second = x.chunk(2, -1)
    cosine, sine = angle.cos(), angle.sin()
    return torch.cat((first * cosine - second * sine, first * sine + second * cosine), -1)
