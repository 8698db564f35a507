"""Diffusion forcing: its settings, its state, and clips as its transformer takes them.

B lanes or clips, T frames, H x W x C a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from collectors.settings.parse import setting
from world_models.diffusion.objectives import FlowMatching
from world_models.diffusion.samplers import SAMPLERS, Euler, Sampler, check_fit
from world_models.networks.causal_dit import CausalDiTConfig
from world_models.networks.kv_cache import KVCache
from world_models.protocols import Features, ModelConfig

NO_FEATURES = Features(torch.empty(0), torch.empty(0))


@dataclass(frozen=True)
class ForcingConfig(ModelConfig):
    """Settings of the model; what does not fit together is a ValueError that names what does."""

    network: CausalDiTConfig = field(default_factory=CausalDiTConfig)
    objective: FlowMatching = field(
        default_factory=lambda: FlowMatching(times="logit-normal", shift=3.0)
    )
    sampler: Sampler = setting(
        factory=lambda: Euler(4), kinds=SAMPLERS, help="the steps from noise to a frame"
    )
    context_length: int = setting(
        4, "frames that a dream starts from, fewer than the network's window"
    )
    guidance: float = setting(
        1.0, "on the action; 1 is off and costs one forward, 0 is blind to the action"
    )
    clean: float = setting(0.5, "share of clips that begin with clean frames, as a dream's past is")
    outcome_share: float = setting(
        0.5, "share of clips that are read again, clean, to learn their outcomes"
    )
    change_weight: float = setting(0.0, "extra weight of patches that change")

    def __post_init__(self):
        if not isinstance(self.objective, FlowMatching):
            raise ValueError(
                f"diffusion forcing learns by flow matching, not by {type(self.objective).__name__}"
            )
        check_fit(self.objective, self.sampler)
        most = self.network.window - 1
        if not 1 <= self.context_length <= most:
            raise ValueError(
                f"a window of {self.network.window} frames holds the new one and {most} before it: "
                "context_length is "
                f"1 to {most}, not {self.context_length}; or set network.window to "
                f"{self.context_length + 1} or more"
            )
        if not 0 < self.outcome_share <= 1:
            raise ValueError(
                f"outcome_share is a share above 0, at most 1, not {self.outcome_share}"
            )


class ForcingState(NamedTuple):
    """What a dream carries; its size never changes."""

    memory: KVCache
    frames: Tensor  # (B, 1, H, W, C) uint8, the newest frame; black where there was none yet


class Sequence(NamedTuple):
    """Clips as the transformer takes them, in [-1, 1]."""

    frames: Tensor  # (B, T, C, H, W) real
    shown: Tensor  # (B, T, C, H, W) what a clean frame is shown as: perhaps damaged
    action: Tensor  # (B, T) int64, each led to its frame; none for the first
    valid: Tensor  # (B, T) bool


class Output:
    """What a network has answered already: one call serves the loss and the predicted frame."""

    def __init__(self, output: Tensor):
        self.output = output

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        raise NotImplementedError("there is nothing left to encode")

    def __call__(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        return self.output
