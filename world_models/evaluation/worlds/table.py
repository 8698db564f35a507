"""The table of worlds as evaluation knows them: who judges their dreams, and against what."""

from typing import NamedTuple

import gymnasium

from world_models.evaluation.action_probe import ProbingEvaluator
from world_models.evaluation.evaluator import Evaluator
from world_models.evaluation.worlds.pong import PongEvaluator
from world_models.evaluation.worlds.snake import SnakeEvaluator
from world_models.evaluation.worlds.worldmap import WorldMapEvaluator
from world_models.protocols import WorldSpec


class World(NamedTuple):
    """A world's judge, the id of its real environment, and the names of a random and a good
    policy.
    """

    judge: type[Evaluator]
    real: str
    policies: tuple[str, ...]


WORLDS = {
    "snake": World(SnakeEvaluator, "RealSnake-v0", ("random", "astar")),
    "pong": World(PongEvaluator, "RealPong-v0", ("random", "scripted")),
    "worldmap": World(WorldMapEvaluator, "RealWorldMap-v0", ("random", "coast")),
    "coinrun": World(ProbingEvaluator, "RealCoinRun-v0", ("random", "right")),
}


def world_of(name: str) -> World:
    """The row of a world; a game that is not in the table is judged by its pictures and played at
    random.
    """
    return WORLDS.get(name, World(ProbingEvaluator, "", ("random",)))


def judge_of(spec: WorldSpec, real: str = "") -> Evaluator:
    """The judge of a world, with the real environment `real` (none: the table's) where it needs
    one.

    Raises gymnasium's error for an unknown id and ValueError for a game of another world.
    """
    world = world_of(spec.world)
    if not world.judge.needs_game:
        return world.judge.of(spec)
    name = real or world.real
    game = gymnasium.make(name if ":" in name else f"collectors:{name}").unwrapped
    if game.world_spec()["world"] != spec.world:
        raise ValueError(
            f"{name} is a game of {game.world_spec()['world']}, the bundle one of {spec.world}"
        )
    return world.judge.of(spec, game)
