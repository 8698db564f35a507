"""Lanes: the elements of a batch of environments.

A state is any (nested) tuple of batch-first tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def put_lanes(state: Any, lanes: Tensor, fresh: Any) -> Any:
    """A new state in which some lanes are replaced, leaf by leaf.

    lanes: (B,) bool mask, or (M,) int64 indices. fresh: the same type of state with M lanes, in the
    order of the chosen lanes. `state` is untouched. Raises ValueError where the two do not fit.
    """
    if isinstance(state, Tensor):
        index = lanes.nonzero()[:, 0] if lanes.dtype == torch.bool else lanes
        if len(index) != len(fresh) or state.shape[1:] != fresh.shape[1:]:
            raise ValueError(
                f"cannot put {tuple(fresh.shape)} into {len(index)} lanes of {tuple(state.shape)}"
            )
        return state.index_copy(0, index.to(state.device), fresh.to(state))
    return _like(state, [put_lanes(old, lanes, new) for old, new in zip(state, fresh, strict=True)])


def take_lanes(state: Any, lanes: Tensor) -> Any:
    """The chosen lanes of a state as a new one. lanes: (B,) bool mask or (M,) int64 indices."""
    if isinstance(state, Tensor):
        return state[lanes]
    return _like(state, [take_lanes(leaf, lanes) for leaf in state])


def map_leaves(state: Any, function: Callable[[Tensor], Any]) -> Any:
    """A state with every tensor replaced by function(tensor)."""
    if isinstance(state, Tensor):
        return function(state)
    leaves = [
        function(leaf) if isinstance(leaf, Tensor) else map_leaves(leaf, function)  # a call less
        for leaf in state
    ]
    return _like(state, leaves)


def step_in_blocks(model: Any, state: Any, action: Tensor, noise: Any, options: Any) -> Any:
    """`model.step`, on a processor `model.lanes_at_once` lanes at a time: what a layer makes of so
    few stays in the caches.
    """
    most = model.lanes_at_once
    if not most or len(action) <= most or not action.is_cpu:
        return model.step(state, action, noise, options)
    given = (state, action, noise)
    parts = [
        model.step(*map_leaves(given, lambda leaf, i=i: leaf[i : i + most]), options)
        for i in range(0, len(action), most)
    ]
    return _joined(parts)


def _joined(parts: Sequence[Any]) -> Any:
    """The lanes of states, one after another."""
    if isinstance(parts[0], Tensor):
        return torch.cat(list(parts))
    return _like(parts[0], [_joined(leaves) for leaves in zip(*parts, strict=True)])


def _like(state: Any, leaves: list) -> Any:
    return tuple(leaves) if type(state) is tuple else type(state)(*leaves)
