"""Which codes the dynamics of tokens are asked for in training (MaskGIT, arXiv:2202.04200, section
3.1).

B samples, G x G places.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def mask_shares(count: int, all_masked: float, generator: torch.Generator) -> Tensor:
    """Shares (count,) of places to be predicted in training:
    cos(pi/2 r), r uniform, and all in a part of samples.
    """
    share = torch.cos(math.pi / 2 * torch.rand(count, generator=generator))
    return torch.where(torch.rand(count, generator=generator) < all_masked, 1.0, share)


def draw_masks(shares: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """(B, G, G) bool, True where a code is to be predicted:
    in each sample its share of places, at least one.
    """
    order = torch.rand(len(shares), math.prod(shape), generator=generator).argsort(1).argsort(1)
    count = (shares * math.prod(shape)).ceil().clamp(min=1)
    return (order < count[:, None]).unflatten(1, shape)
