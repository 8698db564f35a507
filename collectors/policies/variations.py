"""Variations of good play, so that a dataset has what an agent will try: random actions at levels
that change within an episode.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from collectors.policies.policies import Generator, Policy, probability

LEVELS = (0.0, 0.1, 0.3, 0.6, 1.0)  # shares of random actions that a sweep goes through
KEPT = 0.97  # chance that a level is kept for one more step: 33 steps in the mean


class SweepPolicy(Policy):
    """Plays as `inner` with a share of random actions that changes within the episode: for a while
    none, for a while some, for a while all.

    So random play of every strength begins from the states that good play reaches.
    """

    def __init__(self, inner: Policy, actions: int, levels: Sequence[float] = LEVELS):
        self.inner, self.actions = inner, actions
        self.levels = tuple(map(probability, levels))
        self.name = f"{inner.name}+sweep"

    def reset(self, generator: Generator) -> None:
        self._generator = generator
        self._epsilon = self._level()
        self.inner.reset(generator)

    def __call__(self, observation: np.ndarray) -> int:
        if self._generator.random() >= KEPT:
            self._epsilon = self._level()
        if self._generator.random() < self._epsilon:
            return int(self._generator.integers(self.actions))
        return self.inner(observation)

    def _level(self) -> float:
        return self.levels[int(self._generator.integers(len(self.levels)))]
