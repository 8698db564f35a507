"""Who plays shards: this process, worker processes, or a Ray cluster.

All run the same pure function of a task.
"""

import contextlib
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator
from gymnasium.vector import AutoresetMode, VectorEnv

from collectors.action_space import ActionSpace
from collectors.dataset.dataset import WrittenShard, write_shard
from collectors.dataset.episode import Episode
from collectors.dataset.reward_values import add_rewards
from collectors.dataset.shards import mark_finished
from collectors.policies.policies import Policy, make_policy
from collectors.ray_cluster import cluster
from collectors.recording.lane_player import Job, LanePlayer
from collectors.recording.rollout import rollout
from collectors.recording.worker_pool import WorkerDied, WorkerPool
from collectors.worlds.table import World
from collectors.worlds.vector_env import SingleEnvLanes

GROUP = 4  # shards that a worker plays at a stretch, where a game is played in lanes


@dataclass(frozen=True)
class ShardTask:
    """All that decides a shard, and `path` and `lanes`, which do not; sent to a worker."""

    path: str
    env_spec: str  # EnvSpec as JSON
    world: World | None  # the row of the game, for policies that are given by name
    policy: str | Policy
    seed: int
    index: int
    quota: int  # steps; the last episode is played to its end
    lanes: int = 1  # episodes at once, where the game has a vector environment
    compress: bool = False

    def write(self, episodes: list[Episode]) -> WrittenShard:
        """Write these episodes as its shard, into a temporary directory."""
        return write_shard(self.path, self.index, self.quota, episodes, self.compress)

    def seed_of(self, number: int) -> int:
        """The seed of the shard's episode of this number."""
        sequence = np.random.SeedSequence(self.seed, spawn_key=(self.index, number))
        return int(sequence.generate_state(1, np.uint64)[0] >> 1)


def play_shards(tasks: list[ShardTask]) -> Iterator[WrittenShard]:
    """Plays shards and writes each into a temporary directory of its dataset, as soon as it is
    done: a worker that is killed loses what it is playing, not what it has written."""
    for task, episodes in play(tasks):
        yield mark_finished(task.write(episodes))


def play(tasks: list[ShardTask]) -> Iterator[tuple[ShardTask, list[Episode]]]:
    """The episodes of tasks of one game and policy, in lanes where the game or the policy is faster
    with many at once.
    """
    if one_by_one(tasks[0]):
        with contextlib.closing(gymnasium.make(EnvSpec.from_json(tasks[0].env_spec))) as env:
            policy = task_policy(tasks[0], env.action_space)
            yield from ((task, play_single(env, policy, task)) for task in tasks)
        return
    with contextlib.closing(make_task_lanes(tasks[0])) as env:
        policy = task_policy(tasks[0], env.single_action_space)
        jobs = {Job(task.seed_of, task.quota): task for task in tasks}
        yield from (
            (jobs.pop(job), job.episodes) for job in LanePlayer(env, policy).play(list(jobs))
        )


def one_by_one(task: ShardTask) -> bool:
    """Whether neither the game nor the policy is faster with many games at once."""
    batched = not isinstance(task.policy, str) and task.policy.batched
    return not (batched or _gains_by_lanes(EnvSpec.from_json(task.env_spec)))


def make_task_lanes(task: ShardTask) -> VectorEnv:
    """The lanes of a task's game, with autoreset DISABLED."""
    spec = EnvSpec.from_json(task.env_spec)
    mode: dict[str, Any] = {"autoreset_mode": AutoresetMode.DISABLED}
    if spec.vector_entry_point is None:
        mode = {"vectorization_mode": "sync", "vector_kwargs": mode}
    else:
        mode = {"vectorization_mode": "vector_entry_point", **mode}
    return gymnasium.make_vec(spec, num_envs=task.lanes, **mode)


def _gains_by_lanes(spec: EnvSpec) -> bool:
    """Whether many games at once are faster: not where they are single ones, one after another."""
    if spec.vector_entry_point is None:
        return False
    creator: Any = spec.vector_entry_point
    made = load_env_creator(creator) if isinstance(creator, str) else creator
    return not (isinstance(made, type) and issubclass(made, SingleEnvLanes))


def play_single(env: gymnasium.Env, policy: Policy, task: ShardTask) -> list[Episode]:
    """Plays episodes one by one until a shard is full. Raises TooManyRewards."""
    episodes, steps, rewards = [], 0, set()
    while steps < task.quota:
        episodes.append(rollout(env, policy, task.seed_of(len(episodes))))
        add_rewards(rewards, episodes[-1].rewards)
        steps += len(episodes[-1])
    return episodes


def play_episodes(task: ShardTask) -> list[Episode]:
    """The episodes of one shard; a pure function of the task."""
    return next(play([task]))[1]


def task_policy(task: ShardTask, actions: Any) -> Policy:
    """The policy of a task for a game with this space of actions, as Gymnasium has it."""
    if isinstance(task.policy, str):
        known = ActionSpace.from_gymnasium(actions).for_policies
        return make_policy(task.policy, known, task.world)
    return task.policy


def run_tasks(
    tasks: list[ShardTask], workers: int, ray: str = ""
) -> Generator[WrittenShard, None, None]:
    """Shards in the order in which they are finished.

    With `ray`, an address or "local", a cluster plays them. Raises WorkerDied where a worker is
    killed: whoever called knows how to go on.
    """
    if not tasks:
        return
    if ray:
        yield from run_on_ray(tasks, ray, workers)
    elif workers > 1 and len(tasks) > 1:
        yield from run_processes(tasks, workers)
    else:
        yield from play_shards(tasks)


def run_processes(tasks: list[ShardTask], workers: int) -> Iterator[WrittenShard]:
    """Worker processes play shards in groups, in which no lane is ever idle but at the end."""
    in_lanes = _gains_by_lanes(EnvSpec.from_json(tasks[0].env_spec))
    size = min(GROUP, -(-len(tasks) // workers)) if in_lanes else 1
    groups = [tasks[start : start + size] for start in range(0, len(tasks), size)]
    with WorkerPool(_play_group, min(workers, len(groups))) as pool:
        for shards in pool.map(groups):
            yield from shards


def _play_group(tasks: list[ShardTask]) -> list[WrittenShard]:
    return list(play_shards(tasks))


def run_on_ray(tasks: list[ShardTask], address: str, workers: int) -> Iterator[WrittenShard]:
    """Episodes are played on the cluster and written here, so that its machines need no common
    disk. "local" starts a cluster of `workers` processes and ends it; elsewhere the cluster decides
    how many shards are played at once."""
    import ray

    waiting = list(reversed(tasks))
    with cluster(address, workers):
        play = ray.remote(play_episodes)
        # what is played ahead waits in memory
        most = max(1, int(ray.cluster_resources().get("CPU", 1)))
        running = {}
        try:
            while waiting or running:
                while waiting and len(running) < most:
                    task = waiting.pop()
                    running[play.remote(task)] = task
                done, _ = ray.wait(list(running), num_returns=1)
                task = running.pop(done[0])
                yield task.write(ray.get(done[0]))
        except ray.exceptions.WorkerCrashedError as error:
            raise WorkerDied("a worker of the cluster has ended") from error
        except ray.exceptions.RayTaskError as error:
            raise error.cause from error
