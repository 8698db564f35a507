"""`neural-envs collect snake --frames 200000 --out data/snake`: plays a real game and writes a dataset.

Shard k plays its own episodes from seeds made of (seed, k), so what is written does not depend on the number of
workers, and a collection that was killed goes on to the result it would have had.
"""

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path

import gymnasium
import numpy as np

from collectors.dataset import Dataset, DatasetError, DatasetWriter, WrittenShard, read_manifest, write_shard
from collectors.policies import Policy, make_policy
from collectors.progress import progress
from collectors.registration import collect_options, environment_id
from collectors.rollout import rollout
from collectors.settings import parse


@dataclass(frozen=True)
class CollectSettings:
    """Plays a real game with a policy and writes a dataset."""

    world: str = field(metadata={"help": "the game: snake, or any Gymnasium id that has a world_spec()"})
    frames: int = field(default=200_000, metadata={"help": "steps to collect, at least; may grow with --resume"})
    policy: str = field(default="mix", metadata={"help": "random, sticky:0.8, astar, astar:0.1, wander:0.2 or mix"})
    workers: int = field(default=2, metadata={"help": "processes; the data do not depend on their number"})
    seed: int = field(default=0, metadata={"help": "decides the data"})
    out: str = field(default="", metadata={"help": "directory to write; data/WORLD if empty"})
    shard_steps: int = field(default=20_000, metadata={"help": "steps a shard; what a killed collector loses"})
    options: tuple[str, ...] = field(default=(), metadata={"help": "of the game, as grid_size=32,wrap=true"})
    resume: bool = field(default=False, metadata={"help": "go on with the dataset that is there"})

    def __post_init__(self):
        if min(self.frames, self.workers, self.shard_steps) < 1 or self.seed < 0:
            raise ValueError("frames, workers and shard_steps must be at least 1, and seed at least 0")


@dataclass(frozen=True)
class ShardTask:
    """All that decides a shard; sent to a worker."""

    path: str
    env_spec: str  # EnvSpec as JSON
    policy: str | Policy
    seed: int
    index: int
    quota: int  # steps; the last episode is played to its end


def collect(
    env_id: str,
    out: str | Path,
    frames: int,
    policy: str | Policy = "mix",
    workers: int = 1,
    seed: int = 0,
    shard_steps: int = 20_000,
    env_options: dict | None = None,
    resume: bool = False,
    report: Callable[[int], None] = lambda steps: None,
) -> Dataset:
    """Collects at least `frames` steps of `env_id` into the directory `out` and opens it.

    `policy` is a name for `make_policy` or a policy object (picklable where workers > 1; it is told apart by its name).
    `report` is called with the number of steps after each shard. With more than one worker, a script that calls this
    must guard its main part with `if __name__ == "__main__"`. Raises DatasetError where `out` holds a dataset and
    `resume` is False, or one that was collected with other settings; `frames` may grow.
    """
    CollectSettings(env_id, frames, workers=workers, seed=seed, shard_steps=shard_steps)  # checks the numbers
    with gymnasium.make(env_id, **{**collect_options(env_id), **(env_options or {})}) as env:
        if not hasattr(env.unwrapped, "world_spec"):
            raise DatasetError(f"{env_id} has no world_spec(), which says what a dream of it must know")
        actions, spec, env_spec = env.action_space.n, env.unwrapped.world_spec(), env.spec.to_json()
    policy_name = policy if isinstance(policy, str) else getattr(policy, "name", type(policy).__name__)
    if isinstance(policy, str):
        make_policy(policy, actions, spec["world"])  # a wrong name is an error here, not in a worker
    header = {"spec": spec, "env_spec": env_spec, "policy": policy_name, "seed": seed, "shard_steps": shard_steps}
    _check_directory(Path(out), header, resume)
    writer = DatasetWriter(out, header)
    quotas = [min(shard_steps, frames - start) for start in range(0, frames, shard_steps)]
    missing = _missing_shards(writer, quotas)
    report(sum(entry["steps"] for index, entry in writer.shards.items() if index not in missing))
    tasks = [ShardTask(str(out), env_spec, policy, seed, index, quotas[index]) for index in missing]
    for written in _run(tasks, workers):
        writer.add(written)
        report(written.entry["steps"])
    return Dataset(out)


