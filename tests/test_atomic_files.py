"""What is replaced is whole before and after, also where the disk fills in between."""

import errno
import os

import pytest

from collectors import files
from collectors.dataset.dataset import Dataset
from collectors.recording.collect import collect
from neural_envs.replays.replay_file import DreamFile

SETTINGS = {"policy": "random", "seed": 1, "shard_steps": 100}


def full(number):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_the_manifest_and_the_table_of_episodes_are_the_old_ones_on_a_full_disk(
    tmp_path, monkeypatch
):
    collect("RealSnake-v0", tmp_path, 100, **SETTINGS)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with monkeypatch.context() as patch, pytest.raises(ValueError, match="is full; make room"):
        patch.setattr(files.os, "fsync", full)
        collect("RealSnake-v0", tmp_path, 200, resume=True, **SETTINGS)
    for name in ("manifest.json", "episodes.csv"):
        assert (tmp_path / name).read_bytes() == before[name]
    assert Dataset(tmp_path, verify=True).steps >= 100
    assert {path.name for path in tmp_path.iterdir()} == set(before)


def test_the_manifest_is_the_old_one_where_only_it_cannot_be_written(tmp_path, monkeypatch):
    collect("RealSnake-v0", tmp_path, 100, **SETTINGS)
    manifest, complete = tmp_path / "manifest.json", files.complete
    before = manifest.read_bytes()

    def complete_others(partial, path):
        if path == manifest:
            full(0)
        complete(partial, path)

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="is full; make room"):
        patch.setattr(files, "complete", complete_others)
        collect("RealSnake-v0", tmp_path, 200, resume=True, **SETTINGS)
    assert manifest.read_bytes() == before and Dataset(tmp_path, verify=True).steps >= 100


def test_a_dream_file_is_the_old_one_on_a_full_disk(tmp_path, monkeypatch):
    path = tmp_path / "game.dream"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", full)
    monkeypatch.setattr(DreamFile, "to_bytes", lambda self: b"new and longer")
    with pytest.raises(OSError, match=r"game.dream cannot be written .*make room"):
        DreamFile.save(object.__new__(DreamFile), path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]
