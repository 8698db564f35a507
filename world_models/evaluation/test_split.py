"""Transitions and windows of the episodes that training never saw.

B samples, K context frames, H horizon.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from collectors.action_space import zero_unless
from world_models.protocols import Context


class Place(NamedTuple):
    """A moment of a recording: the action number `step` of an episode."""

    episode: int
    step: int


class Window(NamedTuple):
    """What happened in the H steps after B places;
    `lengths` (B,) of the H are real, the rest repeat the end.
    """

    context: Context
    actions: Tensor  # (B, H, *row), encoded
    frames: Tensor  # (B, H + 1, H', W, C) uint8; the first is the context's last
    rewards: Tensor  # (B, H) float32
    terminations: Tensor  # (B, H) bool
    lengths: Tensor  # (B,) int64


class SplitReader:
    """Reader of a dataset's test split. Raises ValueError when the split has no transitions."""

    def __init__(self, dataset, context_length: int, split: str = "test"):
        self.dataset, self.context_length = dataset, context_length
        self.episodes = np.asarray(dataset.split()[split], int)
        self.lengths = np.array([dataset.episodes[i].length for i in self.episodes], int)
        if not self.lengths.sum():
            raise ValueError(
                f"the {split} split of {getattr(dataset, 'path', 'this dataset')} is empty: "
                "collect more episodes"
            )

    def __len__(self) -> int:
        return int(self.lengths.sum())

    def transitions(self, count: int, generator: np.random.Generator) -> list[Place]:
        """At most `count` different transitions, uniform over the split, in order of reading."""
        chosen = np.sort(generator.choice(len(self), min(count, len(self)), replace=False))
        return self._places(chosen)

    def starts(self, count: int, horizon: int, generator: np.random.Generator) -> list[Place]:
        """At most `count` different rollout starts: half with `horizon` steps left in their
        episode, where there are such, half anywhere. One that is drawn by both counts once.
        """
        offset = np.concatenate([[0], np.cumsum(self.lengths)])
        early = [
            np.arange(o, o + n - horizon + 1)
            for o, n in zip(offset, self.lengths, strict=False)
            if n >= horizon
        ]
        early = np.concatenate(early) if early else np.arange(len(self))
        pools = ((early, count - count // 2), (np.arange(len(self)), count // 2))
        halves = [generator.choice(pool, min(n, len(pool)), replace=False) for pool, n in pools]
        return self._places(np.unique(np.concatenate(halves)))

    def _places(self, numbers: np.ndarray) -> list[Place]:
        stops = np.cumsum(self.lengths)
        row = np.searchsorted(stops, numbers, side="right")
        return [
            Place(int(self.episodes[r]), int(n - stops[r] + self.lengths[r]))
            for r, n in zip(row, numbers, strict=True)
        ]

    def window(self, places: list[Place], horizon: int = 1) -> Window:
        """The contexts of B places and the H steps after them."""
        rows, current, episode = [], None, None
        for place in places:
            if place.episode != current:
                current, episode = place.episode, self.dataset.episode(place.episode)
            rows.append(self._row(episode, place.step, horizon))
        context_frames, context_actions, *rest = (
            torch.from_numpy(np.stack(column)) for column in zip(*rows, strict=True)
        )
        return Window(Context(context_frames, context_actions), *rest)

    def _row(self, episode, step: int, horizon: int) -> tuple[np.ndarray, ...]:
        """One place's arrays.

        Short histories repeat the first frame; the actions between the repeats are 0.
        """
        past = np.arange(step - self.context_length + 1, step + 1)
        actions = self.dataset.actions.encode(episode.actions)
        before = zero_unless(past[:-1] >= 0, actions[past[:-1].clip(0)])
        total = len(episode.actions)
        future = np.arange(step, step + horizon)
        inside = future < total
        future = future.clip(max=total - 1)
        return (
            np.asarray(episode.frames[past.clip(0)]),
            before,
            zero_unless(inside, actions[future]),
            np.asarray(episode.frames[np.arange(step, step + horizon + 1).clip(max=total)]),
            np.where(inside, episode.rewards[future], 0).astype(np.float32),
            np.asarray(inside & episode.terminations[future]),
            np.asarray(inside.sum(), np.int64),
        )
