"""Policies: callables from an observation to an action. They see pixels only, so one plays real
games and dreams.

A policy is reset with a generator at the start of each episode; all its randomness comes from
there.
"""

import importlib
import importlib.util
from collections.abc import Callable
from typing import Protocol

import numpy as np

Generator = np.random.Generator


class PolicyError(ValueError):
    """A policy's name or number is wrong; the message says what there is."""


class Policy(Protocol):
    """Plays one game by its frames; `reset` begins an episode."""

    name: str  # written into the dataset, episode by episode

    def reset(self, generator: Generator) -> None: ...
    def __call__(self, observation: np.ndarray) -> int: ...


Maker = Callable[
    [str, int], Policy
]  # (the number after the colon as text, number of actions) -> policy


class RandomPolicy:
    """Every action with equal chance."""

    def __init__(self, actions: int):
        self.actions, self.name = actions, "random"

    def reset(self, generator: Generator) -> None:
        self._generator = generator

    def __call__(self, observation: np.ndarray) -> int:
        return int(self._generator.integers(self.actions))


class StickyPolicy:
    """Repeats its last action with probability `repeat`, else draws one at random."""

    def __init__(self, actions: int, repeat: float = 0.8):
        self.actions, self.repeat, self.name = actions, probability(repeat), f"sticky:{repeat:g}"

    def reset(self, generator: Generator) -> None:
        self._generator, self._last = generator, int(generator.integers(self.actions))

    def __call__(self, observation: np.ndarray) -> int:
        if self._generator.random() >= self.repeat:
            self._last = int(self._generator.integers(self.actions))
        return self._last


class EpsilonPolicy:
    """Plays at random with probability `epsilon`, else as `inner` does."""

    def __init__(self, inner: Policy, epsilon: float, actions: int):
        self.inner, self.epsilon, self.actions = inner, probability(epsilon), actions
        self.name = f"{inner.name}:{epsilon:g}"

    def reset(self, generator: Generator) -> None:
        self._generator = generator
        self.inner.reset(generator)

    def __call__(self, observation: np.ndarray) -> int:
        if self._generator.random() < self.epsilon:
            return int(self._generator.integers(self.actions))
        return self.inner(observation)


class MixturePolicy:
    """Draws one of `policies` at the start of each episode, by weight, and is it until the next."""

    def __init__(self, policies: list[Policy], weights: list[float]):
        if len(policies) != len(weights) or not policies or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError("a mixture needs one weight (0 or more, not all 0) for each policy")
        self.policies, self.weights = policies, np.asarray(weights, float) / sum(weights)
        self._chosen = policies[0]

    @property
    def name(self) -> str:
        """The name of the policy that plays this episode."""
        return self._chosen.name

    def reset(self, generator: Generator) -> None:
        self._chosen = self.policies[int(generator.choice(len(self.policies), p=self.weights))]
        self._chosen.reset(generator)

    def __call__(self, observation: np.ndarray) -> int:
        return self._chosen(observation)


def random_mix(actions: int) -> MixturePolicy:
    """The mix of a world that has none of its own: half random, half sticky."""
    return MixturePolicy([RandomPolicy(actions), StickyPolicy(actions)], [1, 1])


MAKERS: dict[str, Maker] = {
    "random": lambda number, actions: RandomPolicy(actions),
    "sticky": lambda number, actions: StickyPolicy(actions, float(number or 0.8)),
    "mix": lambda number, actions: random_mix(actions),
}


def makers_of(world: str) -> dict[str, Maker]:
    """What `make_policy` knows for a world: the general kinds and those of its own module, imported
    when asked for.
    """
    module = f"collectors.worlds.{world}.policies"
    if not world.isidentifier() or importlib.util.find_spec(module.rpartition(".")[0]) is None:
        return MAKERS
    return {**MAKERS, **importlib.import_module(module).MAKERS}


def make_policy(name: str, actions: int, world: str = "") -> Policy:
    """The policy of a name, a kind or kind:number: random, sticky[:repeat], mix, and what `world`
    has of its own.

    Without a world the names are those of Snake. Raises PolicyError for a name or a number that
    makes no policy.
    """
    kind, _, number = name.partition(":")
    makers = makers_of(world or "snake")
    if kind not in makers or (number and kind in ("random", "mix")):
        raise PolicyError(
            f"no policy of {world or 'snake'} is called {name!r}; there are {', '.join(makers)}"
        )
    try:
        return makers[kind](number, actions)
    except ValueError as error:
        raise PolicyError(
            f"the policy {name!r} has a wrong number after the colon: {error}"
        ) from error


def probability(value: float) -> float:
    """The value itself; ValueError outside [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"a probability lies between 0 and 1, not at {value}")
    return value
