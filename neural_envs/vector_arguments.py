"""What callers hand to a dream in many lanes, checked: worlds, actions, reset options, snapshots.

B lanes, H x W x C per frame.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.error import ResetNeeded
from torch import Tensor

from collectors.worlds.lane_arguments import (
    check_in_space,
    check_reset_options,
    lane_seeds,
    reset_mask,
    unknown_actions,
)
from collectors.worlds.table import WORLDS, unknown
from neural_envs import bundles
from neural_envs.given_contexts import context_from
from neural_envs.simulator import DreamState
from world_models.protocols import Context, WorldModel, WorldSpec


def one_of(name: str, value: Any, choices: tuple) -> Any:
    """The value. Raises ValueError that lists the choices."""
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(map(repr, choices))}; got {value!r}")
    return value


def clips(out_of_range: Any) -> bool:
    """Whether numbers beyond their bounds become the bounds. Raises ValueError for no choice."""
    return one_of("out_of_range", out_of_range, ("refuse", "clip")) == "clip"


def trust_threshold(min_trust: Any) -> float | None:
    """The value. Raises ValueError unless it is None or a number of 0 to 1."""
    if min_trust is None:
        return None
    if isinstance(min_trust, (int, float, np.integer, np.floating)) and 0 <= min_trust <= 1:
        return float(min_trust)
    raise ValueError(
        f"min_trust is a probability from 0 to 1, or None for no limit; got {min_trust!r}"
    )


def no_unknown_arguments(
    name: str, given: Mapping[str, Any], constructor: Callable[..., None]
) -> None:
    """Raises TypeError for an argument that a constructor does not know, in Python's words.

    TorchRL asks for `frameskip=` and goes on without it where it reads these words.
    """
    if not given:
        return
    word = sorted(given)[0]
    if word in ("autoreset_mode", "output", "num_envs"):
        remedy = "it is an argument of gym.make_vec"
    else:
        known = list(inspect.signature(constructor).parameters)[1:-1]
        remedy = unknown("argument", word, known).partition("; ")[2]
    raise TypeError(f"{name}.__init__() got an unexpected keyword argument '{word}'; {remedy}")


def check_given(bundle: Any, model: Any) -> None:
    """Raises ValueError where nothing says what is dreamed."""
    if bundle is None and model is None:
        names = ", ".join(bundles.released_names())
        raise ValueError(
            "say what is dreamed: bundle= a released name, a directory or a Hub repository; "
            f"released are {names}"
        )


def lane_seeds_drawn(
    seed: list[int | None], lanes: int, generator: np.random.Generator
) -> list[int | None]:
    """A seed per lane: a lane without one draws it."""
    seeds = lane_seeds(seed, lanes)
    return [int(generator.integers(2**63)) if one is None else one for one in seeds]


def reset_needed(lanes: list[int], count: int) -> ResetNeeded:
    """The error for a step of lanes whose episodes have ended."""
    if count == 1:
        return ResetNeeded("this episode has ended: call reset() before the next step()")
    return ResetNeeded(
        f"lanes {lanes} have finished: call reset() or reset(options={{'reset_mask': mask}}) first"
    )


def check_world(expected: str | None, found: str, bundle: str) -> None:
    """Raises ValueError where the bundle is a dream of another world than its id names."""
    if expected not in (None, found):
        name = WORLDS[found].neural_id if found in WORLDS else "NeuralEnv-v0"
        raise ValueError(
            f"the bundle '{bundle}' is a dream of {found}, not of {expected}; use "
            f"gym.make('{name}', bundle='{bundle}')"
        )


def action_tensor(actions: Any, lanes: int, world: WorldSpec, clip: bool = False) -> Tensor:
    """Actions as a game takes them -> encoded (B, *row). `clip`: numbers beyond the bounds of a Box
    become the bounds. Raises UnknownActionError, which lists the actions.
    """
    names = world.action_names
    if not world.actions.is_plain:
        given = actions.cpu().numpy() if isinstance(actions, Tensor) else actions
        taken = check_in_space(given, world.actions, names, lanes, clip)
        return torch.from_numpy(world.actions.encode(taken))
    if isinstance(actions, Tensor):
        given = actions
        whole = not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
    else:
        given = np.asarray(actions)
        whole = given.dtype.kind in "iu"
    if whole and given.shape == (lanes,):
        numbers = given.tolist()
        if 0 <= min(numbers) and max(numbers) < len(names):
            if isinstance(given, Tensor):
                return given.to(torch.int64)
            return torch.from_numpy(given.astype(np.int64))
    raise unknown_actions(actions, lanes, names)


def reset_arguments(
    options: dict[str, Any] | None, model: WorldModel, lanes: int, started: bool
) -> tuple[Tensor, Context | None]:
    """The mask (B,) bool of the lanes to reset, and a context of B lanes or None."""
    checked = check_reset_options(options, ("context",))
    context = checked.get("context")
    if context is not None:
        context = context_from(context, model, lanes)
    if isinstance(checked.get("reset_mask"), Tensor):
        checked["reset_mask"] = checked["reset_mask"].cpu().numpy()
    return torch.from_numpy(reset_mask(checked, lanes, started=started)), context


def check_snapshot(state: DreamState, expected: tuple[int, ...]) -> None:
    """Raises ValueError where a snapshot's frames have not the shape (B, H, W, C) expected."""
    if tuple(state.frame.shape) != expected:
        raise ValueError(
            f"the snapshot's frames are {tuple(state.frame.shape)}, this environment's {expected}; "
            "world_models.lanes.take_lanes picks or repeats lanes of a snapshot"
        )
