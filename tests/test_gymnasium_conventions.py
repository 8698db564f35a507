"""A dream and its real game, both as Gymnasium and the libraries around it expect them to be."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, Error, InvalidAction
from gymnasium.vector import AutoresetMode

import collectors  # noqa: F401  (registers the ids)
import neural_envs  # noqa: F401
from collectors.worlds.table import WORLDS
from neural_envs.notebook_display import wrapped_png
from tests.oracles import counting_bundle

TWINS = ("NeuralSnake-v0", "RealSnake-v0")
twins = pytest.mark.parametrize("env_id", TWINS)


@twins
def test_the_actions_have_names_also_through_wrappers(env_id):
    env = gym.make(env_id)
    assert env.unwrapped.get_action_meanings() == ["up", "down", "left", "right"]
    assert env.get_wrapper_attr("get_action_meanings")()[3] == "right"
    lanes = gym.make_vec(env_id, num_envs=2).unwrapped
    assert lanes.get_action_meanings() == ["up", "down", "left", "right"]


@twins
def test_one_call_of_make_vec_makes_both_twins_and_the_default_is_that_of_gymnasium(env_id):
    assert gym.make_vec(env_id, num_envs=2).metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    lanes = gym.make_vec(env_id, num_envs=2, autoreset_mode="SameStep")
    assert lanes.metadata["autoreset_mode"] is AutoresetMode.SAME_STEP


@twins
def test_gymnasiums_vector_wrappers_take_the_lanes(env_id):
    lanes = gym.wrappers.vector.GrayscaleObservation(gym.make_vec(env_id, num_envs=2))
    lanes = gym.wrappers.vector.ResizeObservation(lanes, (32, 32))
    assert lanes.reset(seed=0)[0].shape == (2, 32, 32)
    assert lanes.step(np.array([0, 1]))[0].shape == (2, 32, 32)


@twins
@pytest.mark.parametrize("action", [4, -1, 1.0, True, "1", [1], None])
def test_a_wrong_action_is_gymnasiums_error_and_lists_the_actions(env_id, action):
    env = gym.make(env_id)
    env.reset(seed=0)
    with pytest.raises(InvalidAction, match="0 up, 1 down, 2 left, 3 right"):
        env.step(action)
    env.step(np.int64(1))
    env.step(np.array(1))


@twins
@pytest.mark.parametrize("seed", [-1, 1.0, "1", [0]])
def test_a_wrong_seed_is_refused_alike(env_id, seed):
    with pytest.raises(Error, match="a seed is a whole number of 0 or more"):
        gym.make(env_id).reset(seed=seed)


@twins
@pytest.mark.parametrize("seed", [-1, 1.0, "12", [1.5, 2], [-1, 2], [1]])
def test_a_wrong_seed_of_lanes_is_refused_alike(env_id, seed):
    with pytest.raises(Error, match="a seed is|seeds for 2 lanes"):
        gym.make_vec(env_id, num_envs=2).reset(seed=seed)


@twins
def test_seeds_of_numpy_are_seeds_and_a_lane_without_one_draws_it(env_id):
    first, _ = gym.make(env_id).reset(seed=np.int64(3))
    frames, _ = gym.make_vec(env_id, num_envs=2).reset(seed=[None, 3])
    np.testing.assert_array_equal(frames[1], first)


@twins
def test_a_closed_environment_says_so(env_id):
    env = gym.make(env_id)
    env.reset(seed=0)
    env.close()
    with pytest.raises(ClosedEnvironmentError, match="make a new one"):
        env.step(0)
    with pytest.raises(ClosedEnvironmentError, match="make a new one"):
        env.reset(seed=0)


@pytest.mark.parametrize("world", [row for row in WORLDS.values() if row.name != "coinrun"])
def test_a_real_game_is_shown_in_a_window(world, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = []
    monkeypatch.setattr(
        "collectors.render_window.Window.show", lambda _, frame: shown.append(frame)
    )
    env = gym.make(world.real_id, render_mode="human", disable_env_checker=True)
    assert type(env.unwrapped).__name__ in repr(env) and "HumanRendering" not in repr(env)
    env.reset(seed=0)
    env.step(0)
    lanes = gym.make_vec(world.real_id, num_envs=2, render_mode="human")
    lanes.reset(seed=0)
    assert [frame.shape[2] for frame in shown] == [3, 3, 3] and shown[2].shape != shown[0].shape
    env.close()
    lanes.close()


def test_an_unknown_argument_is_a_type_error_in_pythons_words():
    words = r"NeuralEnv.__init__\(\) got an unexpected keyword argument 'frameskip'"
    with pytest.raises(TypeError, match=words):  # TorchRL's GymEnv reads them
        gym.make("NeuralSnake-v0", frameskip=1)
    with pytest.raises(TypeError, match="did you mean 'bundle'"):
        gym.make("NeuralSnake-v0", bundl="snake")
    with pytest.raises(TypeError, match="argument of gym.make_vec"):
        gym.make("NeuralSnake-v0", autoreset_mode="NextStep")


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_the_id_without_a_world_asks_for_a_bundle(make):
    with pytest.raises(ValueError, match="say what is dreamed: .* released are .*snake"):
        make("NeuralEnv-v0")


def test_a_wrapped_environment_shows_its_picture_in_a_notebook():
    env = gym.make("NeuralEnv-v0", bundle=counting_bundle())
    assert wrapped_png(env) is None  # not reset yet
    env.reset(seed=0)
    assert wrapped_png(env).startswith(b"\x89PNG")
    assert wrapped_png(gym.make("RealSnake-v0")) is None


@pytest.mark.slow
def test_a_process_that_has_dreamed_on_two_threads_can_make_dreams_in_its_children():
    code = """
import gymnasium as gym, neural_envs, torch
torch.set_num_threads(2)
env = gym.make_vec("NeuralSnake-v0", num_envs=64)
env.reset(seed=0)
env.step(env.action_space.sample())
lanes = gym.make_vec("NeuralSnake-v0", num_envs=2, vectorization_mode="async")
lanes.reset(seed=0)
print(lanes.step(lanes.action_space.sample())[0].shape)
lanes.close()
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=100
    )
    assert "(2, 64, 64, 3)" in found.stdout, found.stderr
