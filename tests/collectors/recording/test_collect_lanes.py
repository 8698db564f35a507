"""Batched play: the same episodes as one by one, whatever the lanes, the workers and the
cluster.
"""

import errno
import os

import numpy as np
import pytest

from collectors.dataset import shards
from collectors.dataset.dataset import Dataset, DatasetError
from collectors.policies.policies import MixturePolicy, Policy, RandomPolicy, StickyPolicy
from collectors.ray_cluster import ClusterError
from collectors.recording import speed
from collectors.recording.collect import collect
from tests.collectors import counting_env


@pytest.fixture(autouse=True)
def registered():
    counting_env.register()


def contents(path, but=()) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(path.iterdir()) if file.name not in but}


class Parity(Policy):
    """Plays by the number on the frame and a draw; knows single frames."""

    name = "parity"

    def __init__(self):
        self.generator = None

    def reset(self, generator):
        self.generator = generator

    def __call__(self, observation):
        return (int(observation[0, 0, 0]) + int(self.generator.integers(2))) % 2


class BatchedParity(Parity):
    """The same with a batched form."""

    batched = True

    def batch(self, lanes):
        return ParityLanes(lanes)


class ParityLanes:
    def __init__(self, lanes):
        self.generators = [None] * lanes
        self.names = ["parity"] * lanes

    def reset(self, lanes, generators):
        for lane in np.flatnonzero(lanes):
            self.generators[lane] = generators[lane]

    def __call__(self, observations, lanes=None):
        draws = np.array([generator.integers(2) for generator in self.generators])
        return (observations[:, 0, 0, 0] + draws) % 2


def test_lanes_play_the_episodes_that_single_play_gives_whatever_their_number(tmp_path):
    for lanes in (1, 3, 16):
        collect(
            "Counting-v0", tmp_path / str(lanes), 500, "mix", seed=5, shard_steps=200, lanes=lanes
        )
    collect("CountingAlone-v0", tmp_path / "alone", 500, "mix", seed=5, shard_steps=200)
    assert contents(tmp_path / "1") == contents(tmp_path / "3") == contents(tmp_path / "16")
    assert contents(tmp_path / "1", ["manifest.json"]) == contents(
        tmp_path / "alone", ["manifest.json"]
    )
    dataset = Dataset(tmp_path / "3", verify=True)
    assert {row.policy for row in dataset.episodes} == {"random", "sticky:0.8"}
    assert all(row.key == str(row.seed % 10) for row in dataset.episodes)
    assert any(row.truncated for row in dataset.episodes) and any(
        row.terminated for row in dataset.episodes
    )


@pytest.mark.parametrize("game", ["Counting-v0", "CountingAlone-v0"])
def test_the_time_that_it_takes_is_known_before_the_first_shard_and_decides_nothing(
    tmp_path, monkeypatch, game
):
    monkeypatch.setattr(speed, "TIMED_SECONDS", 0.02)
    calls, how = [], {"seed": 5, "shard_steps": 100}

    def report(steps):
        calls.append(f"{steps} steps")

    for name, expect in (("expected", calls.append), ("silent", None)):
        collect(game, tmp_path / name, 200, "mix", None, report, expect, **how)
    before, seconds, *after = calls
    assert before == "0 steps" and 0 < seconds < 60 and len(after) == 2 + 3
    assert contents(tmp_path / "expected") == contents(tmp_path / "silent")
    calls.clear()
    collect(game, tmp_path / "expected", 200, "mix", None, report, calls.append, resume=True, **how)
    assert len(calls) == 1  # nothing is left


def test_batched_data_do_not_depend_on_the_number_of_workers_and_resume(tmp_path):
    collect("Counting-v0", tmp_path / "two", 400, "mix", workers=2, seed=1, shard_steps=100)
    collect("Counting-v0", tmp_path / "one", 150, "mix", seed=1, shard_steps=100, lanes=5)
    collect(
        "Counting-v0", tmp_path / "one", 400, "mix", seed=1, shard_steps=100, lanes=2, resume=True
    )
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.parametrize("mixed", [False, True])
def test_a_policy_with_a_batched_form_plays_as_its_single_one(tmp_path, mixed):
    def policy(kind):
        return (
            MixturePolicy([kind(), RandomPolicy(2), StickyPolicy(2)], [2, 1, 1])
            if mixed
            else kind()
        )

    for name, kind in (("single", Parity), ("batched", BatchedParity)):
        collect("Counting-v0", tmp_path / name, 300, policy(kind), seed=2, shard_steps=150, lanes=4)
    assert contents(tmp_path / "single") == contents(tmp_path / "batched")
    names = {row.policy for row in Dataset(tmp_path / "batched").episodes}
    assert names == ({"parity", "random", "sticky:0.8"} if mixed else {"parity"})


def test_a_batched_policy_that_knows_its_lanes_names_is_asked_for_them():
    batch = MixturePolicy([RandomPolicy(2), StickyPolicy(2)], [1, 1]).batch(6)
    batch.reset(np.ones(6, bool), [np.random.default_rng(seed) for seed in range(6)])
    assert set(batch.names) == {"random", "sticky:0.8"} and batch(
        np.zeros((6, 8, 8, 3), np.uint8), np.ones(6, bool)
    ).shape == (6,)


