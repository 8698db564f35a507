"""What happens next in a scene, as categories: first the outcome of the step, then, given it, what
becomes of every sprite and of every patch that can change.

All inputs are rows of one table that are added up; a place or a distance between two rows is a
mixture of both, so that thresholds can be sharper than a pixel. Each answer is a choice: a sprite
moves by an entry of its dictionary, is put at one, or is gone; a patch stays unless a change is
likelier.

B lanes, K context frames, P sprites, A changing patches, N patches in the dictionary, M moves and U
places along an axis, R outcomes (a reward class with or without the end), D channels.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.actions import Actions, embed_actions
from world_models.networks.initialization import zeroed
from world_models.networks.scene import AROUND, SceneSizes

PUT, MOVE, GONE = range(3)  # what becomes of a sprite
PATCH_WIDTH = 64  # channels of the network that decides a patch
TABLE_SCALE = 0.1  # standard deviation of the numbers in a table at first


class SceneHistory(NamedTuple):
    """What the network reads."""

    center: Tensor  # (B, P, 2) row and column now, pixels
    moved: Tensor  # (B, P, 2) pixels, the last move; 0 where there is none
    moves: Tensor  # (B, K - 1, P, 2) int64 entries, oldest first; M for none
    there: Tensor  # (B, K, P) bool
    actions: Tensor  # (B, K, *row), the last one is the step's
    codes: Tensor  # (B, A) int64


class SceneLogits(NamedTuple):
    """Logits of what becomes of sprites and patches."""

    fate: Tensor  # (B, P, 3) PUT, MOVE, GONE
    move: Tensor  # (B, P, 2, M)
    place: Tensor  # (B, P, 2, U)
    patch: Tensor  # (B, A, 1 + N): stays, or becomes an entry


class SceneDynamics(nn.Module):
    """`read` a history, then choose the `outcome`, then `forward` with it."""

    pairs: Tensor  # (2, pairs) of sprites
    offsets: Tensor  # first row of each input in the table
    last_rows: Tensor  # of each input, from its first

    def __init__(
        self, sizes: SceneSizes, shape: tuple[int, int], frames: int, actions: Actions,
        outcomes: int, width: int, depth: int,
    ):  # fmt: skip
        """shape: (H, W) of a frame. `frames`: K. `depth`: residual blocks after each reading."""
        super().__init__()
        self.sizes, self.longest_side, count = sizes, max(shape), sizes.sprites
        self.register_buffer("pairs", torch.triu_indices(count, count, 1), persistent=False)
        past = (frames - 1) * count * 2
        rows = self._table_rows(frames, actions)
        offsets = torch.tensor([0, *rows]).cumsum(0)[:-1]
        self.register_buffer("offsets", offsets, persistent=False)
        self.register_buffer("last_rows", torch.tensor(rows) - 1, persistent=False)
        self.table = RowSums(sum(rows), width)
        nn.init.normal_(self.table.weight, std=TABLE_SCALE)
        self._embed_actions(actions, frames, width)
        self.first = nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
        self.outcome = nn.Linear(width, outcomes)
        self.chosen = nn.Embedding(outcomes, width)
        self.second = nn.Sequential(*(ResidualBlock(width) for _ in range(depth)))
        answers = count * (3 + 2 * sizes.moves + 2 * sizes.places)
        self.out = nn.Linear(width, answers)
        # what moved so before mostly does again: the quickest way from an entry to itself
        self.again = RowSums(past * (sizes.moves + 1), sizes.moves)
        nn.init.zeros_(self.again.weight)
        self.patches = PatchNetwork(sizes, width)

    def _embed_actions(self, actions: Actions, frames: int, width: int) -> None:
        """What is added for the action of the step, and for those before where they have parts."""
        self.action = embed_actions(actions, width)
        if isinstance(self.action, nn.Embedding):
            nn.init.normal_(self.action.weight, std=TABLE_SCALE)
        self.counted = isinstance(actions, int)  # past ones are then rows of the table
        past = 0 if self.counted else frames - 1
        self.past = nn.ModuleList(embed_actions(actions, width) for _ in range(past))

    def _table_rows(self, frames: int, actions: Actions) -> list[int]:
        """How many rows of the table each input has: last and expected centers, their distances,
        moves, past actions where they have no parts, presence, codes.
        """
        sizes, count = self.sizes, self.sizes.sprites
        return [
            *[self.longest_side + 1] * (4 * count),
            *[2 * self.longest_side + 1] * (4 * self.pairs.shape[1]),
            *[sizes.moves + 1] * ((frames - 1) * count * 2),
            *([actions] * (frames - 1) if isinstance(actions, int) else []),
            *[2] * (frames * count),
            *[sizes.patches] * sizes.changing,
        ]

    def read(self, history: SceneHistory) -> Tensor:
        """(B, D)."""
        rows, weights = self._rows(history)
        known = self.table(rows, weights) + self.action(history.actions[:, -1])
        for number, embed in enumerate(self.past):
            known = known + embed(history.actions[:, number])
        return self.first(known)

    def _rows(self, history: SceneHistory) -> tuple[Tensor, Tensor]:
        """Rows of the table (B, n) int64 and how much of each."""
        center, ahead = history.center, history.center + history.moved
        i, j = self.pairs
        distances = torch.cat([(c[:, i] - c[:, j]).flatten(1) for c in (center, ahead)], 1)
        places = torch.cat([c.flatten(1) for c in (center, ahead)], 1)
        value = torch.cat((places, distances + self.longest_side), 1)
        limit = self.last_rows[: value.shape[1]]
        value = value.clamp(min=0).minimum(limit)
        low = value.floor().minimum(limit - 1)
        share, low = value - low, low.long() + self.offsets[: value.shape[1]]
        whole = [
            history.moves.flatten(1),
            *([history.actions[:, :-1]] if self.counted else []),
            history.there.flatten(1).long(),
            history.codes,
        ]
        exact = torch.cat(whole, 1) + self.offsets[value.shape[1] :]
        weights = torch.cat((1 - share, share, torch.ones_like(exact, dtype=share.dtype)), 1)
        return torch.cat((low, low + 1, exact), 1), weights

    def forward(
        self, read: Tensor, outcome: Tensor, history: SceneHistory, neighbors: Tensor
    ) -> SceneLogits:
        """What a history, `read` (B, D), leads to where the outcome is this one (B,) int64.

        `neighbors`: `Scene.neighbors`.
        """
        sizes, count = self.sizes, self.sizes.sprites
        x = self.second(read + self.chosen(outcome))
        parts = self.out(x).split((3 * count, 2 * count * sizes.moves, 2 * count * sizes.places), 1)
        fate, move, place = (part.unflatten(1, (count, -1)) for part in parts)
        again = self._again(history.moves)
        return SceneLogits(
            fate,
            move.unflatten(2, (2, -1)) + again,
            place.unflatten(2, (2, -1)),
            self.patches(x, history.codes, neighbors),
        )

    def _again(self, moves: Tensor) -> Tensor:
        """Moves (B, K - 1, P, 2) -> (B, P, 2, M)."""
        past, entries = moves[0].numel(), self.sizes.moves + 1
        rows = moves + torch.arange(past, device=moves.device).view(moves.shape[1:]) * entries
        rows = rows.permute(0, 2, 3, 1)  # (B, P, 2, K - 1)
        return self.again(rows.flatten(0, 2)).unflatten(0, rows.shape[:3])


class RowSums(nn.EmbeddingBag):
    """Sums of the rows of a table."""

    def __init__(self, rows: int, width: int):
        super().__init__(rows, width, mode="sum")

    def forward(self, rows: Tensor, weights: Tensor | None = None) -> Tensor:
        """Rows (N, n) int64, each `weights` (N, n) times or once -> (N, D)."""
        if not torch.compiler.is_compiling():
            return super().forward(rows, per_sample_weights=weights)
        # In a graph a bag becomes a loop over lanes, which OpenVINO refuses.
        found = F.embedding(rows, self.weight)
        return (found if weights is None else found * weights[..., None]).sum(1)


class ResidualBlock(nn.Module):
    """x (B, D) + a hidden layer of its normalized self."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.hidden = nn.LayerNorm(width), nn.Linear(width, width)
        self.out = zeroed(nn.Linear(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(F.silu(self.hidden(self.norm(x))))


class PatchNetwork(nn.Module):
    """Whether a patch changes: from its own code and the next changing ones', from where it is, and
    from what happens.
    """

    def __init__(self, sizes: SceneSizes, width: int):
        super().__init__()
        self.codes = sizes.patches
        self.table = RowSums(len(AROUND) * (self.codes + 1), PATCH_WIDTH)
        self.place = nn.Parameter(torch.empty(sizes.changing, PATCH_WIDTH))
        nn.init.normal_(self.place, std=TABLE_SCALE)
        self.happening = nn.Linear(width, PATCH_WIDTH)
        self.hidden = nn.Linear(PATCH_WIDTH, PATCH_WIDTH)
        self.out = zeroed(nn.Linear(PATCH_WIDTH, 1 + self.codes))

    def forward(self, x: Tensor, codes: Tensor, neighbors: Tensor) -> Tensor:
        """x (B, D), codes (B, A), `Scene.neighbors` -> logits (B, A, 1 + N)."""
        none = torch.full_like(codes[:, :1], self.codes)
        near = torch.cat((codes, none), 1)[:, neighbors]  # (B, A, 5)
        rows = near + torch.arange(len(AROUND), device=codes.device) * (self.codes + 1)
        local = self.table(rows.flatten(0, 1)).unflatten(0, codes.shape)
        y = F.silu(local + self.place + self.happening(x)[:, None])
        return self.out(F.silu(self.hidden(y)))
