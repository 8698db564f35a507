"""The record of an experiment: what is wrong in it is passed over with a sentence."""

import json

import numpy as np
import pytest

from agents.evaluation.play import Episodes
from agents.experiments import dyna
from agents.experiments.dyna import Loop, run_dyna
from agents.experiments.stages import StageError, Stages
from agents.experiments.transfer import TransferConfig, run_transfer
from collectors.locks import LockError, locked
from collectors.recording.collect import collect

PLAYED = Episodes(np.ones(3), np.full(3, 2), np.full(3, 5)).as_dict()


@pytest.mark.parametrize("content", [b"", b"\0" * 50, b"[1]", b'{"settings": {}, "done": 3}'])
def test_a_damaged_record_is_passed_over_for_the_one_before(tmp_path, capsys, content):
    stages, calls = Stages(tmp_path), []
    for name in ("one", "two"):
        stages.run(name, dict)
    (tmp_path / "state.json").write_bytes(content)
    again = Stages(tmp_path)
    text = capsys.readouterr().err
    assert f"passing over {tmp_path / 'state.json'}: it is damaged" in text
    for name in ("one", "two"):
        again.run(name, lambda name=name: calls.append(name) or {})
    assert calls == ["two"] and capsys.readouterr().err == ""
    assert set(json.loads((tmp_path / "state.json").read_text())["done"]) == {"one", "two"}


@pytest.mark.parametrize(
    "wrong",
    [
        7,
        {},
        {**PLAYED, "seconds": "long"},
        {"seconds": 1},
        {**PLAYED, "seconds": 1, "returns": [1, "x", 2]},
        {**PLAYED, "seconds": 1, "returns": [1.0]},
        {**{name: [] for name in PLAYED}, "seconds": 1},
    ],
)
def test_a_stage_whose_record_is_wrong_is_done_again_with_a_sentence(tmp_path, capsys, wrong):
    def play():
        return PLAYED

    Stages(tmp_path).run("play", play, check=Episodes.check_dict)
    file = tmp_path / "state.json"
    file.write_text(json.dumps({"settings": {}, "done": {"play": wrong}}))
    found = Stages(tmp_path).run("play", play, check=Episodes.check_dict)
    assert found["returns"] == PLAYED["returns"]
    assert f"passing over 'play' in {file}" in capsys.readouterr().err


def test_experiments_in_one_folder_do_not_run_at_once(tmp_path):
    for folder in ("t", "t/seed_1"):
        with locked(tmp_path / folder), pytest.raises(LockError, match="being written by process"):
            run_transfer(TransferConfig("snake", out=str(tmp_path / "t")))
    for folder in ("d", "d/seed_1"):
        with locked(tmp_path / folder), pytest.raises(LockError):
            run_dyna(dyna.DynaConfig(out=str(tmp_path / "d")))


def test_a_damaged_shard_is_not_played_again_by_the_policy_of_another_round(tmp_path):
    config = dyna.DynaConfig(frames=100, out=str(tmp_path), seeds=(0,))
    loop = Loop(config)
    loop.collect(1)
    whole = {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()}
    damaged = tmp_path / "data" / "shard_000000_frames.npy"
    damaged.write_bytes(b"torn")
    with pytest.raises(
        StageError, match="shard 0 of .*data is damaged.*that played it is not this"
    ):
        loop._check_shards(1)
    with pytest.raises(StageError, match="shard 0 of"):
        loop.collect(2)
    assert damaged.read_bytes() == b"torn"
    with pytest.raises(StageError, match="shard 0 of"):
        loop.train(1)
    loop.collect(1)  # the first round's own shard is played anew
    assert {file.name: file.read_bytes() for file in (tmp_path / "data").iterdir()} == whole


def test_a_shard_that_is_damaged_and_has_its_size_is_noticed_by_its_hash(tmp_path):
    collect("RealSnake-v0", tmp_path, 100, "random", shard_steps=50)
    file = tmp_path / "shard_000001_actions.npy"
    data = bytearray(file.read_bytes())
    data[-8] ^= 1
    file.write_bytes(data)
    assert dyna.damaged_shards(tmp_path) == [1]


def test_collecting_names_no_damaged_shard_where_there_is_none(tmp_path):
    assert dyna.damaged_shards(tmp_path) == []
    collect("RealSnake-v0", tmp_path / "d", 100, "random", shard_steps=50)
    assert dyna.damaged_shards(tmp_path / "d") == []
