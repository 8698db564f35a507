"""The frames between noise and picture: a step of a model that samples, watched.

B lanes, H x W x C a frame.
"""

from __future__ import annotations

import copy
from typing import Any

from torch import Tensor

from world_models import frames as pixels
from world_models.diffusion.objectives import Objective
from world_models.diffusion.samplers import Direct
from world_models.noise import NoiseStream
from world_models.protocols import Features, Network, State


class Watched:
    """An objective that keeps what its samplers ask it about, a sample of each level once."""

    def __init__(self, objective: Objective):
        self.objective, self.seen = objective, {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objective, name)

    def denoise(self, network: Network, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """See `Objective`.

        A sampler that looks ahead asks twice about a level; what counts is the second time.
        """
        size = (self.objective.alpha(t[0]) ** 2 + self.objective.sigma(t[0]) ** 2).sqrt()
        self.seen[float(t[0])] = x / size  # at every level about as wide as a frame
        return self.objective.denoise(network, x, t, features)

    def field(self, network: Network, x: Tensor, features: Features) -> Tensor:
        """See `EquilibriumMatching`."""
        self.seen[len(self.seen)] = x
        return self.objective.field(network, x, features)


def draws_from_noise(model: Any) -> bool:
    """Whether a model samples its frames, rather than to draw them in one call from nothing."""
    return not isinstance(getattr(model, "sampler", None), Direct | None)


def watched_step(model: Any, state: State, action: Tensor, noise: NoiseStream) -> list[Tensor]:
    """The frames (B, H, W, C) uint8 of `model.step`: noise, what came of it call by call, and last
    the frame itself.

    Empty for a model that draws a frame in one call from nothing.
    """
    if not draws_from_noise(model):
        return []
    model = copy.copy(model)  # others may share it
    model.objective = watched = Watched(model.objective)
    frame = model.step(state, action, noise).frame
    return [*(pixels.to_uint8(model.picture(x)) for x in watched.seen.values()), frame]
