"""Optimizers by name: one object that steps, and whose state can be saved and loaded."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


class OptimizerGroup:
    """Several optimizers as one."""

    def __init__(self, *parts: torch.optim.Optimizer):
        self.parts = parts

    @property
    def param_groups(self) -> list[dict]:
        """Those of all parts, to set a learning rate in."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Resets all gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=set_to_none)

    def step(self) -> None:
        """One update of all parameters."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> list[dict]:
        """The state of each part."""
        return [part.state_dict() for part in self.parts]

    def load_state_dict(self, states: list[dict]) -> None:
        """Inverse of `state_dict`."""
        for part, state in zip(self.parts, states, strict=True):
            part.load_state_dict(state)


def build_optimizer(
    name: str, model: nn.Module, learning_rate: float, weight_decay: float
) -> torch.optim.Optimizer | OptimizerGroup:
    """AdamW, or Muon for the matrices of transformer blocks and AdamW for the rest.

    Raises ValueError.

    Muon (Jordan et al. 2024; Liu et al. 2025, arXiv:2502.16982, eq. 4) here takes steps as large as
    AdamW's, so both have the same learning rate.
    """
    if name not in ("adamw", "muon"):
        raise ValueError(f"optimizer is adamw or muon, not {name!r}")
    if name == "adamw":
        return adamw(model.parameters(), learning_rate, weight_decay)
    matrices = {n: p for n, p in model.named_parameters() if ".blocks." in f".{n}" and p.ndim == 2}
    if not matrices:
        raise ValueError(
            "optimizer muon is for the matrices of transformer blocks, and this model has none; "
            "use adamw"
        )
    rest = [p for n, p in model.named_parameters() if n not in matrices]
    muon = torch.optim.Muon(
        list(matrices.values()),
        learning_rate,
        weight_decay=weight_decay,
        adjust_lr_fn="match_rms_adamw",
    )
    return OptimizerGroup(muon, adamw(rest, learning_rate, weight_decay))


def adamw(
    parameters: Iterable[nn.Parameter], learning_rate: float, weight_decay: float
) -> torch.optim.AdamW:
    """In one kernel on a card, where small models wait for their launches."""
    parameters = list(parameters)
    fused = parameters[0].is_cuda
    return torch.optim.AdamW(
        parameters, learning_rate, betas=(0.9, 0.98), weight_decay=weight_decay, fused=fused
    )
