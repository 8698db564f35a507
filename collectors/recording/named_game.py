"""The game that a command line names: a world, a recording, any Gymnasium id, with its options."""

from __future__ import annotations

import json
from typing import Any, Protocol, runtime_checkable

import gymnasium

from collectors.dataset.dataset import DatasetError
from collectors.recording import presets
from collectors.worlds.registration import (
    ANY_GAME,
    collect_options,
    environment_id,
    unknown_option,
)


@runtime_checkable
class Describes(Protocol):
    """A game that says what a dream of it must know."""

    def world_spec(self) -> dict[str, Any]:
        """The fields of `world_models.protocols.WorldSpec`."""
        ...


def named_game(world: str, env: str, options: tuple[str, ...]) -> tuple[str, dict[str, Any]]:
    """The id and the options of a world or, instead of one, of any Gymnasium game `env`."""
    if env:
        return ANY_GAME["id"], {"env": env, **read_options(options)}
    return environment_id(presets.world_of(world)), read_options(options)


def make_named_game(world: str, env: str, options: tuple[str, ...]) -> gymnasium.Env:
    """That game, with the options that recordings of it have. Raises DatasetError for an option
    that it does not know, and what making it raises.
    """
    env_id, chosen = named_game(world, env, options)
    try:
        return gymnasium.make(env_id, **{**collect_options(env_id), **chosen})
    except TypeError as error:
        reason = unknown_option(env_id, chosen) or error
        raise DatasetError(f"{world or env} cannot be made: {reason}") from error


def game_header(env: gymnasium.Env) -> dict[str, Any]:
    """What a manifest says of a game: `spec` and `env_spec`. Raises DatasetError."""
    game: Any = env.unwrapped
    if not isinstance(game, Describes) or env.spec is None:
        name = env.spec.id if env.spec else type(game).__name__
        raise DatasetError(
            f"{name} has no world_spec(), which says what a dream of it must know; collect it with "
            f"--env {name}"
        )
    return {"spec": game.world_spec(), "env_spec": env.spec.to_json()}


def read_options(words: tuple[str, ...]) -> dict:
    """("grid_size=32", "start=centre") -> {"grid_size": 32, "start": "centre"}; raises
    DatasetError.
    """
    options = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise DatasetError(f"the game's options are given as name=value, not as {word!r}")
        try:
            options[name] = json.loads(text)
        except json.JSONDecodeError:
            options[name] = text
    return options
