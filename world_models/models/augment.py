"""What a dream may do to its own context, done to recorded ones.

B clips, K context frames, G x G patches of P x P.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def damage(
    frames: Tensor, noise: float, share: float, patch: int, generator: torch.Generator
) -> Tensor:
    """Contexts as a dream might have spoiled them:
    Gaussian noise, and patches of a neighbor in the batch.

    The patch is one in which the neighbor differs, and the likelier the fewer patches of its frame
    look like it: so single things go missing, not only background. A model that was never trained
    on a frame without food will not put a lost food back. frames (B, K, H, W, C) uint8 -> the same
    shape, another tensor.
    """
    count = len(frames)
    sigma = (
        torch.rand(count, generator=generator)
        * noise
        * (torch.rand(count, generator=generator) < 0.5)
    )
    grain = (
        torch.randn(frames.shape, generator=generator) * (sigma * 127.5)[:, None, None, None, None]
    )
    out = (frames + grain).round().clamp(0, 255).to(torch.uint8)
    hit = (torch.rand(count, generator=generator) < share).nonzero()[:, 0]
    if not len(hit):
        return out
    last, other = frames[hit, -1], frames[(hit + 1) % count, -1]  # (h, H, W, C)
    differs = F.max_pool2d((last != other).any(-1).float()[:, None], patch).flatten(1)  # (h, G * G)
    # (h, 1)
    place = torch.multinomial(differs * rarity(last, patch) + 1e-6, 1, generator=generator)
    columns = frames.shape[3] // patch
    r = (place // columns)[..., None] * patch + torch.arange(patch)[:, None]  # (h, P, 1)
    c = (place % columns)[..., None] * patch + torch.arange(patch)  # (h, 1, P)
    rows = torch.arange(len(hit))[:, None, None]
    out[hit[:, None, None], -1, r, c] = other[rows, r, c]
    return out


def rarity(frames: Tensor, patch: int) -> Tensor:
    """One over the number of patches of the same frame with the same pixels.

    (B, H, W, C) uint8 -> (B, G * G).
    """
    tiles = (
        frames.unflatten(2, (-1, patch))
        .unflatten(1, (-1, patch))
        .transpose(2, 3)
        .flatten(3)
        .flatten(1, 2)
    )
    places = torch.arange(1, tiles.shape[2] + 1, device=tiles.device)
    code = (tiles.long() * places**3).sum(2)  # (B, G * G), distinct with near certainty
    return 1 / (code[:, :, None] == code[:, None]).sum(2)
