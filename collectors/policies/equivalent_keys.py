"""Keys that a game treats alike: which they are, and a player that presses one for the other.

Snake ignores a turn straight back, six keys of CoinRun do nothing. A world's row names a function
that says it for what frames show: frames (N, H, W, C) uint8 -> (N, A) int64, for each of the A keys
the plainest one that has the same effect there, itself where there is no other.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import numpy as np

from collectors.policies.batched import BatchPolicy, chosen_lanes
from collectors.policies.policies import Generator, Policy, probability
from collectors.worlds.table import WORLDS

EquivalentKeys = Callable[[np.ndarray], np.ndarray]


def equivalent_keys_of(world: str) -> EquivalentKeys | None:
    """The function of a world's row; None where it names none, or the world has no row."""
    row = WORLDS.get(world)
    if row is None or row.equivalent_keys is None:
        return None
    module, _, name = row.equivalent_keys.partition(":")
    return getattr(importlib.import_module(module), name)


class EquivalentKeyPolicy(Policy):
    """Plays as `inner`, but with probability `share` presses another key of the same effect.

    Players that take any key that leads to the wanted move press both; those that plan press only
    the plain one, so a model may never have seen the other.
    """

    def __init__(self, inner: Policy, keys: EquivalentKeys, share: float = 0.5):
        self.inner, self.keys, self.share = inner, keys, probability(share)
        self.name = f"{inner.name}+equivalent:{share:g}"

    def reset(self, generator: Generator) -> None:
        self._generator = generator
        self.inner.reset(generator)

    def __call__(self, observation: np.ndarray) -> int:
        action = self.inner(observation)
        if self._generator.random() >= self.share:
            return action
        effects = self.keys(observation[None])[0]
        others = np.flatnonzero((effects == effects[action]) & (np.arange(len(effects)) != action))
        return int(others[self._generator.integers(len(others))]) if len(others) else action

    def batch(self, lanes: int) -> BatchPolicy:
        return EquivalentKeyBatch(self, lanes)


class EquivalentKeyBatch:
    """`EquivalentKeyPolicy` for L lanes at once: each draws what the single one draws."""

    def __init__(self, policy: EquivalentKeyPolicy, lanes: int):
        self.policy, self.inner = policy, policy.inner.batch(lanes)
        self._generators: dict[int, Generator] = {}  # by lane

    @property
    def names(self) -> list[str]:
        """See `BatchPolicy`."""
        return [self.policy.name] * len(self.inner.names)

    def reset(self, lanes: np.ndarray, generators: Sequence[Generator | None]) -> None:
        """See `BatchPolicy`."""
        self._generators |= dict(chosen_lanes(lanes, generators))
        self.inner.reset(lanes, generators)

    def __call__(self, observations: np.ndarray, lanes: np.ndarray | None = None) -> np.ndarray:
        """See `BatchPolicy`."""
        actions = self.inner(observations, lanes)
        rows = np.arange(len(actions)) if lanes is None else np.flatnonzero(lanes)
        chance = np.array([self._generators[lane].random() for lane in rows.tolist()])
        rows = rows[chance < self.policy.share]
        effects = self.policy.keys(observations[rows])  # (R, A)
        same = effects == effects[np.arange(len(rows)), actions[rows]][:, None]
        same[np.arange(len(rows)), actions[rows]] = False
        for lane, others in zip(rows.tolist(), same, strict=True):
            keys = np.flatnonzero(others)
            if len(keys):
                actions[lane] = keys[self._generators[lane].integers(len(keys))]
        return actions
