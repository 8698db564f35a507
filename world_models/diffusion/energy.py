"""A field as the gradient of an energy (Wang & Du 2025, "Equilibrium matching", arXiv:2510.02300,
section 3.4).

B lanes, ... any trailing shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from world_models.protocols import Features


def energy_of(kind: str, x: Tensor, f: Tensor) -> Tensor:
    """(B,): the energy of x (B, ...) from a network's output f (B, ...); |f|^2 / 2 for kind ""."""
    return (x * f).flatten(1).sum(1) if kind == "dot" else f.flatten(1).square().sum(1) / 2


def energy_gradient(
    energy: Callable[[Tensor, Features], Tensor], x: Tensor, features: Features
) -> Tensor:
    """The gradient of `energy` (B,) at x (B, ...); in training it can be differentiated again."""
    graph = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        if not graph:  # tensors made in inference mode have no gradient, their copies can
            x = x.clone()
            tokens, last, rest = features
            features = Features(tokens.clone(), last.clone(), _copied(rest))
        x = x if x.requires_grad else x.detach().requires_grad_()
        return torch.autograd.grad(energy(x, features).sum(), x, create_graph=graph)[0]


def _copied(part: Any) -> Any:
    return tuple(_copied(p) for p in part) if isinstance(part, tuple) else part.clone()
