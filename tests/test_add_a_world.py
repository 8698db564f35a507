"""A world of one's own, in five files and two edits, through every command: docs/add_a_world.md."""

import importlib
import json
import re
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from agents.evaluation.evaluate import main as evaluate
from agents.ppo.presets import ppo_settings
from agents.ppo.vec_env import make_world
from collectors.dataset.dataset import Dataset
from collectors.policies.policies import make_policy
from collectors.recording.collect import main as collect
from collectors.recording.rollout import rollout
from collectors.worlds.table import WORLDS, UnknownNameError, add_world
from neural_envs.commands.play import main as play
from tests.contracts import VectorEnvContract
from world_models.training.presets.table import PRESETS
from world_models.training.run import main as train

ROOT = Path(__file__).parents[1]
IDS = ("RealCorridor-v0", "NeuralCorridor-v0")
SMALL = "updates=3 batch_size=4 contexts=8 validation_batches=1 threads=1".split()
SIZES = (
    "--transitions=40 --random-actions=20 --rollouts=4 --horizon=8 --kid-frames=0 "
    "--survival-steps=10 --survival-lanes=2 --kid-depth=4 "
    "--game-lanes=2 --game-steps=20 --control-clips=8 --decision-states=4"
).split()


@pytest.fixture(scope="module", autouse=True)
def corridor():
    """The row of the toy world and its preset; both are taken out again."""
    row = importlib.import_module("tests.toy_world").CORRIDOR
    preset = importlib.import_module("tests.toy_world.preset").corridor
    yield add_world(row)
    PRESETS.pop("corridor", None)
    assert preset().data == Path("data/corridor")
    WORLDS.pop("corridor", None)
    for name in IDS:
        gymnasium.registry.pop(name, None)


@pytest.fixture(scope="module")
def run(corridor, tmp_path_factory):
    """A folder with a dataset of the world and a bundle that was hardly trained on it."""
    folder = tmp_path_factory.mktemp("corridor")
    assert collect(["corridor", "--frames=600", "--workers=1", f"--out={folder / 'data'}"]) == 0
    assert train(["corridor", f"data={folder / 'data'}", f"out={folder}", *SMALL]) == 0
    return folder


class TestVectorEnv(VectorEnvContract):
    def make_vec(self, num_envs, autoreset_mode, max_episode_steps=None):
        limit = {} if max_episode_steps is None else {"max_episode_steps": max_episode_steps}
        return gymnasium.make_vec(IDS[0], num_envs, autoreset_mode=autoreset_mode, **limit)

    def make_single(self, max_episode_steps=None):
        return gymnasium.make(IDS[0], max_episode_steps=max_episode_steps)


def test_it_is_collected_by_its_own_policies(run):
    dataset = Dataset(run / "data", verify=True)
    assert dataset.spec["world"] == "corridor"
    assert {row.policy for row in dataset.episodes} == {"random", "walk"}


def test_its_best_policy_reaches_the_lamp():
    player = make_policy(WORLDS["corridor"].best_policy, 3, "corridor")
    assert rollout(gymnasium.make(IDS[0]), player, seed=0).rewards[-1] == 1


def test_both_ids_have_equal_spaces_and_step(run):
    real, dream = gymnasium.make(IDS[0]), gymnasium.make(IDS[1], bundle=str(run / "bundle"))
    assert real.observation_space == dream.observation_space
    assert real.action_space == dream.action_space
    dream.reset(seed=0)
    frame, reward, *_ = dream.step(2)
    assert frame.shape == (16, 16, 3) and reward in (0.0, 1.0)
    dreams = gymnasium.make_vec(IDS[1], num_envs=3, bundle=str(run / "bundle"))
    dreams.reset(seed=0)
    assert dreams.step(np.array([0, 1, 2]))[0].shape == (3, 16, 16, 3)


def test_its_dream_is_evaluated_by_its_own_evaluator(run):
    words = [str(run / "bundle"), f"--data={run / 'data'}", f"--out={run / 'evaluation'}", *SIZES]
    assert evaluate(words) == 0
    figures = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert set(figures["rules"]) == {"walker_right", "lamp_right", "counts"}
    assert set(figures["survival"]) == {"random", "walk"}


def test_its_dream_is_played_beside_the_game(run, capsys, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    words = [f"--bundle={run / 'bundle'}", "--policy=walk", "--max-steps=3", "--fps=1000"]
    assert play(["corridor", "--real", "--seed=1", *words]) == 0
    assert capsys.readouterr().out.count(": return") == 2


def test_agents_know_its_settings_and_its_games(run):
    assert ppo_settings("corridor").gamma == 0.9
    for kind in ("real", "dream"):
        env = make_world("corridor", kind, 2, 0, bundle=str(run / "bundle"))
        assert env.reset().shape[0] == 2
        env.close()


def test_a_name_that_is_nearly_right_is_refused_with_the_right_one():
    with pytest.raises(UnknownNameError, match="did you mean 'corridor'"):
        make_policy("random", 3, "coridor")


def test_the_page_shows_these_very_files():
    page = (ROOT / "docs" / "add_a_world.md").read_text()
    blocks = dict(
        re.findall(r"`(tests/toy_world/\w+\.py)`[^\n]*\n+```python\n(.*?)```", page, re.S)
    )
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests" / "toy_world").glob("*.py")}
    assert set(blocks) == files
    for name, text in blocks.items():
        assert text == (ROOT / name).read_text(), f"{name} and docs/add_a_world.md differ"
