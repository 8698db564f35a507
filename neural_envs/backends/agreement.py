"""Does a graph dream what torch dreams: both step from a bundle's contexts with the same draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from world_models.noise import NoiseStream
from world_models.protocols import SamplingOptions, State, Transition, WorldModel

Step = Callable[[State, torch.Tensor, NoiseStream, SamplingOptions], Transition]

SAMPLES = 256  # steps that are compared, of all lanes together
ROUNDS = 64  # at most, where a batch has few lanes
DEPTH = 2  # steps from a context; the second from what each made itself
LARGEST_SHARE = 1e-4  # of pixels that may be more than a gray level off


class Agreement(NamedTuple):
    """How far the steps of a graph are from those of eager torch."""

    samples: int
    pixels: float  # share of pixels that are more than a gray level off
    rewards: int  # that differ
    terminations: int  # that differ

    @property
    def refusal(self) -> str:
        """What is wrong, with figures; "" where they agree."""
        if self.pixels <= LARGEST_SHARE and not self.rewards and not self.terminations:
            return ""
        return (
            f"{100 * self.pixels:.3g} % of its pixels are more than a gray level off eager torch "
            f"(allowed: {100 * LARGEST_SHARE:g} %), {self.rewards} rewards and "
            f"{self.terminations} terminations of {self.samples} differ"
        )


def agreement(
    model: WorldModel, step: Step, contexts: Any, lanes: int, options: SamplingOptions
) -> Agreement:
    """Compare a step of `lanes` lanes with the model's own."""
    device = next(model.parameters()).device
    lane, off, rewards, terminations = torch.arange(lanes, device=device), 0.0, 0, 0
    rounds = max(1, min(ROUNDS, SAMPLES // lanes))
    for number in range(rounds):
        rows = (number * lanes + lane) % len(contexts)
        states = [model.init(contexts.choose(rows))] * 2
        noise = NoiseStream.from_seeds(number * lanes + lane)
        for depth in range(DEPTH):
            action, noise = (rows + depth) % len(model.spec.action_names), noise.next()
            expected = model.step(states[0], action, noise, options)
            found = step(states[1], action, noise, options)
            states = [expected.state, found.state]
            apart = (expected.frame.int() - found.frame.int()).abs().amax(-1) > 1
            off += float(apart.float().mean())
            rewards += int((expected.reward != found.reward).sum())
            terminations += int((expected.termination != found.termination).sum())
    count = rounds * DEPTH
    return Agreement(count * lanes, off / count, rewards, terminations)
