"""Policies: callables from an observation to an action.

They see pixels only, so one plays real games and dreams.

A policy is reset with a generator at the start of each episode; all its randomness comes from
there.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from collectors.action_space import ActionSpace
from collectors.policies.batched import BatchMixture, BatchPolicy, LanePolicies
from collectors.worlds.table import World, find_world, unknown

Generator = np.random.Generator


# an int of a Discrete space, else an array (P,); see `ActionSpace`
Action = Any


class PolicyError(ValueError):
    """A policy's name or number is wrong; the message says what there is."""


class Policy:
    """Plays one game by its frames. A subclass gives `name`, `reset` and `__call__`.

    Where one call for many lanes is faster than many calls, it sets `batched` and gives its own
    `batch`.
    """

    name: str  # written into the dataset, episode by episode
    batched = False

    def reset(self, generator: Generator) -> None:
        """Begin an episode; all randomness of its actions comes from `generator`."""
        raise NotImplementedError

    def __call__(self, observation: np.ndarray) -> Action:
        """(H, W, C) uint8 -> the action, as the game takes it."""
        raise NotImplementedError

    def batch(self, lanes: int) -> BatchPolicy:
        """The same policy for `lanes` episodes at once: as it stands here, a copy per lane."""
        return LanePolicies(self, lanes)

    def mixture(self) -> list[list]:
        """What it draws from at the start of an episode, as a dataset records it: pairs of a name
        and its share of the episodes. A policy that is no mixture is one pair.
        """
        return [[self.name, 1.0]]


POLICY_FILE = ".zip"  # the end of the name of a trained agent

# (the number after the colon as text; number of actions or, of any game, their space) -> policy
Maker = Callable[[str, Any], Policy]
# (policy file, the same, name of the world or "") -> the trained agent; `agents` has it
AgentMaker = Callable[[str, Any, str], Policy]


class RandomPolicy(Policy):
    """Every action with equal chance."""

    name = "random"

    def __init__(self, actions: int | ActionSpace):
        self.actions = as_space(actions)

    def reset(self, generator: Generator) -> None:
        self._generator = generator

    def __call__(self, observation: np.ndarray) -> Action:
        return self.actions.draw(self._generator)


class StickyPolicy(Policy):
    """Repeats its last action with probability `repeat`, else draws one at random."""

    def __init__(self, actions: int | ActionSpace, repeat: float = 0.8):
        self.actions, self.repeat = as_space(actions), probability(repeat)
        self.name = f"sticky:{repeat:g}"

    def reset(self, generator: Generator) -> None:
        self._generator, self._last = generator, self.actions.draw(generator)

    def __call__(self, observation: np.ndarray) -> Action:
        if self._generator.random() >= self.repeat:
            self._last = self.actions.draw(self._generator)
        return self._last


class EpsilonPolicy(Policy):
    """Plays at random with probability `epsilon`, else as `inner` does."""

    def __init__(self, inner: Policy, epsilon: float, actions: int | ActionSpace):
        self.inner, self.epsilon, self.actions = inner, probability(epsilon), as_space(actions)
        self.name = f"{inner.name}:{epsilon:g}"

    def reset(self, generator: Generator) -> None:
        self._generator = generator
        self.inner.reset(generator)

    def __call__(self, observation: np.ndarray) -> Action:
        if self._generator.random() < self.epsilon:
            return self.actions.draw(self._generator)
        return self.inner(observation)


class BurstPolicy(Policy):
    """Plays as `inner`, and now and then for a burst of steps as `other`: good play with bursts of
    random or held keys.

    A burst begins with probability `start` in each step and ends with probability `stop` after each
    of its steps.
    """

    def __init__(self, inner: Policy, other: Policy, start: float = 0.05, stop: float = 0.25):
        self.inner, self.other = inner, other
        self.start, self.stop = probability(start), probability(stop)
        self.name = f"{inner.name}+burst:{other.name}"

    def reset(self, generator: Generator) -> None:
        self._generator, self._bursting = generator, False
        self.inner.reset(generator)
        self.other.reset(generator)

    def __call__(self, observation: np.ndarray) -> Action:
        chance = self._generator.random()
        self._bursting = chance >= self.stop if self._bursting else chance < self.start
        return (self.other if self._bursting else self.inner)(observation)


