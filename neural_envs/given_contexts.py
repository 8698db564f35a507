"""Contexts that a caller gives: a history of any length becomes the K frames that a model starts
from.

B lanes, T frames given, K frames expected, H x W x C per frame.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from world_models.protocols import Context, WorldModel


def context_from(value: Any, model: WorldModel, lanes: int) -> Context:
    """The last K frames of a given history, for every lane.

    `value`: frames alone where T = 1, a pair (frames, actions), or {"frames": ..., "actions": ...};
    arrays or tensors. frames (H, W, C), (T, H, W, C) or (B, T, H, W, C) uint8; actions (T - 1) or
    (B, T - 1), actions[i] led from frame i to frame i + 1. B is 1 (copied to all lanes) or `lanes`.
    A short history repeats its first frame with action 0 between the copies. Raises ValueError that
    names the shape expected.
    """
    frames, actions = _parts(value)
    shape, length = model.spec.frame_shape, model.context_length
    needed = (
        f"(T, {', '.join(map(str, shape))}) uint8, one history, or ({lanes}, T, ...), one for "
        "each lane"
    )
    if (
        frames.dtype != torch.uint8
        or tuple(frames.shape[-3:]) != tuple(shape)
        or not 3 <= frames.ndim <= 5
    ):
        raise ValueError(f"context frames are {tuple(frames.shape)} {frames.dtype}; give {needed}")
    frames = frames.reshape(*((1,) * (5 - frames.ndim)), *frames.shape)  # (1 or B, T, H, W, C)
    if not frames.shape[1] or frames.shape[0] not in (1, lanes):
        raise ValueError(f"context frames are {tuple(frames.shape)}; give {needed}")
    actions = _checked_actions(actions, frames, len(model.spec.action_names))
    missing = max(0, length - frames.shape[1])
    padded = torch.cat([frames[:, :1].expand(-1, missing, *shape), frames], 1)
    frames = padded[:, -length:]  # (1 or B, K, H, W, C)
    actions = torch.cat([actions.new_zeros(len(actions), missing), actions], 1)
    actions = actions[:, actions.shape[1] - (length - 1) :]  # (1 or B, K - 1)
    return Context(frames.expand(lanes, *frames.shape[1:]), actions.expand(lanes, length - 1))


def _parts(value: Any) -> tuple[Tensor, Tensor | None]:
    if isinstance(value, dict):
        unknown = set(value) - {"frames", "actions"}
        if unknown or "frames" not in value:
            raise ValueError(f"a context has the keys frames and actions; got {sorted(value)}")
        frames, actions = value["frames"], value.get("actions")
    else:
        frames, actions = value if isinstance(value, tuple) else (value, None)
    return torch.as_tensor(frames), None if actions is None else torch.as_tensor(actions)


def _checked_actions(actions: Tensor | None, frames: Tensor, count: int) -> Tensor:
    """(1 or B, T - 1) int64 beside frames (1 or B, T, H, W, C)."""
    rows, length = frames.shape[0], frames.shape[1] - 1
    if actions is None and length:
        raise ValueError(
            f"a context of {length + 1} frames needs the {length} actions between: give (frames, "
            "actions)"
        )
    actions = torch.zeros(rows, 0, dtype=torch.int64) if actions is None else actions
    actions = actions[None] if actions.ndim == 1 else actions
    if tuple(actions.shape) != (rows, length):
        raise ValueError(
            f"context actions are {tuple(actions.shape)}; for these frames give ({rows}, {length})"
        )
    if length and (actions.is_floating_point() or actions.min() < 0 or actions.max() >= count):
        raise ValueError(f"context actions are whole numbers in 0..{count - 1}")
    return actions.long().to(frames.device)
