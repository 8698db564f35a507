"""How layers begin."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def zeroed(layer: Layer) -> Layer:
    """The layer with all its weights 0: what it adds to a residual path begins as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def small(*shape: int, std: float = 0.02) -> nn.Parameter:
    """Weights that begin as normal draws of this standard deviation."""
    return nn.Parameter(nn.init.normal_(torch.empty(*shape), std=std))
