"""Does a graph dream what torch dreams: both step from a bundle's contexts with the same draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from world_models.networks.actions import numbered
from world_models.noise import NoiseStream
from world_models.protocols import SamplingOptions, State, Transition, WorldModel

Step = Callable[[State, torch.Tensor, NoiseStream, SamplingOptions], Transition]

SAMPLES = 256  # steps that are compared, of all lanes together
FEW_SAMPLES = 64  # where the same graph has agreed before
ROUNDS = 64  # at most, where a batch has few lanes
DEPTH = 2  # steps from a context; the second from what each made itself
LARGEST_SHARE = 1e-4  # of pixels that may be more than a gray level off


class Dream(NamedTuple):
    """A few steps of eager torch from contexts: what graphs are held against."""

    state: State
    steps: list[tuple[torch.Tensor, NoiseStream, Transition]]  # action, draws, what came


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


def eager_dreams(
    model: WorldModel, contexts: Any, lanes: int, options: SamplingOptions, samples: int
) -> list[Dream]:
    """Dreams of `lanes` lanes with about so many steps of all of them together."""
    device = next(model.parameters()).device
    lane, found = torch.arange(lanes, device=device), []
    for number in range(max(1, min(ROUNDS, samples // lanes))):
        rows = (number * lanes + lane) % len(contexts)
        state, steps = model.init(contexts.choose(rows)), []
        found.append(Dream(state, steps))
        noise = NoiseStream.from_seeds(number * lanes + lane)
        for depth in range(DEPTH):
            action, noise = numbered(model.spec.actions, rows + depth), noise.next()
            steps.append((action, noise, model.step(state, action, noise, options)))
            state = steps[-1][2].state
    return found


def agreement(step: Step, dreams: list[Dream], options: SamplingOptions) -> Agreement:
    """Compare a step with those of eager torch."""
    off, rewards, terminations, count = 0.0, 0, 0, 0
    for state, steps in dreams:
        for action, noise, expected in steps:
            found = step(state, action, noise, options)
            state = found.state
            apart = (expected.frame.int() - found.frame.int()).abs().amax(-1) > 1
            off += float(apart.float().mean())
            rewards += int((expected.reward != found.reward).sum())
            terminations += int((expected.termination != found.termination).sum())
            count += 1
    samples = count * len(dreams[0].steps[0][0])
    return Agreement(samples, off / count, rewards, terminations)
