"""With which options of the real game `transfer` trains."""

from pathlib import Path

import pytest

from agents.experiments import transfer
from agents.experiments.transfer import TransferConfig


def test_a_game_that_is_no_world_of_ours_is_learned_with_its_options_too(tmp_path, monkeypatch):
    learned = []

    def train(run, kept):
        learned.append((run.world, run.real_options))
        Path(run.out).mkdir(parents=True)
        (Path(run.out) / transfer.POLICY_FILE).write_bytes(b"")

    monkeypatch.setattr(transfer, "train_ppo", train)
    monkeypatch.setattr(transfer, "dreamed_weights", lambda run: "none")
    for name in ("Lander-v0", "snake"):
        given = ("continuous=true",)
        one = TransferConfig(name, 9, out=str(tmp_path / name), seeds=(0,), real_options=given)
        for kind in ("dream", "real"):
            transfer.SeedWork(one, 0).train(transfer.Half(kind, kind, "bundle"))
    assert learned == [("dream", ()), ("real", given), ("dream", ()), ("real", ())]


def test_a_bundle_of_another_world_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "train_ppo", None)
    for given in ({"bundles": ("snake", "pong")}, {"bundle": "pong"}):
        one = TransferConfig("snake", 9, out=str(tmp_path / "out"), seeds=(0,), **given)
        with pytest.raises(ValueError, match="the bundle pong is a dream of pong, not of snake"):
            transfer.run_transfer(one)


def test_a_real_game_of_other_frames_is_refused_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "train_ppo", None)
    one = TransferConfig("pong", 9, out=str(tmp_path), seeds=(0,), real_options=("size=24",))
    with pytest.raises(ValueError, match=r"real game has frames \(24, 24, 3\).*--real-options"):
        transfer.run_transfer(one)