def test_a_full_disk_is_a_sentence_and_what_was_finished_is_kept(tmp_path, monkeypatch):
    whole = collect("Counting-v0", tmp_path / "whole", 400, "mix", seed=3, shard_steps=100)
    write = shards._write_array

    def full(file, parts):
        if file.name == "shard_000002_actions.npy":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, parts)

    monkeypatch.setattr(shards, "_write_array", full)
    with pytest.raises(DatasetError, match="disk of .* is full; make room, then `--resume`"):
        collect("Counting-v0", tmp_path / "d", 400, "mix", seed=3, shard_steps=100)
    assert len(Dataset(tmp_path / "d", verify=True).shards) == 2 and not list(
        tmp_path.glob("d/.writing_*")
    )
    monkeypatch.setattr(shards, "_write_array", write)
    again = collect("Counting-v0", tmp_path / "d", 400, "mix", seed=3, shard_steps=100, resume=True)
    assert again.fingerprint == whole.fingerprint and contents(tmp_path / "d") == contents(
        tmp_path / "whole"
    )


def test_a_disk_that_fills_while_the_table_is_written_loses_nothing(tmp_path, monkeypatch):
    from collectors.dataset import dataset as dataset_module

    replace, calls = dataset_module.write_atomically, []

    def full(file, text):
        calls.append(file)
        if len(calls) == 6:  # the manifest of the second shard
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(file, text)

    monkeypatch.setattr(dataset_module, "write_atomically", full)
    with pytest.raises(DatasetError, match="is full"):
        collect("Counting-v0", tmp_path / "d", 400, "mix", seed=3, shard_steps=100)
    monkeypatch.setattr(dataset_module, "write_atomically", replace)
    assert len(Dataset(tmp_path / "d").shards) == 1
    collect("Counting-v0", tmp_path / "d", 400, "mix", seed=3, shard_steps=100, resume=True)
    collect("Counting-v0", tmp_path / "whole", 400, "mix", seed=3, shard_steps=100)
    assert contents(tmp_path / "d") == contents(tmp_path / "whole")


@pytest.mark.ray
def test_a_ray_cluster_writes_the_same_bytes(tmp_path):
    pytest.importorskip("ray")
    collect("Counting-v0", tmp_path / "here", 400, "mix", seed=4, shard_steps=100)
    collect("RealSnake-v0", tmp_path / "snake", 200, "mix", seed=4, shard_steps=100)
    collect(
        "Counting-v0", tmp_path / "ray", 400, "mix", workers=2, seed=4, shard_steps=100, ray="local"
    )
    collect(
        "RealSnake-v0",
        tmp_path / "ray_snake",
        200,
        "mix",
        workers=2,
        seed=4,
        shard_steps=100,
        ray="local",
    )
    assert contents(tmp_path / "here") == contents(tmp_path / "ray")
    assert contents(tmp_path / "snake") == contents(tmp_path / "ray_snake")


@pytest.mark.ray
def test_a_ray_address_without_a_cluster_is_a_sentence(tmp_path):
    pytest.importorskip("ray")
    with pytest.raises(ClusterError, match="no Ray cluster at '127.0.0.1:1'"):
        collect("Counting-v0", tmp_path / "d", 100, "mix", ray="127.0.0.1:1")


class Deadly(Parity):
    """Kills the worker that plays it once the file is there."""

    def __init__(self, file):
        super().__init__()
        self.file = file

    def __call__(self, observation):
        if self.file.exists():
            os._exit(9)
        return super().__call__(observation)


class Mortal(Parity):
    """Kills the worker that plays it once two shards of a group are written."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def __call__(self, observation):
        if len(list(self.folder.glob(".writing_*/finished.json"))) >= 2:
            os._exit(9)
        return super().__call__(observation)


def test_a_killed_worker_loses_only_the_shard_that_it_was_playing(tmp_path):
    settings = {"seed": 6, "shard_steps": 100}
    with pytest.raises(DatasetError, match="a worker was killed; `--resume` goes on from"):
        collect("Counting-v0", tmp_path / "d", 800, Mortal(tmp_path / "d"), workers=2, **settings)
    kept = {
        file.parent.name: file.stat().st_mtime_ns
        for file in tmp_path.glob("d/.writing_*/*frames.npy")
    }
    assert len(list(tmp_path.glob("d/.writing_*/finished.json"))) >= 2
    collect("Counting-v0", tmp_path / "d", 800, Mortal(tmp_path / "none"), resume=True, **settings)
    collect("Counting-v0", tmp_path / "whole", 800, Mortal(tmp_path / "none"), **settings)
    assert contents(tmp_path / "d") == contents(tmp_path / "whole")
    again = {file.name: file.stat().st_mtime_ns for file in tmp_path.glob("d/*frames.npy")}
    assert len(set(kept.values()) & set(again.values())) >= 2


def test_a_killed_worker_is_a_sentence_and_resuming_ends_with_the_same_data(tmp_path):
    deadly = Deadly(tmp_path / "die")
    settings = {"policy": deadly, "seed": 6, "shard_steps": 100}
    collect("Counting-v0", tmp_path / "d", 100, **settings)
    deadly.file.touch()
    with pytest.raises(DatasetError, match="a worker was killed; the same command goes on from"):
        collect("Counting-v0", tmp_path / "d", 400, workers=2, resume=True, **settings)
    assert len(Dataset(tmp_path / "d", verify=True).shards) == 1
    deadly.file.unlink()
    collect("Counting-v0", tmp_path / "d", 400, resume=True, **settings)
    collect("Counting-v0", tmp_path / "whole", 400, **settings)
    assert contents(tmp_path / "d") == contents(tmp_path / "whole")


@pytest.mark.ray
def test_a_killed_worker_of_a_cluster_is_the_same_sentence(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray")

    def crashed(found):
        raise ray.exceptions.WorkerCrashedError

    monkeypatch.setattr(ray, "get", crashed)
    with pytest.raises(DatasetError, match="a worker was killed; `--resume` goes on from"):
        collect("Counting-v0", tmp_path / "d", 100, "mix", shard_steps=100, ray="local")
