"""The evaluator of every world, found by its row in `collectors/worlds/table.py`."""

import importlib
import importlib.util
import inspect
from types import ModuleType
from typing import Any

import gymnasium

from collectors.worlds.table import WORLDS
from world_models.evaluation.action_probe import ProbingEvaluator
from world_models.evaluation.evaluator import Evaluator
from world_models.protocols import WorldSpec

GENERAL = ProbingEvaluator  # for games whose rules nobody wrote down
ROOM = "world_models.evaluation.worlds"  # one module per world of this project


def find_evaluator(world: str) -> type[Evaluator]:
    """The evaluator class of a world: the one that its row names, else the one of the module
    `world_models.evaluation.worlds.NAME`, else the general one.

    Raises ValueError where the row names a class that cannot be imported.
    """
    row = WORLDS.get(world)
    if row is None:
        return GENERAL
    if row.evaluator:
        return _named(row.evaluator)
    if importlib.util.find_spec(f"{ROOM}.{world}") is None:
        return GENERAL
    return _only_evaluator(importlib.import_module(f"{ROOM}.{world}"))


def make_evaluator(spec: WorldSpec, real: str = "") -> Evaluator:
    """The evaluator of a world, with the real environment of the id `real` where it needs one;
    without an id it is that of the world's row.

    Raises gymnasium's error for an unknown id and ValueError for a game of another world.
    """
    evaluator = find_evaluator(spec.world)
    if not evaluator.needs_game:
        return evaluator.build(spec)
    name = real or WORLDS[spec.world].real_id
    game: Any = gymnasium.make(name if ":" in name else f"collectors:{name}").unwrapped
    found = game.world_spec()["world"]
    if found != spec.world:
        raise ValueError(f"{name} is a game of {found}, the bundle one of {spec.world}")
    return evaluator.build(spec, game)


def describe_evaluator(world: str) -> str:
    """Which evaluator a world has; says so where it is the general one."""
    name = find_evaluator(world).__name__
    if find_evaluator(world) is not GENERAL:
        return name
    if world not in WORLDS:
        return f"{name}, the general one: {world!r} is in no row of collectors/worlds/table.py"
    return f"{name}, the general one: no evaluator is written for {world!r}"


def real_id(world: str) -> str:
    """The id of a world's real environment; "" for a game without a row."""
    return WORLDS[world].real_id if world in WORLDS else ""


def policies_of(world: str) -> tuple[str, ...]:
    """The names of a random and of the best scripted policy;
    of a game without a row only the former.
    """
    return ("random", WORLDS[world].best_policy) if world in WORLDS else ("random",)


def _named(reference: str) -> type[Evaluator]:
    """The class called "module:class"."""
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"the evaluator {reference!r} of a world cannot be imported ({error}); its row needs "
            "'module:class'"
        ) from error


def _only_evaluator(module: ModuleType) -> type[Evaluator]:
    """The class that `module.EVALUATOR` names, else the one Evaluator that the module defines."""
    if hasattr(module, "EVALUATOR"):
        return module.EVALUATOR
    own = [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and issubclass(value, Evaluator)
        and value.__module__ == module.__name__
    ]
    if len(own) != 1:
        raise ValueError(
            f"{module.__name__} defines {len(own)} evaluators; name the world's one as EVALUATOR"
        )
    return own[0]
