"""Films of a game that nobody has as a program: imported, dreamed, and learned in."""

from __future__ import annotations

import csv

import gymnasium as gym
import imageio
import numpy as np
import pytest

import collectors  # noqa: F401  # the ids of the games
from neural_envs import cli

SMALL = ("ppo.num_envs=4", "ppo.n_steps=8", "ppo.batch_size=16", "ppo.n_epochs=1", "--steps=32")


def film_games(folder, count: int) -> None:
    """Films of Snake on a small board, and a table of actions and outcomes beside each."""
    folder.mkdir()
    env = gym.make("RealSnake-v0", grid_size=8)
    for number in range(count):
        actions = np.random.default_rng(number)
        frame, _ = env.reset(seed=number)
        frames, rows, over = [frame], [], False
        while not over and len(rows) < 40:
            action = int(actions.integers(4))
            frame, reward, over, _, _ = env.step(action)
            frames.append(frame)
            rows.append((action, reward, int(over)))
        imageio.mimwrite(folder / f"game{number}.mp4", frames, fps=10, macro_block_size=1)
        with open(folder / f"game{number}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("action", "reward", "terminated"), *rows])


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A dream of the films, trained for a moment."""
    root = tmp_path_factory.mktemp("own")
    film_games(root / "tabletop", 8)
    assert cli.main(["import", str(root / "tabletop"), str(root / "data")]) == 0
    words = ["updates=2", "validate_every=2", "validation_batches=1", "contexts=8", "threads=1"]
    given = [f"data={root / 'data'}", f"out={root / 'run'}"]
    assert cli.main(["train", "any", *given, *words]) == 0
    return root / "run" / "bundle"


def test_an_agent_learns_in_the_dream_of_a_game_that_is_not_here(bundle, tmp_path, capsys):
    words = ["ppo", f"--bundle={bundle}", f"--out={tmp_path / 'agent'}", *SMALL]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "agent" / "policy.zip").is_file() and "real game" not in printed
    assert "--twin" not in printed  # nobody named the game, and none is imported for its name


def test_where_the_game_is_named_and_not_here_the_agent_is_there_all_the_same(
    bundle, tmp_path, capsys
):
    words = ["ppo", "tabletop", f"--bundle={bundle}", f"--out={tmp_path / 'agent'}", *SMALL]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert "no real games were played: Gymnasium knows no game 'tabletop' here" in printed
    assert (tmp_path / "agent" / "policy.zip").is_file() and "--twin" not in printed


def test_transfer_needs_the_game_and_says_so_before_it_trains(bundle, tmp_path, capsys):
    out = tmp_path / "transfer"
    assert cli.main(["transfer", "tabletop", f"--bundle={bundle}", f"--out={out}"]) == 1
    error = capsys.readouterr().err
    assert "knows no game 'tabletop'" in error and "trainings of PPO" not in error
