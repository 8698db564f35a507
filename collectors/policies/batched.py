"""Policies for many lanes at once: one call gives an action per lane. B lanes."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from collectors.policies.policies import Generator, MixturePolicy, Policy


class BatchPolicy(Protocol):
    """Plays B lanes; a policy gives one by `batch(lanes)`.

    An episode's actions follow from its frames and its generator, whatever the other lanes do.
    """

    @property
    def names(self) -> Sequence[str]:
        """The name of the policy that plays each lane's episode, B of them."""
        ...

    def reset(self, lanes: np.ndarray, generators: Sequence[Generator | None]) -> None:
        """Begin an episode in the lanes of the mask (B,) bool;
        `generators` holds one for each of them, by lane.
        """
        ...

    def __call__(self, observations: np.ndarray, lanes: np.ndarray | None = None) -> np.ndarray:
        """(B, H, W, C) uint8 -> (B,) int64, or of actions in parts (B, P), see `ActionSpace`.

        With a mask (B,) bool the actions of the other lanes mean nothing.
        """
        ...


class LanePolicies:
    """A policy that knows single frames only, as one copy per lane."""

    def __init__(self, policy: Policy, lanes: int):
        self.copies = [copy.deepcopy(policy) for _ in range(lanes)]

    @property
    def names(self) -> list[str]:
        """See `BatchPolicy`."""
        return [policy.name for policy in self.copies]

    def reset(self, lanes: np.ndarray, generators: Sequence[Generator | None]) -> None:
        """See `BatchPolicy`."""
        for lane, generator in chosen_lanes(lanes, generators):
            self.copies[lane].reset(generator)

    def __call__(self, observations: np.ndarray, lanes: np.ndarray | None = None) -> np.ndarray:
        """See `BatchPolicy`."""
        own = range(len(self.copies)) if lanes is None else np.flatnonzero(lanes)
        return placed(
            own, [self.copies[lane](observations[lane]) for lane in own], len(self.copies)
        )


class BatchMixture:
    """A `MixturePolicy` for B lanes: what it draws for an episode is what the single one draws."""

    def __init__(self, mixture: MixturePolicy, lanes: int):
        self.weights, self.chosen = mixture.weights, np.zeros(lanes, int)
        self.parts = [policy.batch(lanes) for policy in mixture.policies]
        for part in self.parts:  # a part is called with all lanes, also with those of other parts
            part.reset(np.ones(lanes, bool), [np.random.default_rng(0) for _ in range(lanes)])

    @property
    def names(self) -> list[str]:
        """See `BatchPolicy`."""
        names = [part.names for part in self.parts]
        return [names[part][lane] for lane, part in enumerate(self.chosen)]

    def reset(self, lanes: np.ndarray, generators: Sequence[Generator | None]) -> None:
        """See `BatchPolicy`."""
        for lane, generator in chosen_lanes(lanes, generators):
            self.chosen[lane] = generator.choice(len(self.parts), p=self.weights)
        for number, part in enumerate(self.parts):
            own = lanes & (self.chosen == number)
            if own.any():
                part.reset(own, generators)

    def __call__(self, observations: np.ndarray, lanes: np.ndarray | None = None) -> np.ndarray:
        """See `BatchPolicy`."""
        mask = np.ones(len(self.chosen), bool) if lanes is None else lanes
        actions = np.zeros(len(mask), np.int64)
        for number in np.unique(self.chosen[mask]):
            own = mask & (self.chosen == number)
            given = self.parts[number](observations, own)
            fits = actions.shape == given.shape
            actions = np.where(
                own.reshape(-1, *(1,) * (given.ndim - 1)), given, actions if fits else 0
            )
        return actions


def placed(lanes: Sequence[int] | np.ndarray, given: Sequence[Any], count: int) -> np.ndarray:
    """The actions `given` for some lanes in their rows of (count, ...), 0 elsewhere."""
    values = np.array(given)
    actions = np.zeros((count, *values.shape[1:]), values.dtype if len(given) else np.int64)
    actions[np.asarray(lanes, np.int64)] = values
    return actions


def chosen_lanes(
    lanes: np.ndarray, generators: Sequence[Generator | None]
) -> list[tuple[int, Generator]]:
    """The lanes of a mask with their generators; ValueError for a lane without one."""
    pairs = []
    for lane in np.flatnonzero(lanes).tolist():
        generator = generators[lane]
        if generator is None:
            raise ValueError(f"lane {lane} is to be reset but has no generator")
        pairs.append((lane, generator))
    return pairs
