"""CoinRun in grey stacks through every command: collect, train, gym.make, evaluate, and a film of
it.
"""

import importlib.util
import json

import gymnasium
import numpy as np
import pytest

pytestmark = pytest.mark.guard

TINY = [
    "model.network.width=16",
    "model.network.encoder_depth=1",
    "batch_size=8",
    "updates=20",
    "rollout_from=0.5",
    "contexts=4",
    "validation_batches=1",
    "threads=1",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a dataset and a bundle that was hardly trained on it."""
    if importlib.util.find_spec("envpool") is None:
        pytest.skip("needs the extra coinrun")
    from collectors.recording.collect import collect
    from world_models.training.run import main as train

    folder = tmp_path_factory.mktemp("coinrun")
    options = {"observation": "grey84", "levels": "split"}
    collect(
        "RealCoinRun-v0", folder / "data", 700, "right:0.95", seed=3, lanes=4, env_options=options
    )
    assert train(["coinrun-pixel", f"data={folder / 'data'}", f"out={folder}", *TINY]) == 0
    return folder


def test_the_dream_is_the_games_twin_and_its_stack_moves_on(run):
    dream = gymnasium.make(
        "neural_envs:NeuralCoinRun-v0", bundle=str(run / "bundle"), render_mode="rgb_array"
    )
    real = gymnasium.make("collectors:RealCoinRun-v0", observation="grey84")
    assert (dream.observation_space, dream.action_space) == (
        real.observation_space,
        real.action_space,
    )
    before, _ = dream.reset(seed=0)
    after, *_ = dream.step(7)
    assert after.shape == (84, 84, 4) and np.array_equal(after[..., :3], before[..., 1:])
    assert not np.array_equal(after[..., 3], before[..., 3])
    image = dream.render()
    assert image.shape == (84, 84, 3) and np.array_equal(image[..., 0], after[..., 3])


def test_the_dream_is_evaluated_on_what_is_new_in_a_frame(run):
    from agents.evaluation.evaluate import main as evaluate

    sizes = [
        "--transitions=30",
        "--random-actions=10",
        "--rollouts=4",
        "--horizon=6",
        "--kid-frames=0",
    ]
    sizes += ["--survival-steps=6", "--survival-lanes=2", "--kid-depth=4", "--no-ranking"]
    sizes += ["--no-game", "--control-clips=8", "--decision-states=0"]
    assert (
        evaluate(
            [str(run / "bundle"), f"--data={run / 'data'}", f"--out={run / 'evaluation'}", *sizes]
        )
        == 0
    )
    figures = json.loads((run / "evaluation" / "evaluation.json").read_text())
    assert figures["one_step"]["samples"] == 30
    assert set(figures["survival"]) == {"random", "right", "equivalent"}
    assert (
        0 < figures["one_step"]["psnr"] < 30
    )  # of four pictures, three of them old, it would be 6 dB more


def test_an_agent_sees_the_same_stacks_in_dream_and_game(run):
    from agents.ppo.vec_env import make_world

    for kind, options in (("dream", ()), ("real", ("observation=grey84",))):
        env = make_world("coinrun", kind, 2, 0, str(run / "bundle"), options=options)
        assert (
            env.reset().shape == (2, 84, 84, 4) and env.step(np.array([7, 8]))[0].dtype == np.uint8
        )
        env.close()
