"""How networks read actions: an embedding per part, Fourier features of numbers (Tancik et al.
2020, arXiv:2006.10739), and a learned null action.

Networks are built for `Actions`: the number A of a Discrete space, or a space whose actions have P
parts. Encoded actions are (...) int64, or (..., P) int64 or float32; see `ActionSpace`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.action_space import ActionSpace

Actions = int | ActionSpace
FREQUENCIES = 4  # of a number in [-1, 1]: a quarter of a wave per unit, and octaves above


def embed_actions(actions: Actions, width: int) -> nn.Module:
    """Encoded actions -> (..., D). The null action has an embedding of its own."""
    if isinstance(actions, int):
        return nn.Embedding(actions + 1, width)  # the last row is the learned null action
    return NumberEmbedding(actions, width) if actions.is_box else PartEmbedding(actions, width)


class PartEmbedding(nn.Module):
    """Whole numbers (..., P) -> (..., D): the sum of a learned row per part."""

    counts: Tensor  # (P,)
    offsets: Tensor  # (P,)

    def __init__(self, space: ActionSpace, width: int):
        super().__init__()
        counts = torch.tensor(space.counts)
        rows = counts + 1  # the last one of each part: not given
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("offsets", rows.cumsum(0) - rows, persistent=False)
        self.table = nn.Embedding(int(rows.sum()), width)
        nn.init.normal_(self.table.weight, std=space.parts**-0.5)

    def forward(self, action: Tensor) -> Tensor:
        return self.table(torch.minimum(action, self.counts) + self.offsets).sum(-2)


class NumberEmbedding(nn.Module):
    """Numbers in [-1, 1] (..., P) -> (..., D), by their Fourier features."""

    def __init__(self, space: ActionSpace, width: int):
        super().__init__()
        inputs = space.parts * (1 + 2 * FREQUENCIES)
        self.mlp = nn.Sequential(nn.Linear(inputs, width), nn.SiLU(), nn.Linear(width, width))
        self.null = nn.Parameter(torch.zeros(width))
        self.space = space

    def forward(self, action: Tensor) -> Tensor:
        frequency = 2.0 ** torch.arange(FREQUENCIES, device=action.device) * math.pi / 2
        phase = (action[..., None] * frequency).flatten(-2)
        known = self.mlp(torch.cat((action, phase.sin(), phase.cos()), -1))
        return torch.where(absent(action, self.space)[..., None], self.null.to(known), known)


def numbered(space: ActionSpace, numbers: Tensor) -> Tensor:
    """Encoded actions (B, *row), spread over the space by whole numbers (B,)."""
    if space.is_discrete:
        return numbers % space.counts[0]
    part = torch.arange(space.parts, device=numbers.device)
    spread = numbers[:, None] * (part + 1) + part
    if space.is_box:
        return (spread % 9).float() / 4 - 1
    return spread % torch.tensor(space.counts, device=numbers.device)


def null_of(actions: Actions) -> int | float:
    """What stands for every part of an action that is not given."""
    return actions if isinstance(actions, int) else actions.null


def not_given(space: ActionSpace, lanes: int, device: torch.device) -> Tensor:
    """The null action of every lane, (B, *row) encoded."""
    action = torch.from_numpy(space.encoded_zeros((lanes,)))
    return torch.full_like(action, space.null).to(device)


def absent(action: Tensor, actions: Actions) -> Tensor:
    """Which of the encoded actions are not given: (...) bool."""
    none = action == null_of(actions)
    return none if isinstance(actions, int) else none[..., 0]


def put_null(action: Tensor, where: Tensor, null: int | float) -> Tensor:
    """The actions (..., *row) with the null action where the mask (...) bool says so."""
    return torch.where(where.reshape(*where.shape, *[1] * (action.ndim - where.ndim)), null, action)


def features_of(action: Tensor, actions: Actions) -> Tensor:
    """Encoded actions (B, *row) as `feature_count` plain numbers each, (B, F) float32."""
    if isinstance(actions, int):
        return F.one_hot(action, actions + 1)
    if actions.is_box:
        none = absent(action, actions)[:, None]
        return torch.cat((action.masked_fill(none, 0), none), 1)
    parts = zip(action.unbind(1), actions.counts, strict=True)
    return torch.cat([F.one_hot(part.clamp(max=n), n + 1) for part, n in parts], 1)


def feature_count(actions: Actions) -> int:
    """F of `features_of`."""
    if isinstance(actions, int):
        return actions + 1
    return actions.parts + (1 if actions.is_box else sum(actions.counts))


def vector_of(action: Tensor, actions: Actions) -> Tensor:
    """Encoded actions (B, *row) as points (B, V) float32: a one-hot row per part, or the numbers
    of a Box. The null action is in their middle.
    """
    if isinstance(actions, int):
        return _one_hot(action, actions)
    if actions.is_box:
        return action.masked_fill(absent(action, actions)[:, None], 0)
    parts = zip(action.unbind(1), actions.counts, strict=True)
    return torch.cat([_one_hot(part, n) for part, n in parts], 1)


def _one_hot(choice: Tensor, count: int) -> Tensor:
    """(B,) int64 -> (B, N); a choice beyond the last is 1 / N everywhere."""
    rows = torch.eye(count, device=choice.device)
    return torch.cat((rows, rows.mean(0, keepdim=True)))[choice.clamp(max=count)]


def nearest_action(vector: Tensor, actions: Actions) -> Tensor:
    """The encoded actions (B, *row) nearest to points (B, V)."""
    if isinstance(actions, int):
        return vector.argmax(1)
    if actions.is_box:
        return vector.clamp(-1, 1)
    return torch.stack([part.argmax(1) for part in vector.split(actions.counts, 1)], 1)


def vector_width(actions: Actions) -> int:
    """V of `vector_of`."""
    if isinstance(actions, int):
        return actions
    return actions.parts if actions.is_box else sum(actions.counts)
