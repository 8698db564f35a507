"""Policies: callables from an observation to an action. They see pixels only, so one plays real games and dreams.

A policy is reset with a generator at the start of each episode; all its randomness comes from there.
"""

from typing import Protocol

import numpy as np

from collectors.astar import board_of, plan
from collectors.envs.snake_codes import FOOD, decode_frames, walk_body

Generator = np.random.Generator
NAMES = "random, sticky:0.8, astar, astar:0.1, wander:0.2 and mix"


class PolicyError(ValueError):
    """A policy's name or number is wrong; the message says what there is."""


class Policy(Protocol):
    name: str  # written into the dataset, episode by episode

    def reset(self, generator: Generator) -> None: ...
    def __call__(self, observation: np.ndarray) -> int: ...


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
        self.actions, self.repeat, self.name = actions, _probability(repeat), f"sticky:{repeat:g}"

    def reset(self, generator: Generator) -> None:
        self._generator, self._last = generator, int(generator.integers(self.actions))

    def __call__(self, observation: np.ndarray) -> int:
        if self._generator.random() >= self.repeat:
            self._last = int(self._generator.integers(self.actions))
        return self._last


class EpsilonPolicy:
    """Plays at random with probability `epsilon`, else as `inner` does."""

    def __init__(self, inner: Policy, epsilon: float, actions: int):
        self.inner, self.epsilon, self.actions = inner, _probability(epsilon), actions
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


class AStarPolicy:
    """A* on what the frame (or the grid of codes) shows; where no snake can be read from it, goes straight on.

    A way to the food is kept until it is walked, as long as head and food are where the plan expects them. With
    probability `wander` it takes a random move instead, but one that does not kill at once: so long snakes get into
    places that A* would not go to.
    """

    def __init__(self, wrap: bool = False, wander: float = 0.0):
        self.wrap, self.wander = wrap, _probability(wander)
        self.name = f"wander:{wander:g}" if wander else "astar"
        self._forget()

    def reset(self, generator: Generator) -> None:
        self._generator = generator
        self._forget()

    def _forget(self) -> None:
        self._path: list[int] = []
        self._head, self._foods, self._last = -1, [], 0

    def __call__(self, observation: np.ndarray) -> int:
        codes = observation if observation.ndim == 2 else decode_frames(observation[None])[0]
        grid_size, cells = codes.shape[0], codes.ravel().tolist()
        body = walk_body(cells, grid_size, self.wrap)
        if body is None:
            return self._last
        board, foods = board_of(grid_size, self.wrap), [cell for cell, code in enumerate(cells) if code == FOOD]
        if self.wander and self._generator.random() < self.wander:
            moves = [cell for cell in board.moves[body[0]] if cells[cell] <= FOOD or cell == body[-1]]
            self._path = [moves[int(self._generator.integers(len(moves)))]] if moves else []
        elif not self._path or body[0] != self._head or foods != self._foods:
            self._path = plan(board, body, foods)[::-1]
        if self._path:
            self._head, self._foods = self._path.pop(), foods
            self._last = board.neighbours[body[0]].index(self._head)
        else:
            self._last = board.neighbours[body[1]].index(body[0])
        return self._last


def snake_mix(actions: int) -> MixturePolicy:
    """15 % random and sticky play, the rest A* with more or less noise, so that beginnings, ends and long snakes occur.

    Weights count episodes. A* without deadly noise plays some hundred steps, the others some ten, so it gets few.
    """
    noisy = [EpsilonPolicy(AStarPolicy(), epsilon, actions) for epsilon in (0.05, 0.2, 0.4)]
    wandering = [AStarPolicy(wander=share) for share in (0.1, 0.3)]
    policies = [RandomPolicy(actions), StickyPolicy(actions), AStarPolicy(), *noisy, *wandering]
    return MixturePolicy(policies, [0.08, 0.07, 0.05, 0.35, 0.17, 0.13, 0.05, 0.1])


def make_policy(name: str, actions: int) -> Policy:
    """The policy of a name: random, sticky[:repeat], astar[:epsilon], wander:share, mix."""
    kind, _, number = name.partition(":")
    makers = {
        "random": lambda: RandomPolicy(actions),
        "sticky": lambda: StickyPolicy(actions, float(number or 0.8)),
        "astar": lambda: EpsilonPolicy(AStarPolicy(), float(number), actions) if number else AStarPolicy(),
        "wander": lambda: AStarPolicy(wander=float(number or 0.2)),
        "mix": lambda: snake_mix(actions),
    }
    if kind not in makers or (number and kind in ("random", "mix")):
        raise PolicyError(f"no policy is called {name!r}; there are {NAMES}")
    try:
        return makers[kind]()
    except ValueError as error:
        raise PolicyError(f"the policy {name!r} needs a probability from 0 to 1 after the colon") from error


def _probability(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"a probability lies between 0 and 1, not at {value}")
    return value
