"""What callers hand to a dream in many lanes, checked: worlds, actions, reset options, snapshots.

B lanes, H x W x C per frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from collectors.worlds.table import WORLDS
from collectors.worlds.vector_env import check_reset_options, reset_mask
from neural_envs.given_contexts import context_from
from neural_envs.simulator import DreamState
from world_models.protocols import Context, WorldModel


def one_of(name: str, value: Any, choices: tuple) -> Any:
    """The value. Raises ValueError that lists the choices."""
    if value not in choices:
        raise ValueError(f"{name} is one of {', '.join(map(repr, choices))}; got {value!r}")
    return value


def trust_threshold(min_trust: Any) -> float | None:
    """The value. Raises ValueError unless it is None or a number of 0 to 1."""
    if min_trust is None:
        return None
    if isinstance(min_trust, (int, float, np.integer, np.floating)) and 0 <= min_trust <= 1:
        return float(min_trust)
    raise ValueError(
        f"min_trust is a probability from 0 to 1, or None for no limit; got {min_trust!r}"
    )


def check_world(expected: str | None, found: str, bundle: str) -> None:
    """Raises ValueError where the bundle is a dream of another world than its id names."""
    if expected not in (None, found):
        name = WORLDS[found].neural_id if found in WORLDS else "NeuralEnv-v0"
        raise ValueError(
            f"the bundle '{bundle}' is a dream of {found}, not of {expected}; use "
            f"gym.make('{name}', bundle='{bundle}')"
        )


def action_tensor(actions: Any, lanes: int, names: tuple[str, ...]) -> Tensor:
    """Actions as (B,) int64. Raises ValueError that lists the actions."""
    given = actions if isinstance(actions, Tensor) else np.asarray(actions)
    if isinstance(given, Tensor):
        whole = not (given.is_floating_point() or given.is_complex() or given.dtype == torch.bool)
    else:
        whole = given.dtype.kind in "iu"
    if whole and given.shape == (lanes,) and not ((given < 0) | (given >= len(names))).any():
        return torch.as_tensor(given).to(torch.int64)
    listed = ", ".join(f"{i} {name}" for i, name in enumerate(names))
    raise ValueError(f"actions are ({lanes},) whole numbers among {listed}; got {actions!r}")


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
