"""A training in a dream says which backend runs it, and what was refused and why."""

from types import SimpleNamespace
from typing import Any

import pytest

from agents.ppo.backend_line import backend_line
from agents.ppo.presets import PPOSettings
from agents.ppo.train import PPOConfig, train_ppo
from tests.neural_envs.test_backends import toys

__all__ = ["toys"]
SMALL = PPOSettings(num_envs=2, n_steps=8, batch_size=16, n_epochs=1)


def run_lines(out, capsys, **changes: Any) -> list[str]:
    """The lines on stderr of a short training that begin so."""
    train_ppo(PPOConfig("snake", steps=16, out=str(out), ppo=SMALL, **changes))
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("dreams run")]


@pytest.mark.parametrize("learner", ["sb3", "torch"])
def test_a_training_in_a_dream_says_what_runs_it_and_why_nothing_else(
    toys, tmp_path, capsys, learner, monkeypatch
):
    ratios = {"eager": 1.0, "plain": 2.0}
    monkeypatch.setattr("neural_envs.backends.backends.fastest", lambda calls: ratios)
    for name in ("first", "by the choice that is kept"):
        (line,) = run_lines(tmp_path / name, capsys, learner=learner)
        assert line.startswith("dreams run by plain; wrong refused: ") and "of its pixels" in line


def test_eager_torch_is_said_too_and_of_the_real_game_nothing(tmp_path, capsys):
    assert run_lines(tmp_path / "dream", capsys, backend="eager") == ["dreams run by eager"]
    assert run_lines(tmp_path / "real", capsys, world="real") == []


def test_lanes_of_a_cluster_say_what_their_infos_say():
    infos = [{"backend": "onnx"}, {"backend": "eager"}, {"backend": "onnx"}]
    lanes: Any = SimpleNamespace(env=SimpleNamespace(unwrapped=None), reset_infos=infos)
    assert backend_line(lanes) == "dreams run by eager and onnx"
    lanes.reset_infos = [{}]
    assert backend_line(lanes) == ""
