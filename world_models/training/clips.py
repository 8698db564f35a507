"""Clips for training, cut from a dataset at read time.

B clips, K context frames, S steps after the context.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from collectors.dataset.dataset import Dataset
from collectors.worlds.snake.expert_transitions import ExpertAugmenter
from world_models.bundles.contexts import Contexts
from world_models.protocols import Clips, Context, WorldSpec

# so often a reward must have been seen at the end of a game, and never before it, to be a final one
SURE = 20


class ClipReader:
    """Draws clips of some episodes, the ones with an event (a reward, an end) more often.

    `event_weight` counts a step with another reward than the usual one that many times,
    `end_weight` one that ends the game: ends are rare. Data position is the caller's generator:
    equal generators give equal batches.
    """

    def __init__(
        self,
        dataset: Dataset,
        episodes: list[int],
        context_length: int,
        steps: int,
        event_weight: float = 1.0,
        end_weight: float = 1.0,
    ):
        if not episodes:
            raise ValueError(
                "no episodes to read: collect more frames, or lower the validation and test shares"
            )
        self.dataset, self.context_length, self.steps = dataset, context_length, steps
        self.reward_values = np.array(dataset.spec["reward_values"], np.float32)
        self._index(set(episodes))
        shards = dataset.shards
        rewards = np.concatenate([s.rewards[r] for s, r in zip(shards, self._kept, strict=True)])
        values, counts = np.unique(rewards, return_counts=True)
        paid = (
            rewards != values[counts.argmax()]
        )  # a world may pay, or take, a little in every step
        ends = np.concatenate([s.terminations[r] for s, r in zip(shards, self._kept, strict=True)])
        self.weight = np.where(ends, end_weight, np.where(paid, event_weight, 1.0)).astype(
            np.float32
        )
        self.cumulative = np.cumsum(self.weight / self.weight.sum(dtype=np.float64))

    def __len__(self) -> int:
        return len(self.shard)

    def _index(self, episodes: set[int]) -> None:
        """A row for every kept step: shard, step row, first step row and length of its episode,
        number in the shard.
        """
        rows, self._kept = [], []
        for number, shard in enumerate(self.dataset.shards):
            order = np.repeat(np.arange(len(shard.lengths)), shard.lengths)
            keep = np.isin(order + shard.first_episode, list(episodes))
            step = np.flatnonzero(keep)
            order = order[keep]
            self._kept.append(step)
            rows.append(
                (
                    np.full(len(step), number),
                    step,
                    shard.step_starts[order],
                    shard.lengths[order],
                    order,
                )
            )
        columns = [np.concatenate(column) for column in zip(*rows, strict=True)]
        self.shard, self.step, self.start, self.length, self.order = columns

    def with_steps(self, steps: int) -> ClipReader:
        """The same episodes in clips of another length."""
        other = copy.copy(self)
        other.steps = steps
        return other

    def draw(self, count: int, generator: np.random.Generator) -> Clips:
        """`count` clips; the drawn step is at a random place in its clip so that events fall on
        every dreamed depth.
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
        """Clips whose first action is that of these rows."""
        first, start, length, order = (
            of[rows] for of in (self.step, self.start, self.length, self.order)
        )
        steps = first[:, None] + np.arange(self.steps)
        valid = steps < (start + length)[:, None]
        steps = np.minimum(steps, (start + length - 1)[:, None])  # (B, S)
        seen = first[:, None] + np.arange(1 - self.context_length, self.steps + 1)
        seen = (
            np.clip(seen, start[:, None], (start + length)[:, None]) + order[:, None]
        )  # one more frame an episode
        frames = self._gather("frames", self.shard[rows], seen)
        actions = self._gather("actions", self.shard[rows], steps)
        past = first[:, None] + np.arange(1 - self.context_length, 0)  # (B, K - 1)
        before = self._gather("actions", self.shard[rows], np.maximum(past, start[:, None]))
        before = np.where(past < start[:, None], 0, before)  # between copies of the first frame
        rewards = self._gather("rewards", self.shard[rows], steps)
        terminations = self._gather("terminations", self.shard[rows], steps)
        classes = np.abs(rewards[..., None] - self.reward_values).argmin(-1)
        weights = self.weight[np.minimum(rows[:, None] + np.arange(self.steps), len(self) - 1)]
        sampling_weight = (weights * valid).sum(1) / valid.sum(1)
        columns = (
            frames,
            actions.astype(np.int64),
            classes,
            terminations,
            valid,
            sampling_weight,
            before.astype(np.int64),
        )
        return Clips(*map(torch.from_numpy, columns))

    def _gather(self, name: str, shards: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """One array's rows (B, T) out of each row's own shard."""
        arrays = [getattr(shard, name) for shard in self.dataset.shards]
        out = np.empty((*rows.shape, *arrays[0].shape[1:]), arrays[0].dtype)
        for number in np.unique(shards):
            chosen = shards == number
            out[chosen] = arrays[number][rows[chosen]]
        return out


class ExpertClips:
    """Has A* show its moves in clips of Snake, one context frame and one step each; see
    `ExpertAugmenter`.

    `Clips.expert` says where the move is among the expert's best. A clip from a sampled board has
    odds 1.
    """

    def __init__(self, spec: WorldSpec, sampled: float):
        if spec.world != "snake":
            raise ValueError(
                f"expert=true needs Snake, whose expert is A*; this is a dataset of {spec.world}"
            )
        self.reward_values = np.array(spec.reward_values, np.float32)
        self.teacher = ExpertAugmenter(spec.frame_shape[0] // 4, sampled)

    def __call__(self, clips: Clips, generator: np.random.Generator) -> Clips:
        if clips.frames.shape[1] != 2:
            raise ValueError("expert=true needs context_length 1 and rollout_steps 1")
        frames, rewards = (
            clips.frames.numpy(),
            self.reward_values[clips.reward_classes[:, 0].numpy()],
        )
        rows = zip(
            frames,
            clips.actions[:, 0].tolist(),
            rewards,
            clips.terminations[:, 0].tolist(),
            strict=True,
        )
        frames, actions, rewards, ends, expert, sampled = zip(
            *(self.teacher(*row, generator) for row in rows), strict=True
        )
        classes = np.abs(np.array(rewards)[:, None] - self.reward_values).argmin(1)
        columns = (
            np.stack(frames),
            np.array(actions)[:, None],
            classes[:, None],
            np.array(ends)[:, None],
        )
        names = ("frames", "actions", "reward_classes", "terminations")
        taught = dict(zip(names, map(torch.from_numpy, columns), strict=True))
        sampling_weight = torch.where(torch.tensor(sampled), 1.0, clips.sampling_weight)
        return clips._replace(
            **taught, sampling_weight=sampling_weight, expert=torch.tensor(expert)
        )


def start_contexts(reader: ClipReader, count: int, generator: np.random.Generator) -> Contexts:
    """Contexts of `count` different episodes at their first frame, as a reset of the real game
    gives them.
    """
    starts = np.flatnonzero(reader.step == reader.start)
    rows = generator.choice(starts, min(count, len(starts)), replace=False)
    clips = reader.cut(rows)
    return Contexts(clips.frames[:, : reader.context_length].numpy(), clips.context_actions.numpy())


class Anywhere:
    """Contexts from every step of a recording's training episodes, cut when asked for; has what
    `Contexts` has.

    Raises DatasetError where there is no recording, ValueError where it is not of the game that
    `spec` tells.
    """

    def __init__(self, recording: str | Path, spec: WorldSpec, context_length: int):
        dataset = Dataset(recording)
        theirs = WorldSpec.from_dict(dataset.spec)
        for name in ("frame_shape", "action_names"):
            if (has := getattr(theirs, name)) != (wanted := getattr(spec, name)):
                raise ValueError(
                    f"starts: the dataset has the {name} {has}, this dream has {wanted}"
                )
        self.reader = ClipReader(dataset, dataset.split()["train"], context_length, 1)

    def __len__(self) -> int:
        return len(self.reader)

    def choose(self, indices: torch.Tensor) -> Context:
        """The contexts before these steps, (B,) int64, as tensors on the device of `indices`."""
        clips = self.reader.cut(indices.cpu().numpy())
        frames = clips.frames[:, : self.reader.context_length]
        return Context(frames.to(indices.device), clips.context_actions.to(indices.device))


def read_spec(dataset: Dataset) -> WorldSpec:
    """The dataset's world specification; `final_rewards` are those that ended the game each time,
    `SURE` or more.
    """
    spec = WorldSpec.from_dict(dataset.spec)
    paid, over = (
        np.concatenate([getattr(shard, n) for shard in dataset.shards])
        for n in ("rewards", "terminations")
    )
    classes = np.abs(paid[:, None] - np.array(spec.reward_values, np.float32)).argmin(1)
    count = np.bincount(classes, minlength=len(spec.reward_values))
    ended = np.bincount(classes, over, minlength=len(spec.reward_values))
    final = tuple(
        v for v, n, e in zip(spec.reward_values, count, ended, strict=True) if n == e and n >= SURE
    )
    return replace(spec, final_rewards=final)
