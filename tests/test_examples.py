"""The examples run as they are; those of other libraries where these are installed."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent
SMALL = ["--num-envs", "4", "--seed", "0"]


def example(name: str):
    """The example's module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def needs(package: str) -> None:
    pytest.importorskip(package, reason=f"this example needs {package}: pip install {package}")


def test_rl_ppo_learns_in_the_dream_and_plays_the_real_game(capsys):
    small = ["--steps", "32", "--envs", "2", "--rollout", "16", "--episodes", "2"]
    with torch.random.fork_rng():
        assert example("rl_ppo").main(small) >= -1
    assert "32 steps in the dream, then 2 real games" in capsys.readouterr().out


def test_vector_dreams_find_by_looking_ahead_what_kills(capsys):
    assert example("vector_dreams").main(lanes=4, steps=6) >= 0
    assert "4 dreams, 6 steps" in capsys.readouterr().out


def test_offline_data_is_read_back_and_dreamed_on(tmp_path, capsys):
    assert example("offline_data").main(["--out", str(tmp_path / "few"), "--frames", "200"]) > 0.98
    assert "of 5 dreamed ones" in capsys.readouterr().out


def test_play_and_keep_writes_a_dream_that_is_dreamed_again(tmp_path):
    file = example("play_and_keep").main(str(tmp_path), steps=8)
    assert len(file.actions) and {path.name for path in tmp_path.iterdir()} == {
        "snake.dream",
        "snake.gif",
    }


def test_cleanrl_ppo_learns_on_tensors_alone(capsys):
    module = example("cleanrl_ppo")
    lanes = {"num_envs": 2, "autoreset_mode": "SameStep"}
    env = module.gym.make_vec("NeuralSnake-v0", output="torch", **lanes)
    batch = module.Rollout(env, seed=0)(module.Agent((64, 64, 3), 4), steps=3)
    assert [type(part) for part in batch] == [torch.Tensor] * 5 and {
        len(part) for part in batch
    } == {6}
    with torch.random.fork_rng():
        returns = module.main([*SMALL, "--rollout", "16", "--steps", "320"])
    assert returns and min(returns) >= -1 and "320 steps" in capsys.readouterr().out


def test_cleanrl_ppo_weighs_ends_stops_and_steps_as_gae_says():
    advantage = example("cleanrl_ppo").advantage
    values, rewards = torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0.5], [0.0], [1.0]])
    found = advantage(
        values, rewards, torch.tensor([[False], [True], [False]]), torch.tensor([4.0])
    )
    last, middle = 1 + 0.97 * 4 - 3, 0 - 2.0
    first = 0.5 + 0.97 * 2 - 1 + 0.97 * 0.95 * middle
    np.testing.assert_allclose(found[:, 0], [first, middle, last], rtol=1e-5)


@pytest.mark.slow
def test_recurrent_ppo_learns_in_the_dream_and_plays_the_real_game(capsys):
    needs("sb3_contrib")
    mean = example("recurrent_ppo").main(
        ["snake", *SMALL, "--steps", "64", "--rollout", "16", "--episodes", "2"]
    )
    assert mean >= -1 and "64 steps in the dream" in capsys.readouterr().out


@pytest.mark.slow
def test_torchrl_steps_the_dreams_and_sees_each_episodes_true_last_frame():
    needs("torchrl")
    batch = example("torchrl_rollout").main([*SMALL, "--steps", "60"])
    frames, after, ended = (
        batch["observation"],
        batch["next", "observation"],
        batch["next", "done"].squeeze(-1),
    )
    assert (
        frames.shape == (4, 60, 64, 64, 3) and frames.dtype == torch.uint8 and ended[:, :-1].any()
    )
    same = (after[:, :-1] == frames[:, 1:]).flatten(2).all(2)
    assert (same == ~ended[:, :-1]).all()  # an end is seen before the new episode's first frame


@pytest.mark.slow
def test_rl_zoo3_trains_in_the_dream_by_its_id(tmp_path):
    needs("rl_zoo3")
    words = [
        "--algo",
        "ppo",
        "--env",
        "NeuralSnake-v0",
        "--gym-packages",
        "neural_envs",
        "--log-folder",
        str(tmp_path),
    ]
    words += [
        "--conf-file",
        str(ROOT / "examples" / "rl_zoo3.yml"),
        "--n-timesteps",
        "64",
        "--eval-freq",
        "-1",
    ]
    words += ["--device", "cpu", "--hyperparams", "n_envs:2", "n_steps:16", "batch_size:16"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "rl_zoo3.train", *words]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("ppo/NeuralSnake-v0_1/NeuralSnake-v0.zip"))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rllib_learns_in_the_dream_and_plays_the_real_game(tmp_path):
    needs("ray.rllib")
    words = ["--iterations", "1", "--batch", "128", "--envs", "2", "--episodes", "2"]
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "rllib_ppo.py"), "Snake", *words],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, done.stderr
    assert "iteration 1: return in the dream" in done.stdout
    assert "return in 2 real games: " in done.stdout
