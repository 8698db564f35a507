"""How layers begin."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

Layer = TypeVar("Layer", bound=nn.Module)


def zeroed(layer: Layer) -> Layer:
    """The layer with all its weights 0: what it adds to a residual path begins as nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