class MixturePolicy(Policy):
    """Draws one of `policies` at the start of each episode, by weight, and is it until the next."""

    def __init__(self, policies: list[Policy], weights: list[float]):
        if len(policies) != len(weights) or not policies or min(weights) < 0 or sum(weights) <= 0:
            raise ValueError("a mixture needs one weight (0 or more, not all 0) for each policy")
        self.policies, self.weights = policies, np.asarray(weights, float) / sum(weights)
        self._use(policies[0])

    def _use(self, policy: Policy) -> None:
        self._chosen, self.name = policy, policy.name

    def reset(self, generator: Generator) -> None:
        self._use(self.policies[int(generator.choice(len(self.policies), p=self.weights))])
        self._chosen.reset(generator)

    def __call__(self, observation: np.ndarray) -> Action:
        return self._chosen(observation)

    def batch(self, lanes: int) -> BatchPolicy:
        return BatchMixture(self, lanes)

    def mixture(self) -> list[list]:
        pairs = zip(self.policies, self.weights.tolist(), strict=True)
        return [
            [name, round(share * weight, 6)]
            for policy, weight in pairs
            for name, share in policy.mixture()
        ]


def as_space(actions: int | ActionSpace) -> ActionSpace:
    """A number of actions as a Discrete space that counts from 0."""
    return ActionSpace.discrete(actions) if isinstance(actions, int) else actions


def random_mix(actions: int | ActionSpace) -> MixturePolicy:
    """The mix of a world that has none of its own: half random, half sticky."""
    return MixturePolicy([RandomPolicy(actions), StickyPolicy(actions)], [1, 1])


MAKERS: dict[str, Maker] = {
    "random": lambda number, actions: RandomPolicy(actions),
    "sticky": lambda number, actions: StickyPolicy(actions, float(number or 0.8)),
    "mix": lambda number, actions: random_mix(actions),
}


def makers_of(world: World | str | None) -> Mapping[str, Maker]:
    """The policies of a world by kind: the general ones and those
    of its row's module, which is imported here.

    None is a game without a row in the table of worlds, which has the general policies only. Raises
    UnknownNameError for the name of a world that is not in the table.
    """
    if world is None:
        return MAKERS
    row = find_world(world) if isinstance(world, str) else world
    return {**MAKERS, **importlib.import_module(row.policies).MAKERS}


def make_policy(
    name: str,
    actions: int | ActionSpace,
    world: World | str | None = None,
    agents: AgentMaker | None = None,
) -> Policy:
    """The policy of a name, a kind or kind:number: random, sticky[:repeat], mix, and what `world`
    (see `makers_of`) has of its own; or FILE.zip[:random], a trained agent, which `agents` makes.

    Several with commas between them are a mixture by episodes, in equal shares or in those that
    follow an @: "astar@3,astar:0.3,agent.zip:0.1". Raises PolicyError for a name or a number that
    makes no policy, UnknownNameError for a world.
    """
    if "," in name:
        parts = [_weighted(part) for part in name.split(",")]
        policies = [make_policy(part, actions, world, agents) for part, _ in parts]
        return MixturePolicy(policies, [weight for _, weight in parts])
    name, _ = _weighted(name)
    kind, _, number = name.partition(":")
    if kind.endswith(POLICY_FILE):
        known = world.name if isinstance(world, World) else world or ""
        return _agent(kind, number, known, actions, agents)
    makers = makers_of(world)
    if kind not in makers:
        raise PolicyError(unknown("policy", name, makers))
    if number and kind in ("random", "mix"):
        raise PolicyError(f"the policy {kind!r} takes no number after a colon, got {name!r}")
    try:
        return makers[kind](number, actions)
    except ValueError as error:
        raise PolicyError(
            f"the policy {name!r} has a wrong number after the colon: {error}"
        ) from error


def _weighted(part: str) -> tuple[str, float]:
    """("astar:0.3", 2.0) of "astar:0.3@2"; without an @ the weight is 1. Raises PolicyError."""
    name, at, weight = part.strip().rpartition("@")
    if not at:
        return part.strip(), 1.0
    try:
        number = float(weight)
    except ValueError:
        number = 0.0
    if not name or not 0 < number < 1e6:
        raise PolicyError(f"the share after the @ in {part!r} is a number above 0, as in astar@2")
    return name, number


def _agent(
    file: str, number: str, world: str, actions: int | ActionSpace, agents: AgentMaker | None
) -> Policy:
    """The agent of a policy file, which plays at random in `number` of its steps."""
    if agents is None:
        raise PolicyError(f"{file} is a trained agent, and here only scripted policies play")
    try:
        agent = agents(file, actions, world)
        return EpsilonPolicy(agent, float(number), actions) if number else agent
    except (ValueError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise PolicyError(f"the policy {file!r} cannot play: {reason}") from error


def probability(value: float) -> float:
    """The value itself; ValueError outside [0, 1]."""
    if not 0 <= value <= 1:
        raise ValueError(f"a probability lies between 0 and 1, not at {value}")
    return value
