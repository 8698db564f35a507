"""What callers hand to environments, one or B lanes: actions, seeds, reset options, step limits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.vector import AutoresetMode

from collectors.action_space import ActionSpace

NO_LIMIT = 2**62  # steps


class UnknownActionError(InvalidAction, ValueError):
    """An action that a game does not have; the message lists those that it has."""


class SeedError(gymnasium.error.Error, ValueError):
    """A seed that is none."""


def as_autoreset_mode(mode: str | AutoresetMode) -> AutoresetMode:
    """A mode or its value; ValueError with the three that there are."""
    value, known = getattr(mode, "value", mode), [known.value for known in AutoresetMode]
    if value not in known:
        raise ValueError(f"autoreset_mode is one of {', '.join(map(repr, known))}; got {value!r}")
    return AutoresetMode(value)


def step_limit(steps: int | None, default: int) -> int:
    """The limit that `max_episode_steps` asks for: None is `default`, -1 none at all."""
    if steps is None:
        return default
    if not isinstance(steps, (int, np.integer)) or (steps != -1 and steps < 1):
        raise ValueError(
            f"max_episode_steps is a whole number of 1 or more, or -1 for no limit; got {steps!r}"
        )
    return NO_LIMIT if steps == -1 else int(steps)


def check_reset_options(
    options: Mapping[str, Any] | None, known: Iterable[str] = ()
) -> dict[str, Any]:
    """reset's options as a dictionary; ValueError names those that there are."""
    names = ["reset_mask", *known]
    if unknown := sorted(set(options or {}) - set(names)):
        there = " and ".join(f"'{name}'" for name in names)
        raise ValueError(f"unknown reset options {unknown}; there is {there}")
    return dict(options or {})


def reset_mask(options: dict[str, Any], lanes: int, started: bool) -> np.ndarray:
    """Takes the lanes to reset, (B,) bool, out of reset's options; all without a mask.

    Raises ValueError for a mask of another kind and ResetNeeded where the first reset (not
    `started`) leaves lanes out.
    """
    mask = np.asarray(options.pop("reset_mask", np.ones(lanes, bool)))
    if mask.dtype != bool or mask.shape != (lanes,) or not mask.any():
        raise ValueError(f"reset_mask is ({lanes},) bool with at least one True, got {mask}")
    if not started and not mask.all():
        raise ResetNeeded(
            "the first reset starts every lane: call reset() without a reset_mask first"
        )
    return mask


def lane_seeds(seed: int | Sequence[int | None] | None, lanes: int) -> list[int | None]:
    """A seed or None per lane: of a number s, lane i gets s + i.

    Raises SeedError for what is no seed, and for too many or too few.
    """
    if seed is None:
        return [None] * lanes
    if isinstance(seed, (int, np.integer)):
        first = whole_seed(seed)
        return [first + lane for lane in range(lanes)]
    if not isinstance(seed, (Sequence, np.ndarray)) or isinstance(seed, str):
        raise SeedError(f"a seed is a whole number, one for each lane, or None; got {seed!r}")
    if len(seed) != lanes:
        raise SeedError(f"{len(seed)} seeds for {lanes} lanes: give one int, or one for each lane")
    return [None if one is None else whole_seed(one) for one in seed]


def whole_seed(seed: Any) -> int:
    """The seed as int. Raises SeedError where it is no whole number of 0 or more."""
    if not isinstance(seed, (int, np.integer)) or seed < 0:
        raise SeedError(f"a seed is a whole number of 0 or more; got {seed!r}")
    return int(seed)


def check_actions(actions: Any, lanes: int, names: Sequence[str]) -> np.ndarray:
    """(B,) int64; UnknownActionError where one is none of them."""
    given = np.asarray(actions)
    whole = given.dtype.kind in "iu" and given.shape == (lanes,)
    if not whole or ((given < 0) | (given >= len(names))).any():
        raise unknown_actions(actions, lanes, names)
    return given.astype(np.int64)


def check_in_space(
    given: Any,
    space: ActionSpace,
    names: Sequence[str],
    lanes: int | None = None,
    clip: bool = False,
) -> np.ndarray:
    """Actions of B lanes (B, *row), or of one game (*row) where `lanes` is None, in the space's
    type. `clip`: those beyond their bounds become the nearest ones.

    Raises UnknownActionError, a sentence, for actions that the space does not hold.
    """
    values, shape = np.asarray(given), space.row if lanes is None else (lanes, *space.row)
    fits = values.dtype.kind in ("fiu" if space.is_box else "iub") and values.shape == shape
    if fits and clip and space.is_box:
        return space.clip(values)
    typed = values.astype(space.dtype) if fits else values
    if not fits or not space.holds(typed):
        what = ", ".join(names)
        remedy = " or give out_of_range='clip'" if fits and space.is_box else ""
        raise UnknownActionError(
            f"actions are {shape} {'numbers' if space.is_box else 'whole numbers'} in {space} "
            f"({what}){remedy}; got {given!r:.200}"
        )
    return typed


def unknown_actions(given: Any, lanes: int, names: Sequence[str]) -> UnknownActionError:
    """The error for actions of which one is none of the game's."""
    return UnknownActionError(
        f"actions are ({lanes},) whole numbers among {_listed(names)}; got {given!r}"
    )


def check_action(action: Any, names: Sequence[str]) -> int:
    """The action of one game as int; UnknownActionError where it is none of them."""
    if type(action) is not int:
        array = np.asarray(action)
        if array.ndim or array.dtype.kind not in "iu":
            raise _unknown_action(action, names)
        action = int(array)
    if not 0 <= action < len(names):
        raise _unknown_action(action, names)
    return action


def _unknown_action(action: Any, names: Sequence[str]) -> UnknownActionError:
    return UnknownActionError(f"action {action!r} is not one of {_listed(names)}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(names))
