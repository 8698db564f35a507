"""Contexts that a caller gives: a history of any length becomes the K frames that a model starts
from.

B lanes, T frames given, K frames expected, H x W x C per frame.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from collectors.action_space import ActionSpace
from world_models.protocols import Context, WorldModel


def context_from(value: Any, model: WorldModel, lanes: int) -> Context:
    """The last K frames of a given history, for every lane.

    `value`: frames alone where T = 1, a pair (frames, actions), or {"frames": ..., "actions": ...};
    arrays or tensors. frames (H, W, C), (T, H, W, C) or (B, T, H, W, C) uint8; actions as the game
    takes them, (T - 1, *row) or (B, T - 1, *row), actions[i] led from frame i to frame i + 1. B is
    1 (copied to all lanes) or `lanes`. A short history repeats its first frame with action 0
    between the copies. Raises ValueError that names the shape expected.
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
    actions = _checked_actions(actions, frames, model.spec.actions)
    missing = max(0, length - frames.shape[1])
    padded = torch.cat([frames[:, :1].expand(-1, missing, *shape), frames], 1)
    frames = padded[:, -length:]  # (1 or B, K, H, W, C)
    row = actions.shape[2:]
    actions = torch.cat([actions.new_zeros(len(actions), missing, *row), actions], 1)
    actions = actions[:, actions.shape[1] - (length - 1) :]  # (1 or B, K - 1, *row)
    return Context(*(part.expand(lanes, *part.shape[1:]) for part in (frames, actions)))


def _parts(value: Any) -> tuple[Tensor, Tensor | None]:
    if isinstance(value, dict):
        unknown = set(value) - {"frames", "actions"}
        if unknown or "frames" not in value:
            raise ValueError(f"a context has the keys frames and actions; got {sorted(value)}")
        frames, actions = value["frames"], value.get("actions")
    else:
        frames, actions = value if isinstance(value, tuple) else (value, None)
    return torch.as_tensor(frames), None if actions is None else torch.as_tensor(actions)


def _checked_actions(actions: Tensor | None, frames: Tensor, space: ActionSpace) -> Tensor:
    """Encoded (1 or B, T - 1, *row) beside frames (1 or B, T, H, W, C)."""
    rows, length = frames.shape[0], frames.shape[1] - 1
    if actions is None and length:
        raise ValueError(
            f"a context of {length + 1} frames needs the {length} actions between: give (frames, "
            "actions)"
        )
    if actions is None:
        return torch.from_numpy(space.encoded_zeros((rows, 0))).to(frames.device)
    actions = actions[None] if actions.ndim == 1 + len(space.row) else actions
    expected = (rows, length, *space.row)
    if tuple(actions.shape) != expected:
        raise ValueError(
            f"context actions are {tuple(actions.shape)}; for these frames give {expected}"
        )
    given = actions.cpu().numpy()
    if length and (
        given.dtype.kind not in ("fiu" if space.is_box else "iu") or not space.holds(given)
    ):
        most = f"whole numbers in 0..{space.counts[0] - 1}" if space.is_plain else f"in {space}"
        raise ValueError(f"context actions are {most}")
    return torch.from_numpy(space.encode(given)).to(frames.device)
