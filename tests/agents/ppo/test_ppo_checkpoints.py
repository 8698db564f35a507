"""A PPO run goes on whatever became of its newest checkpoint, and ends by a signal with one."""

import dataclasses
import errno
import os
import pickle
import signal
import zipfile

import pytest
from stable_baselines3 import PPO
from stable_baselines3.common.logger import CSVOutputFormat

from agents.ppo import train as ppo
from agents.ppo.checkpoints import BEFORE, NEWEST, kept_policies, newest_checkpoint
from agents.ppo.presets import PPOSettings
from agents.ppo.train import PPOConfig, load_policy, train_ppo
from collectors.files import WriteError
from collectors.interrupts import Interrupted
from collectors.locks import LockError, locked
from collectors.progress import OverallProgress

SMALL = PPOSettings(num_envs=4, n_steps=8, batch_size=16, n_epochs=1)


def config(tmp_path, **changes) -> PPOConfig:
    run = PPOConfig("snake", "real", 160, str(tmp_path / "run"), save_every=1, ppo=SMALL)
    return dataclasses.replace(run, **changes)


@pytest.fixture
def killed(tmp_path, monkeypatch):
    """The folder of a run that was killed with two checkpoints, of 64 and 96 steps."""
    train = PPO.train

    def kill(self):
        if self.num_timesteps == 128:
            raise KeyboardInterrupt
        train(self)

    with monkeypatch.context() as patch:
        patch.setattr(PPO, "train", kill)
        with pytest.raises(KeyboardInterrupt):
            train_ppo(config(tmp_path))
    return tmp_path / "run"


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def foreign(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("data", pickle.dumps(1))


def without_weights(path):
    with zipfile.ZipFile(path) as archive:
        kept = {n: archive.read(n) for n in archive.namelist() if not n.endswith(".pth")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in kept.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes(5000)),
        cut,
        foreign,
        without_weights,
    ],
)
def test_a_wrong_newest_checkpoint_is_passed_over_for_the_one_before(
    killed, tmp_path, capsys, damage
):
    assert newest_checkpoint(killed).steps == 96
    damage(killed / NEWEST)
    model = load_policy(train_ppo(config(tmp_path)))
    assert model.num_timesteps == 160
    assert f"passing over {killed / NEWEST}" in capsys.readouterr().err
    assert (killed / "progress_from_64.csv").exists()
    assert not (killed / NEWEST).exists() and not (killed / BEFORE).exists()


def test_a_run_without_a_good_checkpoint_begins_anew(killed, tmp_path, capsys):
    for name in (NEWEST, BEFORE):
        (killed / name).write_bytes(b"")
    assert load_policy(train_ppo(config(tmp_path))).num_timesteps == 160
    assert capsys.readouterr().err.count("passing over") == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_a_checkpoint_of_all_it_did(tmp_path, monkeypatch, number, code):
    train = PPO.train

    def interrupted(self):
        train(self)
        os.kill(os.getpid(), number)

    with monkeypatch.context() as patch:
        patch.setattr(PPO, "train", interrupted)
        with pytest.raises(Interrupted, match="36 steps are saved in .*the same command") as caught:
            train_ppo(config(tmp_path))
    assert caught.value.code == code and newest_checkpoint(tmp_path / "run").steps == 36
    assert load_policy(train_ppo(config(tmp_path))).num_timesteps >= 160


def test_a_full_disk_keeps_the_checkpoint_and_is_a_sentence(killed, tmp_path, monkeypatch):
    def full(self, path, *args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(PPO, "save", full)
        with pytest.raises(WriteError, match=r"No space left on device\); make room"):
            train_ppo(config(tmp_path))
    assert newest_checkpoint(killed).steps == 96
    assert not list(killed.glob(".*"))


def test_a_table_that_cannot_be_written_is_named_and_leaves_no_empty_file(tmp_path, monkeypatch):
    def full(self, *args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(CSVOutputFormat, "write", full)
    with pytest.raises(WriteError, match=r"progress.csv cannot be written \(No space.*make room"):
        train_ppo(config(tmp_path))
    assert not (tmp_path / "run" / "progress.csv").exists()


def test_two_runs_do_not_share_a_folder(tmp_path):
    with locked(tmp_path / "run"), pytest.raises(LockError, match="being written by process"):
        train_ppo(config(tmp_path))
    assert list((tmp_path / "run").iterdir()) == []


def test_a_policy_has_its_name_only_when_it_is_whole(tmp_path, monkeypatch):
    save = PPO.save

    def half(self, path, *args, **kwargs):
        save(self, path, *args, **kwargs)
        cut(path)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(PPO, "save", half)
    with pytest.raises(WriteError):
        train_ppo(config(tmp_path, save_every=10**6))
    assert not (tmp_path / "run" / ppo.POLICY_FILE).exists()
    assert not list((tmp_path / "run").glob(".*"))


def test_policies_from_along_the_training_are_kept_where_asked_for(tmp_path):
    train_ppo(config(tmp_path))
    assert [path.name for path in kept_policies(tmp_path / "run")] == ["policy.zip"]
    train_ppo(config(tmp_path, out=str(tmp_path / "kept")), kept=3)
    steps = [load_policy(path).num_timesteps for path in kept_policies(tmp_path / "kept")]
    assert steps == [64, 128, 160]  # the first ends of rollouts of 32 after 53 and 106 steps


def test_a_run_that_goes_on_keeps_the_policies_of_before(killed, tmp_path):
    train_ppo(config(tmp_path), kept=5)  # it was killed after 96 of 160 steps, and kept none
    steps = [load_policy(path).num_timesteps for path in kept_policies(killed)]
    assert steps == [96, 128, 160]


def test_a_run_of_other_settings_begins_without_the_policies_of_before(tmp_path):
    train_ppo(config(tmp_path), kept=3)
    train_ppo(config(tmp_path, seed=1, steps=32), kept=3)
    steps = [load_policy(path).num_timesteps for path in kept_policies(tmp_path / "run")]
    assert steps == [32]


def test_a_training_that_its_seconds_end_moves_the_bar_by_them(tmp_path):
    with OverallProgress({"learn": 1.0, "play": 9.0}) as overall:
        overall.phase("learn")
        train_ppo(config(tmp_path, steps=10**8), seconds=0.5)
        assert overall.reached == pytest.approx(0.5)  # half of one second, the bar's least total
