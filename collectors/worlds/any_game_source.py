"""The games of others: made, and asked for their images and their actions."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from collectors.action_space import ActionSpace, ActionSpaceError
from collectors.spec_checks import MOST_STEPS
from collectors.worlds.any_game_images import (
    AnyGameError,
    GameNotInstalled,
    Source,
    height_and_width,
    image_source,
)

# register ids
PACKAGES = {
    "ALE/": "ale_py",
    "MiniGrid-": "minigrid",
    "BabyAI-": "minigrid",
    "Crafter": "crafter",
    "procgen": "procgen",
}
REGISTERED_BY = {"crafter": "collectors.worlds.crafter_game"}  # of a package that does not itself
CHOICES = {
    "reward": ("raw", "sign"),
    "source": ("auto", "observation", "render"),
    "color": ("rgb", "gray"),
    "out_of_range": ("refuse", "clip"),
}


def check_options(size: int | str, max_steps: int, choices: Mapping[str, str]) -> None:
    """Raises AnyGameError, a sentence, for options of `AnyGame` out of their range."""
    height_and_width(size)
    if not isinstance(max_steps, int) or not 0 <= max_steps <= MOST_STEPS:
        raise AnyGameError(
            f"max_steps is 0 (the game's own limit) or more, a whole number, got {max_steps}"
        )
    for name, value in choices.items():
        if value not in CHOICES[name]:
            raise AnyGameError(f"{name} must be one of {CHOICES[name]}, got {value!r}")


def make_game(name: str, source: str, key: str, options: dict) -> tuple[gymnasium.Env, Source]:
    """The game, and where its images come from. Raises AnyGameError."""
    for prefix, package in PACKAGES.items():
        if name.startswith(prefix):
            _import(package, name)
    game = _made(name, options)
    try:
        found = None if source == "render" else image_source(game.observation_space, key, name)
    except AnyGameError:
        close_game(game)
        raise
    if found is not None:
        return game, found
    close_game(game)
    renders = "rgb_array" in game.metadata.get("render_modes", [])
    if source == "observation" and renders:
        raise AnyGameError(
            f"{name} has no images among its observations, {game.observation_space}; leave out "
            "source=observation, and what it renders is its image"
        )
    if not renders:
        raise AnyGameError(
            f"{name} has no images: it observes {game.observation_space}, and its "
            'metadata["render_modes"] names no rgb_array'
        )
    return _made(name, {**options, "render_mode": "rgb_array"}), Source(renders=True)


def close_game(game: gymnasium.Env) -> None:
    """Closes it; what was played is not lost by an error of how it closes."""
    with contextlib.suppress(Exception):
        game.close()


def _made(name: str, options: dict) -> gymnasium.Env:
    """The game. Raises AnyGameError, a sentence, for what its constructor raises."""
    try:
        return gymnasium.make(name, disable_env_checker=True, **options)
    except gymnasium.error.UnregisteredEnv as error:
        about = str(error).rstrip(".")
        raise GameNotInstalled(
            f"Gymnasium knows no game {name!r} here ({about}); if a package of yours has it, name "
            "it as module:id"
        ) from error
    except gymnasium.error.Error:
        raise
    except ModuleNotFoundError as error:
        raise GameNotInstalled(
            f"{name} cannot be made: no module {error.name or name.partition(':')[0]!r} is "
            "installed; one in this folder is found with PYTHONPATH=. before the command"
        ) from error
    except Exception as error:
        about = str(error).partition(" was raised from the environment creator")[0]
        raise AnyGameError(
            f"{name} cannot be made: {type(error).__name__}: {about}; its own options are given as "
            "--options name=value"
        ) from error


def _import(package: str, name: str) -> None:
    try:
        importlib.import_module(package)  # registers its ids
        importlib.import_module(REGISTERED_BY.get(package, package))
    except ModuleNotFoundError as error:
        distribution = package.replace("_", "-")
        raise GameNotInstalled(
            f"{name} needs {package}, which is not installed: pip install {distribution}"
        ) from error


def actions_of(game: gymnasium.Env, name: str) -> ActionSpace:
    """The game's actions; closes it and raises AnyGameError where no dream can have them."""
    try:
        return ActionSpace.from_gymnasium(game.action_space)
    except ActionSpaceError as error:
        close_game(game)
        raise AnyGameError(f"{name} makes no dream: {error}") from None


def names_of(game: gymnasium.Env) -> list[str]:
    """What the game calls its actions; none where it does not say."""
    meanings = getattr(game.unwrapped, "get_action_meanings", None)
    enumeration = getattr(game.unwrapped, "actions", None)  # MiniGrid's way
    if meanings is not None:
        return [str(name).lower() for name in meanings()]
    members: Any = enumeration if isinstance(enumeration, type) else ()
    return [str(action.name) for action in members]


def to_game(row: np.ndarray, space: spaces.Space) -> Any:
    """An action of an `ActionSpace` as the game's own space has it: its type, within its bounds."""
    if isinstance(space, spaces.Discrete):
        return int(row)
    typed = row.astype(space.dtype)
    return np.clip(typed, space.low, space.high) if isinstance(space, spaces.Box) else typed
