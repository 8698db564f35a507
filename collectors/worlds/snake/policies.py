"""Snake's own policies: A* on what the frame shows, with more or less noise."""

import numpy as np

from collectors.policies.equivalent_keys import EquivalentKeyPolicy
from collectors.policies.policies import (
    BurstPolicy,
    EpsilonPolicy,
    Generator,
    Maker,
    MixturePolicy,
    Policy,
    RandomPolicy,
    StickyPolicy,
    probability,
)
from collectors.policies.variations import SweepPolicy
from collectors.worlds.snake.search import board_of, plan
from collectors.worlds.snake.tiles import FOOD, decode_frames, equivalent_keys, walk_body


class AStarPolicy(Policy):
    """A* on what the frame (or the grid of codes) shows;
    where no snake can be read from it, goes straight on.

    A way to the food is kept until it is walked, as long as head and food are where the plan
    expects them. With probability `wander` it takes a random move instead, but one that does not
    kill at once: so long snakes get into places that A* would not go to.
    """

    def __init__(self, wrap: bool = False, wander: float = 0.0):
        self.wrap, self.wander = wrap, probability(wander)
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
        board = board_of(grid_size, self.wrap)
        foods = [cell for cell, code in enumerate(cells) if code == FOOD]
        if self.wander and self._generator.random() < self.wander:
            moves = [
                cell for cell in board.moves[body[0]] if cells[cell] <= FOOD or cell == body[-1]
            ]
            self._path = [moves[int(self._generator.integers(len(moves)))]] if moves else []
        elif not self._path or body[0] != self._head or foods != self._foods:
            self._path = plan(board, body, foods)[::-1]
        if self._path:
            self._head, self._foods = self._path.pop(), foods
            self._last = board.neighbors[body[0]].index(self._head)
        else:
            self._last = board.neighbors[body[1]].index(body[0])
        return self._last


def snake_mix(actions: int) -> MixturePolicy:
    """10 % random and sticky play, the rest A* with more or less noise, so that beginnings, ends
    and long snakes occur.

    A third presses ignored keys too, or has bursts of random and of held keys in it. Weights count
    episodes. A* without deadly noise plays some hundred steps, the others some ten, so it gets few.
    """
    astar, slightly_noisy = AStarPolicy(), EpsilonPolicy(AStarPolicy(), 0.05, actions)
    weights = [
        (RandomPolicy(actions), 0.05),
        (StickyPolicy(actions), 0.05),
        (astar, 0.04),
        (slightly_noisy, 0.22),
        (EpsilonPolicy(AStarPolicy(), 0.2, actions), 0.12),
        (EpsilonPolicy(AStarPolicy(), 0.4, actions), 0.08),
        (AStarPolicy(wander=0.1), 0.03),
        (AStarPolicy(wander=0.3), 0.06),
        (EquivalentKeyPolicy(slightly_noisy, equivalent_keys, 0.5), 0.12),
        (EquivalentKeyPolicy(AStarPolicy(wander=0.1), equivalent_keys, 0.8), 0.06),
        (BurstPolicy(astar, RandomPolicy(actions)), 0.09),
        (BurstPolicy(astar, StickyPolicy(actions, 0.9)), 0.08),
        (SweepPolicy(AStarPolicy(wander=0.1), actions), 0.06),
    ]
    return MixturePolicy([policy for policy, _ in weights], [weight for _, weight in weights])


def equivalent(number: str, actions: int) -> Policy:
    """A* with ignored keys; the number after the colon is their share
    where A* goes straight on, by default a half.
    """
    return EquivalentKeyPolicy(AStarPolicy(), equivalent_keys, float(number or 0.5))


def astar(number: str, actions: int) -> Policy:
    """A*, or with a number after the colon A* that plays at random in that share of steps."""
    return EpsilonPolicy(AStarPolicy(), float(number), actions) if number else AStarPolicy()


MAKERS: dict[str, Maker] = {
    "astar": astar,
    "wander": lambda number, actions: AStarPolicy(wander=float(number or 0.2)),
    "equivalent": equivalent,
    "burst": lambda number, actions: BurstPolicy(
        AStarPolicy(), RandomPolicy(actions), float(number or 0.05)
    ),
    "sweep": lambda number, actions: SweepPolicy(AStarPolicy(), actions),
    "mix": lambda number, actions: snake_mix(actions),
}
