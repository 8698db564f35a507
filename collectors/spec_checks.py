"""What a file says of a game, checked: the fields of a WorldSpec as a dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from collectors.action_space import MOST_CHOICES, ActionSpace, ActionSpaceError
from collectors.untrusted_files import DamagedFileError

MOST_PIXELS, MOST_CHANNELS, MOST_REWARDS = 2**20, 64, 1024
MOST_LETTERS, MOST_FPS, MOST_STEPS = 200, 1000, 2**31
NEEDED = ("world", "frame_shape", "action_names", "reward_values", "fps", "max_episode_steps")


def check_spec(spec: Any, open_rewards: bool = False) -> None:
    """Raises DamagedFileError, a sentence, where types or ranges are wrong.

    `open_rewards`: whether there may be no reward values, because they are found in the data.
    """
    if not isinstance(spec, Mapping):
        raise DamagedFileError(f"the spec is {spec!r:.60}, not a table")
    if missing := sorted(set(NEEDED) - set(spec)):
        raise DamagedFileError(f"the spec lacks {missing}")
    shape, names, world = spec["frame_shape"], spec["action_names"], spec["world"]
    if not (are(shape, int) and len(shape) == 3 and min(shape) >= 1):
        raise DamagedFileError(f"frame_shape is three whole numbers, got {shape!r:.60}")
    if shape[0] * shape[1] > MOST_PIXELS or shape[2] > MOST_CHANNELS:
        raise DamagedFileError(f"frames of {shape!r:.60} are larger than a game's can be")
    if not (are(names, str) and 1 <= len(names) <= MOST_CHOICES):
        raise DamagedFileError(f"action_names are 1 to {MOST_CHOICES} names, got {names!r:.60}")
    if not isinstance(world, str) or any(len(text) > MOST_LETTERS for text in (*names, world)):
        raise DamagedFileError(f"world and actions are names of at most {MOST_LETTERS} letters")
    check_action_space(spec)
    for name in ("reward_values", "final_rewards"):
        check_rewards(name, spec.get(name, []))
    values = list(spec["reward_values"])
    if values != sorted(set(values)) or not (values or open_rewards):
        raise DamagedFileError("reward_values are distinct and increasing, and at least one")
    for name, most in (("fps", MOST_FPS), ("max_episode_steps", MOST_STEPS)):
        if not is_whole(spec[name], 1, most):
            raise DamagedFileError(
                f"{name} is a whole number from 1 to {most}, got {spec[name]!r:.60}"
            )


def check_action_space(spec: Mapping[str, Any]) -> None:
    """Raises DamagedFileError unless the action space, where there is one, has as many names as
    choices or, where an action has parts, as parts.
    """
    try:
        space = ActionSpace.of_spec(spec)
    except ActionSpaceError as error:
        raise DamagedFileError(str(error)) from None
    expected = space.counts[0] if space.is_discrete else space.parts
    if len(spec["action_names"]) != expected:
        raise DamagedFileError(f"{space} has {len(spec['action_names'])} action_names")


def check_rewards(name: str, values: Any) -> None:
    """Raises DamagedFileError unless these are some finite numbers."""
    numbers = are(values, int, float) and len(values) <= MOST_REWARDS
    if not numbers or not all(abs(value) < 1e30 for value in values):
        raise DamagedFileError(
            f"{name} are at most {MOST_REWARDS} finite numbers, got {values!r:.60}"
        )


def is_whole(value: Any, least: int, most: int) -> bool:
    """Whether this is a whole number in a range, its ends included."""
    return type(value) is int and least <= value <= most


def are(values: Any, *types: type) -> bool:
    """Whether this is a list or tuple of values of exactly these types."""
    return isinstance(values, list | tuple) and all(type(value) in types for value in values)
