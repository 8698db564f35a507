"""Frames made of copies: patches of the last frame, moved or warped, blended with decoded pixels.

B lanes, C colors, D channels of a token, G x G patch grid, P pixels along the side of a patch.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.blocks import TokenNorm, per_pixel, pool
from world_models.networks.initialization import zeroed

# of the softmax over sources: a share soon comes so near to 1 that a copy is exact
SHARPNESS = 4.0
# When dreaming, a flow of fewer pixels than this along an axis is none,
MIN_FLOW = 0.35
# and a source with a larger share than this is taken alone.
CERTAIN_SHARE = 0.75


class CopyOut(nn.Module):
    """Each patch is decoded, or copied from the last frame, or a blend of the two:
    a softmax over the sources.

    What does not change, or only moves, then costs the tokens nothing and does not fade over a long
    dream. Sources are the frame moved by given distances along each axis and, where `max_flow` is
    above 0, warped by a displacement that each patch predicts (Finn, Goodfellow & Levine 2016,
    arXiv:1605.07157; Jaderberg et al. 2015, arXiv:1506.02025, eq. 5). The displacement is a sum:
    that of the whole frame, because cameras move all alike, and that of the patch.
    """

    def __init__(self, width: int, patch: int, distances: tuple[int, ...], max_flow: float):
        super().__init__()
        moves = {
            (sign * d * (1 - axis), sign * d * axis)
            for d in distances
            for axis in (0, 1)
            for sign in (1, -1)
        }
        self.moves, self.max_flow, self.patch = sorted(moves), max_flow, patch
        self.norm = TokenNorm(width)
        self.source = zeroed(nn.Conv2d(width, 1 + len(self.moves) + (max_flow > 0), 1))
        self.patch_flow = zeroed(nn.Conv2d(width, 2, 1)) if max_flow else None
        self.frame_flow = zeroed(nn.Linear(2 * width, 2)) if max_flow else None

    def forward(self, tokens: Tensor, decoded: Tensor, last: Tensor) -> Tensor:
        """tokens (B, D, G, G), decoded and last (B, C, H, W) -> (B, C, H, W)."""
        tokens = F.silu(self.norm(tokens))
        share = (SHARPNESS * self.source(tokens)).softmax(1)  # (B, 1 + sources, G, G)
        sources = [shifted(last, *move) for move in self.moves]
        if self.patch_flow is not None and self.frame_flow is not None:
            whole = self.frame_flow(pool(tokens))[:, :, None, None]
            flow = self.max_flow * torch.tanh(self.patch_flow(tokens) + whole)
            if not self.training:
                share, flow = rounded(share, flow)
            sources.append(warped(last, flow, self.patch))
        blend = self.blended(share, decoded, sources)
        return blend.reshape(decoded.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)

    def blended(self, share: Tensor, decoded: Tensor, sources: list[Tensor]) -> Tensor:
        """Shares (B, 1 + sources, G, G) of frames (B, C, H, W) -> (B, G, P, G, P * C)."""
        share = share[:, :, :, None, :, None]  # (B, 1 + sources, G, 1, G, 1)
        first = self.tiles(decoded)
        if len(sources) == 1:
            # Under autocast the parts are of different precision, which lerp refuses.
            copied = self.tiles(sources[0])
            return torch.lerp(copied, first.to(copied.dtype), share[:, 0].to(copied.dtype))
        blend = share[:, 0] * first
        for i, source in enumerate(sources, 1):
            blend = blend + share[:, i] * self.tiles(source)
        return blend

    def tiles(self, frame: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, G, P, G, P * C), a view where channels come last in memory."""
        batch, channels, height, width = frame.shape
        patch = self.patch
        shape = (batch, height // patch, patch, width // patch, patch * channels)
        return frame.permute(0, 2, 3, 1).reshape(shape)


def rounded(share: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """Shares (B, 1 + sources, G, G) and flow (B, 2, G, G), where what is nearly nothing is nothing.

    A hundredth of a pixel of bilinear reading, or a hundredth of another source, is not visible in
    one frame but has blurred the frame after forty.
    """
    most, which = share.max(1, keepdim=True)
    certain = torch.zeros_like(share).scatter_(1, which, 1.0)
    share = torch.where(most > CERTAIN_SHARE, certain, share)
    return share, torch.where(flow.abs() < MIN_FLOW, 0.0, flow)


def shifted(frame: Tensor, down: int, right: int) -> Tensor:
    """The frame (B, C, H, W) moved by whole pixels; its edge is repeated into what comes in."""
    if not (down or right):
        return frame
    margin = max(abs(down), abs(right))
    height, width = frame.shape[2:]
    padded = F.pad(frame, (margin,) * 4, mode="replicate")
    top, left = margin - down, margin - right
    return padded[:, :, top : top + height, left : left + width]


def warped(frame: Tensor, flow: Tensor, patch: int) -> Tensor:
    """The frame (B, C, H, W) read `flow` (B, 2, G, G) pixels off, x first,
    bilinearly; its edge is repeated.
    """
    height, width = frame.shape[2:]
    rows = torch.linspace(-1, 1, height, device=frame.device)[:, None].expand(height, width)
    columns = torch.linspace(-1, 1, width, device=frame.device).expand(height, width)
    scale = flow.new_tensor((2 / (width - 1), 2 / (height - 1)))
    offset = per_pixel(flow, patch).permute(0, 2, 3, 1) * scale  # (B, H, W, 2)
    grid = torch.stack((columns, rows), 2) + offset
    return F.grid_sample(frame, grid, mode="bilinear", padding_mode="border", align_corners=True)
