"""Gymnasium ids of the real games, from the table of worlds."""

import inspect
from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import gymnasium
from gymnasium.envs.registration import load_env_creator

from collectors.worlds.table import WORLDS, UnknownNameError, World, unknown

ANY_GAME: dict[str, Any] = {"id": "AnyGame-v0", "entry_point": "collectors.worlds.any_game:AnyGame"}


def register_environments() -> None:
    """Registers every row of the table and AnyGame-v0; calling it again changes nothing."""
    for row in (*map(registration, WORLDS.values()), ANY_GAME):
        if row["id"] not in gymnasium.registry:
            gymnasium.register(**row)


def registration(world: World) -> dict:
    """What gymnasium.register takes for a world's real game."""
    row: dict[str, Any] = {"id": world.real_id, "entry_point": world.env}
    row["max_episode_steps"] = world.max_episode_steps
    return row | ({"vector_entry_point": world.vector_env} if world.vector_env else {})


def environment_id(name: str) -> str:
    """The id of a world's real game ("snake" -> "RealSnake-v0"); an id stays what it is.

    Raises UnknownNameError with the nearest world for a name that is neither.
    """
    if name in WORLDS:
        return WORLDS[name].real_id
    if name in gymnasium.registry or not name.isidentifier():  # ids have a version, "-v0"
        return name
    raise UnknownNameError(unknown("world", name, WORLDS))


def collect_options(env_id: str) -> dict:
    """The options with which an id is collected by default."""
    rows = (dict(row.collect_options) for row in WORLDS.values() if row.real_id == env_id)
    return next(rows, {})


@runtime_checkable
class NamesOptions(Protocol):
    """A game that takes its options as `**options` and says which there are."""

    option_names: tuple[str, ...]
    options_class: type  # a dataclass with a field per option


def unknown_option(env_id: str, options: Iterable[str]) -> str:
    """The sentence, with the nearest name, for the first of `options` that the constructor of a
    registered game, "id" or "module:id", does not know; "" where it knows them all, or where that
    cannot be told.
    """
    creator: Any = gymnasium.spec(env_id.rpartition(":")[2]).entry_point
    made = load_env_creator(creator) if isinstance(creator, str) else creator
    parameters = inspect.signature(made).parameters.values()
    known = [one.name for one in parameters if one.kind is not one.VAR_KEYWORD]
    if isinstance(made, NamesOptions):
        known += made.option_names
    elif len(known) < len(parameters):
        return ""  # it hands them on
    other = [name for name in options if name not in known]
    names = [name for name in known if name != "render_mode"]
    return unknown("option", other[0], names) if other else ""
