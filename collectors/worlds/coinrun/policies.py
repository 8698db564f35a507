"""Policies for CoinRun.

They look at nothing: luck with a bias to the right takes the coin in most easy levels.
"""

from collections.abc import Callable

import numpy as np

from collectors.policies.policies import (
    BurstPolicy,
    Generator,
    MixturePolicy,
    Policy,
    RandomPolicy,
    StickyPolicy,
    probability,
)
from collectors.policies.variations import SweepPolicy

RUN_RIGHT, JUMP_RIGHT = 7, 8
MOVES = 9  # the actions after these are keys that do nothing
REPEAT = 0.7
BIASES, SHARES = (0.4, 0.6, 0.8, 0.95), (0.09, 0.16, 0.23, 0.13)  # of play to the right, in the mix


class RightPolicy(Policy):
    """Draws "right" or "jump right" with probability `right`, else any of the nine moves, and keeps
    it for a while.

    A choice is kept with probability 0.7 from step to step, 3.3 steps in the mean: about as long as
    a jump goes up.
    """

    def __init__(self, right: float = 0.8):
        self.right, self.name = probability(right), f"right:{right:g}"

    def reset(self, generator: Generator) -> None:
        self._generator, self._last = generator, self._draw(generator)

    def __call__(self, observation: np.ndarray) -> int:
        if self._generator.random() >= REPEAT:
            self._last = self._draw(self._generator)
        return self._last

    def _draw(self, generator: Generator) -> int:
        if generator.random() < self.right:
            return int(generator.integers(RUN_RIGHT, JUMP_RIGHT + 1))
        return int(generator.integers(MOVES))


class IgnoredKeyPolicy(Policy):
    """RightPolicy that presses one of the six keys that do nothing in a share of the steps."""

    def __init__(self, actions: int, share: float = 0.2):
        self.inner, self.actions, self.share = RightPolicy(), actions, probability(share)
        self.name = f"equivalent:{share:g}"

    def reset(self, generator: Generator) -> None:
        self._generator = generator
        self.inner.reset(generator)

    def __call__(self, observation: np.ndarray) -> int:
        action = self.inner(observation)
        if self._generator.random() >= self.share:
            return action
        return int(self._generator.integers(MOVES, self.actions))


def coinrun_mix(actions: int) -> MixturePolicy:
    """Mostly to the right, so that whole levels, coins and deaths are seen;
    some without bias, with all 15 actions.

    A third presses equivalent keys too, holds a key for a while, or plays at random for a while, so
    that all keys are seen all over the levels. Weights count episodes. Play without bias stays near
    the start for 500 to 800 steps, with bias it ends within 60 to 100: so a quarter of the frames
    is played without.
    """
    weights = [
        (RandomPolicy(actions), 0.012),
        (StickyPolicy(actions, REPEAT), 0.02),
        *((RightPolicy(right), share) for right, share in zip(BIASES, SHARES, strict=True)),
        (IgnoredKeyPolicy(actions, 0.1), 0.10),
        (IgnoredKeyPolicy(actions, 0.3), 0.06),
        (burst("", actions), 0.10),
        (SweepPolicy(RightPolicy(0.9), actions), 0.14),
    ]
    return MixturePolicy([policy for policy, _ in weights], [weight for _, weight in weights])


def burst(number: str, actions: int) -> Policy:
    """burst[:start]: to the right, with bursts in which one key is held, any of the 15."""
    one_key = StickyPolicy(actions, 0.95)
    return BurstPolicy(RightPolicy(0.9), one_key, float(number or 0.04), 0.08)


MAKERS: dict[str, Callable[[str, int], Policy]] = {
    "right": lambda number, actions: RightPolicy(float(number or 0.8)),
    "equivalent": lambda number, actions: IgnoredKeyPolicy(actions, float(number or 0.2)),
    "burst": burst,
    "sweep": lambda number, actions: SweepPolicy(RightPolicy(float(number or 0.9)), actions),
    "mix": lambda number, actions: coinrun_mix(actions),
}
