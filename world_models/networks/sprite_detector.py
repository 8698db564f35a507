"""Where sprites are in a frame: what differs from the background, by brightness or by color, has a
centroid that is exact below a pixel.

N frames, C colors, P sprites of S x S pixels, H x W pixels per frame.
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_CONTRAST = 0.03  # how much a pixel must differ from the background, of [-1, 1]
MIN_BACKGROUND_RATE = 0.001  # least step of the background's running median towards a new frame
MIN_ACTIVITY_RATE = 0.002  # least rate of the running mean of what changes
ACTIVITY_THRESHOLD = 0.035  # a sprite is only where at least this share of the largest change is

Terms = list[tuple[int, float]]  # (color, share) pairs to add up


class SpriteDetector(nn.Module):
    """Finds P sprites in frames. It learns its background and where things change in `update`."""

    background: Tensor  # (C, H, W) in [-1, 1], the median of every pixel
    activity: Tensor  # (P, H, W), how much changes from frame to frame
    updates: Tensor  # scalar, how many there were

    def __init__(self, count: int, size: int, shape: tuple[int, int, int]):
        """shape: (H, W, C) of a frame.

        Raises ValueError for more sprites than C colors can tell apart.
        """
        super().__init__()
        height, width, colors = shape
        if count > 2 * colors + 1:
            raise ValueError(
                f"{colors} colors tell at most {2 * colors + 1} sprites apart, not {count}"
            )
        self.size, self.contrasts = size, contrasts(colors)[:count]
        self.register_buffer("background", torch.zeros(colors, height, width))
        self.register_buffer("activity", torch.ones(count, height, width))
        self.register_buffer("updates", torch.zeros(()))

    def contrast_maps(self, x: Tensor) -> Tensor:
        """Frames x (N, C, H, W) in [-1, 1] -> how much of each sprite is where, (N, P, H, W).

        Linear in how much of a pixel is covered, so centroids are exact.
        """
        return (self.raw_contrast(x) - MIN_CONTRAST).clamp(min=0)

    def raw_contrast(self, x: Tensor) -> Tensor:
        """The same without the least contrast, and negative where a sprite is not."""
        # (C, N, H, W): three planes are quick to combine
        difference = (x - self.background).transpose(0, 1).contiguous()
        maps = [
            reduce(torch.minimum, [weighted_sum(difference, terms) for terms in contrast])
            for contrast in self.contrasts
        ]
        return torch.stack(maps, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Frames x (N, C, H, W) in [-1, 1] -> centers (N, P, 2), row and column in pixels, and the
        mass of what was found (N, P).
        """
        height, width = x.shape[2:]
        # A score that is drawn in a player's color is no player: it hardly ever changes.
        activity = F.max_pool2d(self.activity, 3, 1, 1)
        active = activity > ACTIVITY_THRESHOLD * activity.amax((1, 2), keepdim=True)
        maps = self.contrast_maps(x) * active
        peak = box_sum(maps).flatten(2).argmax(2)  # (N, P)
        span, r = torch.arange(self.size, device=x.device), self.size // 2
        rows = (peak // width - r).clamp(0, height - self.size)[..., None] + span  # (N, P, S)
        columns = (peak % width - r).clamp(0, width - self.size)[..., None] + span
        index = (rows[..., :, None] * width + columns[..., None, :]).flatten(2)
        window = maps.flatten(2).gather(2, index).unflatten(2, (self.size, self.size))
        mass = window.sum((2, 3))
        center = torch.stack(((window.sum(3) * rows).sum(2), (window.sum(2) * columns).sum(2)), 2)
        return center / mass.clamp(min=1e-3)[..., None], mass

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Learns background and activity from x (B, K, C, H, W).

        The median of a pixel is where as many frames are brighter as darker. Of several processes
        each learns from its own frames. Without gradient: at the learning rate of pixels the median
        would tremble, and with it all centers.
        """
        self.updates += 1
        rate = 1 / float(self.updates)
        step = (x - self.background).sign().mean((0, 1))
        self.background += max(MIN_BACKGROUND_RATE, rate) * step
        maps = self.contrast_maps(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        change = (maps[:, 1:] - maps[:, :-1]).abs().mean((0, 1))
        self.activity.lerp_(change, max(MIN_ACTIVITY_RATE, rate))


def weighted_sum(planes: Tensor, terms: Terms) -> Tensor:
    """Planes (C, ...) of some colors, added up by their shares: (...)."""
    return reduce(torch.add, [planes[color] * share for color, share in terms])


def box_sum(maps: Tensor) -> Tensor:
    """(N, P, H, W) -> sums over 3x3 pixels, in less than half the time of `avg_pool2d` on a CPU."""
    padded = F.pad(maps, (1, 1, 1, 1))
    rows = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    return rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]


def contrasts(colors: int) -> list[list[Terms]]:
    """2 C + 1 ways to differ from the background; of each the least of C weighted sums counts.

    All colors brighter; then for every color that one brighter, and more so than the others; and
    the others brighter, and more so than that one. What is brighter in all colors is not taken for
    the others, nor they for it.
    """
    found: list[list[Terms]] = [[[(c, 1.0)] for c in range(colors)]]
    for c in range(colors):
        others = [o for o in range(colors) if o != c]
        mean: Terms = [(o, 1 / len(others)) for o in others] or [(c, -1.0)]
        single: list[Terms] = [[(c, 1.0)]]
        found.append(single + [[(c, 1.0), (o, -1.0)] for o in others])
        found.append([mean] + [[(o, 1.0), (c, -1.0)] for o in others])
    return found