def play_shard(task: ShardTask) -> WrittenShard:
    """Plays episodes until a shard is full and writes it; runs in a worker."""
    env = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(task.env_spec))
    world = env.unwrapped.world_spec()["world"]
    policy = make_policy(task.policy, env.action_space.n, world) if isinstance(task.policy, str) else task.policy
    episodes, steps = [], 0
    while steps < task.quota:
        sequence = np.random.SeedSequence(task.seed, spawn_key=(task.index, len(episodes)))
        episodes.append(rollout(env, policy, int(sequence.generate_state(1, np.uint64)[0] >> 1)))
        steps += len(episodes[-1])
    env.close()
    return write_shard(task.path, task.index, task.quota, episodes)


def _run(tasks: list[ShardTask], workers: int) -> Iterator[WrittenShard]:
    """Shards in the order in which they are finished."""
    if workers == 1 or len(tasks) < 2:
        yield from map(play_shard, tasks)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process that runs torch threads can hang
    pool = ProcessPoolExecutor(min(workers, len(tasks)), context, _end_with_parent)
    try:
        for future in as_completed([pool.submit(play_shard, task) for task in tasks]):
            yield future.result()
    except BrokenProcessPool as error:
        raise DatasetError(f"a worker was killed; `--resume` goes on from the shards in {tasks[0].path}") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A killed collector must not leave workers behind that write on."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _check_directory(path: Path, header: dict, resume: bool) -> None:
    """Refuses a directory that holds something else."""
    if not path.exists() or not any(path.iterdir()):
        return
    if not (path / "manifest.json").exists():
        raise DatasetError(f"{path} is not empty and not a dataset; choose another directory")
    manifest = read_manifest(path)
    other = [key for key, value in header.items() if manifest.get(key) != value]
    if other:
        raise DatasetError(f"{path} was collected with another {', '.join(other)}; choose another directory")
    if not resume:
        raise DatasetError(f"{path} already holds a dataset; go on with --resume or choose another directory")


def _missing_shards(writer: DatasetWriter, quotas: list[int]) -> list[int]:
    """Shards still to play. One that lacks a file, or was cut short for a smaller `frames`, is played anew."""
    if any(index >= len(quotas) or entry["quota"] > quotas[index] for index, entry in writer.shards.items()):
        raise DatasetError(f"{writer.path} already holds more frames than asked for; ask for at least as many")
    for index, entry in list(writer.shards.items()):
        sizes = {name: (writer.path / name).stat().st_size for name in entry["files"] if (writer.path / name).is_file()}
        if sizes != {name: file["bytes"] for name, file in entry["files"].items()}:
            writer.remove(index)
    kept = {index for index, entry in writer.shards.items() if entry["quota"] == quotas[index]}
    return [index for index in range(len(quotas)) if index not in kept]


def read_options(words: tuple[str, ...]) -> dict:
    """("grid_size=32", "start=centre") -> {"grid_size": 32, "start": "centre"}; raises DatasetError."""
    options = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise DatasetError(f"the game's options are given as name=value, not as {word!r}")
        try:
            options[name] = json.loads(text)
        except json.JSONDecodeError:
            options[name] = text
    return options


def main(argv: list[str] | None = None) -> int:
    settings = parse(CollectSettings, argv, "neural-envs collect", positional=("world",))
    out = settings.out or f"data/{settings.world}"
    with progress(total=settings.frames, desc="collect", unit="step") as bar:
        try:
            dataset = collect(
                environment_id(settings.world), out, settings.frames, settings.policy, settings.workers, settings.seed,
                settings.shard_steps, read_options(settings.options), settings.resume, bar.update,
            )  # fmt: skip
        except TypeError as error:  # an option that the game's constructor does not know
            raise DatasetError(f"{settings.world} cannot be made: {error}") from error
    print(f"{out}: {dataset.steps} steps, {len(dataset.episodes)} episodes, fingerprint {dataset.fingerprint[:16]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
