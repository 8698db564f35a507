"""A field as the gradient of an energy (Wang & Du 2025, "Equilibrium matching", arXiv:2510.02300,
section 3.4).

B lanes, ... any trailing shape.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from world_models.protocols import Features

ENERGIES = (
    "",
    "dot",
    "l2",
)  # the field itself is learned; it is the gradient of x . f(x); of |f(x)|^2 / 2


def energy_of(kind: str, x: Tensor, f: Tensor) -> Tensor:
    """(B,): the energy of x (B, ...) from what a network says of it, f (B, ...); |f|^2 / 2 where
    the kind is "".
    """
    return (x * f).flatten(1).sum(1) if kind == "dot" else f.flatten(1).square().sum(1) / 2


def energy_gradient(
    energy: Callable[[Tensor, Features], Tensor], x: Tensor, features: Features
) -> Tensor:
    """The gradient of `energy` (B,) at x (B, ...); in training it can be differentiated again."""
    graph = torch.is_grad_enabled()
    with torch.inference_mode(False), torch.enable_grad():
        if (
            not graph
        ):  # tensors made in inference mode cannot be differentiated through, their copies can
            x, features = x.clone(), Features(*(_copied(part) for part in features))
        x = x if x.requires_grad else x.detach().requires_grad_()
        return torch.autograd.grad(energy(x, features).sum(), x, create_graph=graph)[0]


def _copied(part):
    return tuple(_copied(p) for p in part) if isinstance(part, tuple) else part.clone()
