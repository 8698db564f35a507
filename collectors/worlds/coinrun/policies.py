"""Policies for CoinRun.

They look at nothing: luck with a bias to the right takes the coin in most easy levels.
"""

from collections.abc import Callable

import numpy as np

from collectors.policies.policies import (
    Generator,
    MixturePolicy,
    Policy,
    RandomPolicy,
    StickyPolicy,
    probability,
)

RUN_RIGHT, JUMP_RIGHT = 7, 8
MOVES = 9  # the actions after these are keys that do nothing
REPEAT = 0.7


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


def coinrun_mix(actions: int) -> MixturePolicy:
    """Mostly to the right, so that whole levels, coins and deaths are seen;
    some without bias, with all 15 actions.

    Weights count episodes. Play without bias stays near the start for 500 to 800 steps, with bias
    it ends within 60 to 100: so a quarter of the frames is played without, and an episode has 95
    steps in the mean.
    """
    policies = [
        RandomPolicy(actions),
        StickyPolicy(actions, REPEAT),
        *map(RightPolicy, (0.4, 0.6, 0.8, 0.95)),
    ]
    return MixturePolicy(policies, [0.015, 0.025, 0.16, 0.25, 0.35, 0.2])


class DeadKeyPolicy(Policy):
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


MAKERS: dict[str, Callable[[str, int], Policy]] = {
    "right": lambda number, actions: RightPolicy(float(number or 0.8)),
    "equivalent": lambda number, actions: DeadKeyPolicy(actions, float(number or 0.2)),
    "mix": lambda number, actions: coinrun_mix(actions),
}
