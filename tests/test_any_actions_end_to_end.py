"""Games of Box and MultiDiscrete actions through every command: collect, train, gym.make, evaluate,
play, PPO; in gray frames that are no squares.
"""

import json

import gymnasium
import pytest

from collectors.dataset.dataset import Dataset
from collectors.recording.collect import main as collect
from collectors.worlds.any_game import twin_options
from tests.collectors.parts_games import register
from tests.test_any_game_end_to_end import TINY

register()
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["Dot-v0", "Pad-v0"])
def run(request, tmp_path_factory):
    """The game, and a folder with a dataset of it and a bundle that was hardly trained."""
    from world_models.training.run import main as train

    folder = tmp_path_factory.mktemp("parts")
    options = "--options=size=16x24,color=gray,length=20"
    words = [f"--env={request.param}", options, "--frames=600", "--workers=1"]
    assert collect([*words, f"--out={folder / 'data'}"]) == 0
    assert train(["any", f"data={folder / 'data'}", f"out={folder}", *TINY]) == 0
    return request.param, folder


def test_the_dream_has_the_spaces_of_its_game(run, capsys):
    name, folder = run
    dream = gymnasium.make("neural_envs:NeuralEnv-v0", bundle=str(folder / "bundle"))
    real = gymnasium.make("collectors:AnyGame-v0", **twin_options(dream.unwrapped.world.as_dict()))
    assert dream.observation_space == real.observation_space
    assert dream.action_space == real.action_space == gymnasium.make(name).action_space
    dream.reset(seed=0)
    assert dream.step(dream.action_space.sample())[0].shape == (16, 24, 1)
    assert Dataset(folder / "data").actions == dream.unwrapped.world.actions


def test_the_dream_is_evaluated_by_classes_of_its_actions(run, capsys):
    from agents.evaluation.evaluate import main as evaluate

    _, folder = run
    sizes = ["--transitions=40", "--random-actions=20", "--rollouts=4", "--horizon=8"]
    sizes += ["--kid-frames=0", "--survival-steps=10", "--survival-lanes=2", "--kid-depth=4"]
    words = [f"--data={folder / 'data'}", f"--out={folder / 'evaluation'}", *sizes]
    assert evaluate([str(folder / "bundle"), *words]) == 0, capsys.readouterr().err
    figures = json.loads((folder / "evaluation" / "evaluation.json").read_text())
    assert "samples" in figures["control"]["delta_psnr"]
    assert 0 <= figures["action_sensitivity"]["dream"] <= 1


def test_the_dream_is_played_beside_its_game(run, capsys, monkeypatch):
    from neural_envs.commands.play import main as play

    name, folder = run
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    words = ["--bundle", str(folder / "bundle"), "--policy=random", "--max-steps=3", "--fps=1000"]
    assert play([*words, "--seed=1", f"--twin={name}"]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out.count(": return") == 2


def test_an_agent_learns_in_it_and_is_filmed_beside_the_game(run, capsys):
    from agents.ppo.command import main as ppo

    name, folder = run
    kind = "dream" if name == "Dot-v0" else "real"
    small = ["ppo.num_envs=2", "ppo.n_steps=8", "ppo.batch_size=16", "ppo.n_epochs=1", "--steps=16"]
    words = [name, f"--world={kind}", "--bundle", str(folder / "bundle"), *small]
    assert ppo([*words, f"--out={folder / kind}"]) == 0, capsys.readouterr().err
    assert (folder / kind / "strip.png").is_file()
