"""The move of a whole frame: which whole number of pixels, down and to the right, takes the last
frame nearest to the next one.

Where a camera follows a player by parts of a patch, every code changes in every step although
almost nothing is new. The move is decided first; the last frame, moved by it, then tells the codes
of all that was in sight. It is motion compensation of a whole frame, as "global motion" in video
coding, with a move that is predicted and drawn.

B lanes, D channels, H x W x C a frame, P pixels along the side of a patch, R and S the reach in
pixels along rows and columns, M = (2 R + 1)(2 S + 1) moves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models import frames as pixels
from world_models.networks.blocks import PatchEmbed, fourier, pool
from world_models.networks.initialization import zeroed

AS_NEAR = 0.25  # gray levels squared, below which two moves are as near: spectra are rounded


class Scroll(nn.Module):
    """Predicts the move of the whole frame, and makes it.

    Moves (B,) int64 are rows of `moves`, nearest first; 0 stands still.
    """

    moves: Tensor  # (M, 2) int64: rows down, columns to the right

    def __init__(self, width: int, reach: tuple[int, int], patch: int, colors: int, past: int):
        """`patch` pixels along a patch; `past`: how many moves before are known."""
        super().__init__()
        rows, columns = (torch.arange(-r, r + 1) for r in reach)
        moves = torch.cartesian_prod(rows, columns)
        order = moves.abs().sum(1).argsort(stable=True)
        self.register_buffer("moves", moves[order], persistent=False)
        self.reach, self.patch = reach, patch
        self.embed = PatchEmbed(colors + 1, width, patch)
        self.last = zeroed(PatchEmbed(colors, width, patch))
        self.past = nn.Linear(2 * past * width, width)
        self.hidden = nn.Linear(3 * width, 2 * width)
        self.logits = nn.Linear(2 * width, len(moves))

    def velocity(self, moves: Tensor) -> Tensor:
        """The last moves (B, past) as a part of the condition (B, D): several tell parts of a
        pixel.
        """
        reach = self.moves.new_tensor([max(r, 1) for r in self.reach])
        parts = (self.moves[moves] / reach + 1) / 2  # (B, past, 2) in [0, 1]
        waves = fourier(parts.flatten(), self.past.out_features)
        return self.past(waves.view(len(moves), -1))

    def pixels(self, last: Tensor, lanes: int) -> Tensor:
        """What the pixels of the last frame (B, H, W, C) uint8 add to the features of `lanes`
        lanes, B or twice as many: codes alone do not say to the pixel what stands on what.
        """
        added = self.last(pixels.stack(last[:, None]))
        return added.repeat(lanes // len(last), 1, 1, 1)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Logits (B, M) of the move, from features (B, D, G, G) and the condition (B, D)."""
        x = torch.cat((pool(tokens), condition), 1)
        return self.logits(F.silu(self.hidden(x))).float()

    @torch.no_grad()
    def nearest(self, last: Tensor, target: Tensor) -> Tensor:
        """The move (B,) int64 of frames `last` that comes nearest to `target`, both (B, H, W, C)
        uint8: the mean squared difference of gray levels where both are in sight, the smallest
        move where several are as near.
        """
        return (self.move_errors(last, target) / AS_NEAR).round().argmin(1)

    def move_errors(self, last: Tensor, target: Tensor) -> Tensor:
        """That difference (B, M) for every move. The sums over what is in sight of (a - b)^2 are
        correlations of a^2 with 1, of 1 with b^2 and of a with b: three products of spectra.
        """
        a, b = (x.float().mean(3) - 128 for x in (last, target))
        (height, width), (rows, columns) = a.shape[1:], self.reach
        size = (height + rows, width + columns)  # so that no move goes around
        sight = torch.ones_like(a[:1])
        parts = (a, a.square(), b, b.square(), sight)
        a, squared_a, b, squared_b, sight = (torch.fft.rfft2(x, s=size) for x in parts)
        spectrum = squared_a.conj() * sight + sight.conj() * squared_b - 2 * a.conj() * b
        down, right = self.moves.unbind(1)
        sums = torch.fft.irfft2(spectrum, s=size)[:, down % size[0], right % size[1]]
        return sums / ((height - down.abs()) * (width - right.abs()))

    def past_moves(self, frames: Tensor) -> Tensor:
        """How each of the frames (B, K, H, W, C) uint8 scrolled to the next: (B, K - 1) int64."""
        pairs = self.nearest(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1))
        return pairs.view(len(frames), -1)

    def moved(self, frames: Tensor, move: Tensor) -> tuple[Tensor, Tensor]:
        """Frames (B, H, W, C) moved by `move` (B,), with their edges repeated where nothing was in
        sight, and which pixels were (B, H, W) bool.
        """
        (height, width), (down, right) = frames.shape[1:3], self.moves[move].unbind(1)
        row = torch.arange(height, device=frames.device) - down[:, None]  # (B, H)
        column = torch.arange(width, device=frames.device) - right[:, None]  # (B, W)
        known = within(row, height)[:, :, None] & within(column, width)[:, None]
        row, column = row.clamp(0, height - 1), column.clamp(0, width - 1)
        place = (row[:, :, None] * width + column[:, None]).flatten(1)  # (B, H * W)
        place = place[..., None].expand(-1, -1, frames.shape[3])
        return frames.flatten(1, 2).gather(1, place).view_as(frames), known

    def features(self, moved: Tensor, known: Tensor) -> Tensor:
        """What the moved frame (B, C, H, W) in [-1, 1] adds to the features (B, D, G, G), where
        its pixels were in sight (B, H, W) bool.
        """
        inside = known[:, None].to(moved.dtype)
        return self.embed(torch.cat((moved * inside, inside), 1))


def within(place: Tensor, size: int) -> Tensor:
    """Which of the places (B, L) lie in [0, size)."""
    return (place >= 0) & (place < size)


def whole_patches(pixels: Tensor, patch: int) -> Tensor:
    """Patches (B, H / P, W / P) of which all pixels (B, H, W) bool are true."""
    return -F.max_pool2d(-pixels[:, None].float(), patch)[:, 0] > 0.5
