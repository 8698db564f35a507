"""A run goes on whatever became of its newest checkpoint, and ends by a signal with all it did."""

import os
import signal

import pytest
import torch
from conftest_models import GRID
from quick_runs import config_for

from collectors.interrupts import Interrupted
from collectors.locks import LockError, locked
from world_models.models.chance import ChanceConfig
from world_models.training import run as training
from world_models.training.checkpoints import newest_checkpoint
from world_models.training.config import TrainingError
from world_models.training.metrics_log import read_table
from world_models.training.trainer import Trainer


@pytest.fixture(scope="module")
def finished(dataset_path, tmp_path_factory):
    """The checkpoints of a run, by name."""
    out = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "write_samples", lambda *_: None)
        training.train(config_for(dataset_path, out))
    return {path.name: path.read_bytes() for path in out.glob("checkpoint_*.pt")}


def changed(part, value):
    def change(path):
        state = torch.load(path, weights_only=True)
        if value is None:
            del state[part]
        else:
            state[part] = value(state[part]) if callable(value) else value
        torch.save(state, path)

    return change


def with_nan(tensors):
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    return {**tensors, name: torch.full_like(tensors[name], torch.nan)}


WRONG = {
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:1000]),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a list": lambda path: torch.save([1, 2], path),
    "no model": changed("model", None),
    "model is a number": changed("model", 3),
    "model is nan": changed("model", with_nan),
    "average is empty": changed("average", {}),
    "average is nan": changed("average", with_nan),
    "optimizer is text": changed("optimizer", "adamw"),
    "optimizer without groups": changed("optimizer", {"state": {}, "param_groups": []}),
    "optimizer of a stranger": changed("optimizer", lambda one: {**one, "state": {10**6: {}}}),
    "noise is short": changed("noise", torch.zeros(3, dtype=torch.uint8)),
    "noise is a list": changed("noise", [1]),
    "order is empty": changed("order", {}),
    "order of another generator": changed("order", lambda one: {**one, "bit_generator": "X"}),
    "no progress": changed("progress", None),
    "progress without an update": changed("progress", {"seconds": 1.0}),
    "update is negative": changed("progress", lambda one: {**one, "update": -1}),
    "seconds are nan": changed("progress", lambda one: {**one, "seconds": float("nan")}),
    "commands are a number": changed("progress", lambda one: {**one, "commands": 3}),
    "before is text": changed("before", "half"),
    "model_state is a list": changed("model_state", [1]),
    "model_state of a stranger": changed("model_state", {"center": 1}),
}


@pytest.mark.parametrize("wrong", list(WRONG))
def test_a_wrong_newest_checkpoint_is_passed_over_with_a_sentence(
    finished, dataset_path, tmp_path, capsys, wrong
):
    for name, content in finished.items():
        (tmp_path / name).write_bytes(content)
    newest = sorted(tmp_path.glob("checkpoint_*.pt"))[-1]
    WRONG[wrong](newest)
    trainer = training.start(config_for(dataset_path, tmp_path))
    text = capsys.readouterr().err
    assert trainer.update == 3
    assert f"passing over {newest}: it" in text and text.count("\n") == 1
    assert "weights_only" not in text


def test_a_run_of_an_older_version_is_refused_and_left_as_it_was(finished, dataset_path, tmp_path):
    for name, content in finished.items():
        (tmp_path / name).write_bytes(content)
    newest = tmp_path / max(finished)
    changed("carried", {})(newest)
    changed("model_state", None)(newest)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")}
    with pytest.raises(TrainingError, match="older version .* out= .* init_from="):
        training.train(config_for(dataset_path, tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.pt")} == before


def test_a_run_with_an_empty_newest_checkpoint_ends(finished, dataset_path, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "write_samples", lambda *_: None)
    for name, content in finished.items():
        (tmp_path / name).write_bytes(content)
    sorted(tmp_path.glob("checkpoint_*.pt"))[-1].write_bytes(b"")
    training.train(config_for(dataset_path, tmp_path))
    assert newest_checkpoint(tmp_path)["progress"]["update"] == 6


def test_two_trainers_do_not_write_one_directory(dataset_path, tmp_path):
    with locked(tmp_path), pytest.raises(LockError, match="is being written by process"):
        training.train(config_for(dataset_path, tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_signal_ends_a_run_after_its_update_and_what_it_did_is_saved(
    dataset_path, tmp_path, monkeypatch
):
    monkeypatch.setattr(training, "write_samples", lambda *_: None)
    config = config_for(
        dataset_path, tmp_path / "stopped", model=ChanceConfig(grid=GRID, context_length=2)
    )
    step = Trainer.step

    def interrupted(trainer):
        os.kill(os.getpid(), signal.SIGTERM)
        return step(trainer)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", interrupted)
        with pytest.raises(Interrupted, match="terminated; update 1 is saved in") as caught:
            training.train(config)
    assert caught.value.code == 143
    assert newest_checkpoint(tmp_path / "stopped")["progress"]["update"] == 1
    training.train(config)
    training.train(config_for(dataset_path, tmp_path / "whole", model=config.model))
    averages = [newest_checkpoint(tmp_path / name)["average"] for name in ("stopped", "whole")]
    assert all(torch.equal(value, averages[1][name]) for name, value in averages[0].items())
    assert [row["update"] for row in read_table(tmp_path / "stopped" / "metrics.csv")] == ["3", "6"]
    assert not (tmp_path / "stopped" / ".lock").exists()
