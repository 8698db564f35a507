"""How fast games are played here, for the time that a recording will take. B lanes."""

import contextlib
import os
import time
from collections.abc import Generator, Sequence
from itertools import count
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

from collectors.recording.workers import ShardTask, make_task_lanes, one_by_one, task_policy

TIMED_SECONDS = 0.5


def expected_seconds(tasks: Sequence[ShardTask], workers: int) -> float:
    """About how long the shards of tasks will take: what is played for a moment, and not kept,
    tells. As many workers play at once as there are processors for.
    """
    steps = sum(task.quota for task in tasks)
    return steps / steps_per_second(tasks[0]) / min(workers, len(tasks), os.cpu_count() or 1)


def steps_per_second(task: ShardTask) -> float:
    """How many steps of a task's game one worker plays in a second."""
    played = _single(task) if one_by_one(task) else _in_lanes(task)
    with contextlib.closing(played):
        next(played)  # the first step is a slow one
        started, steps = time.perf_counter(), 0
        for made in played:
            steps += made
            elapsed = time.perf_counter() - started
            if elapsed > TIMED_SECONDS:
                break
    return steps / elapsed


def _single(task: ShardTask) -> Generator[int, None, None]:
    """Plays game after game; the number of steps each time, which is one."""
    with contextlib.closing(gymnasium.make(EnvSpec.from_json(task.env_spec))) as env:
        policy = task_policy(task, env.action_space)
        for number in count():
            frame, _ = env.reset(seed=task.seed_of(number))
            policy.reset(np.random.default_rng(number))
            ended = False
            while not ended:
                frame, _, terminated, truncated, _ = env.step(policy(frame))
                ended = terminated or truncated
                yield 1


def _in_lanes(task: ShardTask) -> Generator[int, None, None]:
    """Steps all lanes; the number of steps each time, one per lane."""
    with contextlib.closing(make_task_lanes(task)) as env:
        players = task_policy(task, env.single_action_space).batch(env.num_envs)
        ended, reset = np.ones(env.num_envs, bool), cast(Any, env.reset)  # takes a seed per lane
        generators = [np.random.default_rng(lane) for lane in range(env.num_envs)]
        seeds = [task.seed_of(lane) for lane in range(env.num_envs)]
        while True:
            if ended.any():
                frames, _ = reset(seed=seeds, options={"reset_mask": ended})
                players.reset(ended, generators)
            frames, _, terminated, truncated, _ = env.step(players(frames))
            ended = terminated | truncated
            yield env.num_envs
