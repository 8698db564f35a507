"""Every error of the vector environment names its remedy."""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, ResetNeeded

from neural_envs.env import NeuralEnv
from neural_envs.vector_env import NeuralVectorEnv
from tests.oracles import counting_bundle


def make(num_envs=4, **settings):
    return NeuralVectorEnv(num_envs, counting_bundle(), **settings)


@pytest.mark.parametrize(
    "actions",
    [
        [0, 4, 0, 0],
        [0, -1, 0, 0],
        [0, 0],
        1,
        [0.5, 0, 0, 0],
        [True] * 4,
        "up",
        np.zeros((4, 1), int),
    ],
)
def test_wrong_actions_are_refused_with_the_list_of_actions(actions):
    env = make(4)
    env.reset(seed=0)
    with pytest.raises(ValueError, match="0 up, 1 down, 2 left, 3 right"):
        env.step(actions)


def test_a_step_before_reset():
    with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
        make().step([0, 0, 0, 0])


def test_a_snapshot_before_reset():
    with pytest.raises(ResetNeeded, match=r"call reset\(\) first"):
        make().get_state()


def test_a_partial_first_reset():
    with pytest.raises(ResetNeeded, match="without a reset_mask first"):
        make(2).reset(options={"reset_mask": np.array([True, False])})


@pytest.mark.parametrize(
    "call", [lambda e: e.reset(), lambda e: e.step([0, 0, 0, 0]), lambda e: e.get_state()]
)
def test_a_closed_environment(call):
    env = make()
    env.reset(seed=0)
    env.close()
    with pytest.raises(ClosedEnvironmentError, match="make a new one"):
        call(env)


@pytest.mark.parametrize("mask", [[True], np.zeros(4, bool), np.ones(4, int)])
def test_a_wrong_reset_mask(mask):
    with pytest.raises(ValueError, match=r"\(4,\) bool with at least one True"):
        make(4).reset(options={"reset_mask": mask})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"num_envs": 0}, "num_envs is a whole number of at least 1"),
        ({"output": "jax"}, "'numpy', 'torch'"),
        ({"autoreset_mode": "Later"}, "'NextStep', 'SameStep', 'Disabled'"),
        ({"render_mode": "ansi"}, "'rgb_array', 'human'"),
        ({"max_episode_steps": 0}, "max_episode_steps is a whole number of 1 or more"),
        ({"sampler_steps": 0}, "sampler_steps is a whole number"),
        ({"min_trust": 2}, "min_trust is a probability from 0 to 1, .* got 2"),
        ({"min_trust": float("nan")}, "min_trust is a probability from 0 to 1"),
        ({"min_trust": "half"}, "min_trust is a probability from 0 to 1"),
        ({"device": "gpu"}, "usable here: cpu"),
        ({"device": "cuda:77"}, "usable here: cpu"),
    ],
)
def test_a_wrong_setting(settings, words):
    with pytest.raises(ValueError, match=words):
        make(**settings)


def test_an_unknown_reset_option():
    with pytest.raises(ValueError, match="'reset_mask' and 'context'"):
        make().reset(options={"contexts": 1})


def test_a_bare_model_instead_of_a_bundle():
    with pytest.raises(TypeError, match="got a CountingModel"):
        NeuralVectorEnv(1, model=counting_bundle().model)


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_a_number_instead_of_a_bundle(make):
    with pytest.raises(TypeError, match="a dream starts from a bundle: .* got 1"):
        make("neural_envs:NeuralSnake-v0", model=1)


def test_a_wrong_min_trust_of_one_dream():
    with pytest.raises(ValueError, match="min_trust is a probability from 0 to 1"):
        NeuralEnv(counting_bundle(), min_trust=2)


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_a_bundle_of_another_world_than_the_ids(make):
    with pytest.raises(ValueError, match="'pong' is a dream of pong, not of snake") as caught:
        make("neural_envs:NeuralSnake-v0", bundle="pong")
    assert "NeuralPong-v0" in str(caught.value)
