"""Clips for training, cut from a dataset at read time.

B clips, K context frames, S steps after the context.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from zlib import crc32

import numpy as np
import torch

from collectors.action_space import zero_unless
from collectors.dataset.dataset import Dataset
from world_models.protocols import Clips, Context, WorldSpec

# a reward is final where so many episodes ended with it, and none went on
LEAST_FINAL = 20
FRAMES_AT_ONCE = 1024  # where all frames of a dataset are read in parts


class ClipReader:
    """Draws clips of some episodes, those with an event (a rare reward, a termination) more often.

    A step with another reward than the usual one is drawn `event_weight` times as often, a step
    that ends the game `termination_event_weight` times. With `unique_steps` those that begin at the
    same frame with the same action share one step's weight, whatever came of them: a player who did
    one thing in vain ten thousand times is no lesson. The position in the data is the caller's
    generator: equal generators give equal batches.

    Raises ValueError without episodes.
    """

    def __init__(
        self,
        dataset: Dataset,
        episodes: list[int],
        context_length: int,
        steps: int,
        event_weight: float = 1.0,
        termination_event_weight: float = 1.0,
        unique_steps: bool = False,
    ):
        if not episodes:
            raise ValueError(
                f"{dataset.path} has no episodes for this part of its split: collect more frames "
                "(`neural-envs collect` with a larger --frames and --resume), or import films and "
                "tables anew with --cut 100, which makes episodes of long games"
            )
        self.dataset, self.context_length, self.steps = dataset, context_length, steps
        self.reward_values = np.array(dataset.spec["reward_values"], np.float32)
        self._index(set(episodes))

        rewards, terminations = self._column("rewards"), self._column("terminations")
        values, counts = np.unique(rewards, return_counts=True)
        usual = values[counts.argmax()]  # a game may give a little reward in every step
        weight = np.where(rewards != usual, event_weight, 1.0)
        weight = np.where(terminations, termination_event_weight, weight)
        if unique_steps:
            weight = weight / self._times_recorded()
        self.weight = weight.astype(np.float32)
        self.cumulative = np.cumsum(self.weight / self.weight.sum(dtype=np.float64))

    def __len__(self) -> int:
        return len(self.shard)

    def _index(self, episodes: set[int]) -> None:
        """A row for every step of the episodes: its shard, its row there, and the first row, the
        length and the number in the shard of its episode.
        """
        rows, self._kept = [], []
        for number, shard in enumerate(self.dataset.shards):
            order = np.repeat(np.arange(len(shard.lengths)), shard.lengths)
            keep = np.isin(order + shard.first_episode, list(episodes))
            step = np.flatnonzero(keep)
            order = order[keep]
            self._kept.append(step)
            starts, lengths = shard.step_starts[order], shard.lengths[order]
            rows.append((np.full(len(step), number), step, starts, lengths, order))
        columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
        self.shard, self.step, self.start, self.length, self.order = columns

    def _column(self, name: str) -> np.ndarray:
        """One number of every row, (len(self),)."""
        shards = zip(self.dataset.shards, self._kept, strict=True)
        return np.concatenate([getattr(shard, name)[kept] for shard, kept in shards])

    def _times_recorded(self) -> np.ndarray:
        """How often each row's frame and action were recorded together, (len(self),)."""
        keys = np.empty((len(self), 2), np.uint32)
        row = 0
        for number, (shard, kept) in enumerate(zip(self.dataset.shards, self._kept, strict=True)):
            frames = kept + self.order[self.shard == number]
            for start in range(0, len(kept), FRAMES_AT_ONCE):
                part = slice(start, start + FRAMES_AT_ONCE)
                columns = (shard.frames[frames[part]], shard.actions[kept[part]])
                for frame, action in zip(*columns, strict=True):
                    keys[row] = crc32(frame.tobytes()), crc32(action.tobytes())
                    row += 1
        _, index, counts = np.unique(keys, axis=0, return_inverse=True, return_counts=True)
        return counts[index.ravel()]

    def with_steps(self, steps: int) -> ClipReader:
        """The same episodes in clips of another length."""
        other = copy.copy(self)
        other.steps = steps
        return other

    def draw(self, count: int, generator: np.random.Generator) -> Clips:
        """`count` clips; the drawn step is at a random place in its clip, so that events fall on
        every depth of a rollout.
        """
        return self.cut(self.choose(count, generator))

    def choose(self, count: int, generator: np.random.Generator) -> np.ndarray:
        """The rows (count,) at which `draw` cuts its clips."""
        rows = np.searchsorted(self.cumulative, generator.random(count)).clip(max=len(self) - 1)
        back = np.minimum(
            generator.integers(0, self.steps, count), self.step[rows] - self.start[rows]
        )
        return rows - back

    def cut(self, rows: np.ndarray) -> Clips:
        """Clips whose first action is that of these rows (B,)."""
        shard, first, start, length = (
            column[rows] for column in (self.shard, self.step, self.start, self.length)
        )
        end = (start + length)[:, None]
        steps = first[:, None] + np.arange(self.steps)  # (B, S)
        valid = steps < end
        steps = np.minimum(steps, end - 1)
        places = first[:, None] + np.arange(1 - self.context_length, self.steps + 1)
        places = np.clip(places, start[:, None], end)  # (B, K + S), one frame more than steps
        past = first[:, None] + np.arange(1 - self.context_length, 0)  # (B, K - 1)
        encode, begun = self.dataset.actions.encode, past >= start[:, None]
        context_actions = encode(self._gather("actions", shard, np.maximum(past, start[:, None])))
        rewards = self._gather("rewards", shard, steps)
        classes = np.abs(rewards[..., None] - self.reward_values).argmin(-1)
        weights = self.weight[np.minimum(rows[:, None] + np.arange(self.steps), len(self) - 1)]
        columns = {
            "frames": self._gather("frames", shard, places + self.order[rows][:, None]),
            "actions": encode(self._gather("actions", shard, steps)),
            "reward_classes": classes,
            "terminations": self._gather("terminations", shard, steps),
            "valid": valid,
            "sampling_weight": (weights * valid).sum(1) / valid.sum(1),
            # the actions between copies of the first frame are 0
            "context_actions": zero_unless(begun, context_actions),
        }
        return Clips(**{name: torch.from_numpy(column) for name, column in columns.items()})

    def _gather(self, name: str, shards: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """One array's rows (B, T), each from the shard of its clip."""
        arrays = [getattr(shard, name) for shard in self.dataset.shards]
        out = np.empty((*rows.shape, *arrays[0].shape[1:]), arrays[0].dtype)
        for number in np.unique(shards):
            chosen = shards == number
            out[chosen] = arrays[number][rows[chosen]]
        return out


def read_spec(dataset: Dataset) -> WorldSpec:
    """The dataset's world specification, with `final_rewards`: those that ended the game each time,
    at least `LEAST_FINAL` times.
    """
    spec = WorldSpec.from_dict(dataset.spec)
    rewards, terminations = (
        np.concatenate([getattr(shard, name) for shard in dataset.shards])
        for name in ("rewards", "terminations")
    )
    classes = np.abs(rewards[:, None] - np.array(spec.reward_values, np.float32)).argmin(1)
    counts = np.bincount(classes, minlength=len(spec.reward_values))
    ended = np.bincount(classes, terminations, minlength=len(spec.reward_values))
    final = (counts == ended) & (counts >= LEAST_FINAL)
    values = zip(spec.reward_values, final, strict=True)
    return replace(spec, final_rewards=tuple(value for value, is_final in values if is_final))


def read_frames(dataset: Dataset, episodes: list[int]) -> Iterator[np.ndarray]:
    """All frames of some episodes in parts (T, H, W, C) uint8."""
    for shard in dataset.shards:
        number = np.repeat(np.arange(len(shard.lengths)), shard.lengths + 1) + shard.first_episode
        rows = np.flatnonzero(np.isin(number, episodes))
        for start in range(0, len(rows), FRAMES_AT_ONCE):
            yield np.asarray(shard.frames[rows[start : start + FRAMES_AT_ONCE]])


def context_of(clips: Clips, length: int) -> Context:
    """The first `length` frames of clips, and the actions between them."""
    if clips.context_actions is None:
        raise ValueError("these clips do not hold the actions of their context")
    return Context(clips.frames[:, :length], clips.context_actions)


def part_of(clips: Clips, first: int, last: int) -> Clips:
    """Clips `first` to `last` (exclusive) of a batch."""
    if first == 0 and last == len(clips.frames):
        return clips
    columns = clips._asdict().items()
    cut = {name: column[first:last] for name, column in columns if column is not None}
    return Clips(**cut)
