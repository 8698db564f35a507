"""The single environment, made directly and by gym.make."""

from __future__ import annotations

import json
import pickle
import warnings

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils.env_checker import check_env

import neural_envs  # noqa: F401  (registers the ids)
from neural_envs.env import NeuralEnv
from tests.oracles import ACTION_SUM, COUNT, FRAME, TAG, counting_bundle, shown

LONG = {
    "context": np.full(FRAME, 200, np.uint8)
}  # tag 200: the dream ends by itself only at step 203


@pytest.fixture
def made(counting):
    """A function that makes the environment by gym.make."""
    return lambda id="NeuralEnv-v0", **kwargs: gym.make(id, bundle=counting, **kwargs)


def length_of(env):
    env.reset(seed=0, options=LONG)
    for step in range(1, 300):
        _, _, terminated, truncated, _ = env.step(0)
        if terminated or truncated:
            return step, truncated
    raise AssertionError("no end")


def test_the_checker_of_gymnasium_has_nothing_to_say(made):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made(render_mode="rgb_array", disable_env_checker=True).unwrapped)


def test_the_checker_of_stable_baselines3_has_nothing_to_say(made):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*minimal resolution.*|.*NatureCNN.*")
        checker.check_env(made(), skip_render_check=True)


def test_step_returns_python_numbers_and_fresh_frames():
    env = NeuralEnv(counting_bundle())
    first, info = env.reset(seed=0)
    frame, reward, terminated, truncated, step_info = env.step(np.int64(1))
    assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
    assert info == {"trust": 1.0} and step_info == {"trust": pytest.approx(7 / 8)}
    assert not np.shares_memory(first, frame) and frame in env.observation_space
    frame[:] = 0
    assert shown(env.step(0)[0], COUNT) == 2


def test_made_directly_it_counts_the_bundles_own_limit():
    assert length_of(NeuralEnv(counting_bundle(max_episode_steps=50))) == (50, True)
    assert length_of(NeuralEnv(counting_bundle(), max_episode_steps=7)) == (7, True)
    assert length_of(NeuralEnv(counting_bundle(max_episode_steps=50), max_episode_steps=-1)) == (
        203,
        False,
    )


def test_made_by_gym_make_the_registered_limit_rules_and_can_be_changed(made):
    assert made("NeuralSnake-v0", world=None).spec.max_episode_steps == 1000
    assert length_of(made("NeuralSnake-v0", world=None, max_episode_steps=20)) == (20, True)
    assert length_of(made("NeuralEnv-v0", max_episode_steps=20)) == (20, True)


def test_a_limit_of_gym_make_beyond_the_bundles_own_is_honoured(monkeypatch):
    from neural_envs import bundles

    monkeypatch.setattr(
        bundles, "load", lambda name, device="cpu": counting_bundle(max_episode_steps=30)
    )
    assert length_of(gym.make("NeuralSnake-v0", world=None, max_episode_steps=100)) == (100, True)
    assert length_of(gym.make("NeuralSnake-v0", world=None, max_episode_steps=-1)) == (203, False)
    assert length_of(gym.make("NeuralEnv-v0", bundle="any")) == (30, True)


def test_low_trust_is_told_in_info():
    env = NeuralEnv(counting_bundle(), min_trust=0.9)
    env.reset(seed=0, options=LONG)
    _, _, terminated, truncated, info = env.step(0)
    assert truncated and not terminated and info["low_trust"] is True


def test_it_pickles_and_goes_on(made):
    env = made(max_episode_steps=50)
    env.reset(seed=1, options=LONG)
    env.step(2)
    twin = pickle.loads(pickle.dumps(env))
    for _ in range(5):
        np.testing.assert_array_equal(env.step(1)[0], twin.step(1)[0])


def test_its_spec_survives_json_and_pickle(made):
    env = made(render_mode="rgb_array", min_trust=0.1)
    text = env.spec.to_json()
    assert json.loads(text)["kwargs"]["bundle"] == "counting"
    for spec in (
        gym.envs.registration.EnvSpec.from_json(text),
        pickle.loads(pickle.dumps(env.spec)),
    ):
        twin = gym.make(spec)
        np.testing.assert_array_equal(env.reset(seed=4)[0], twin.reset(seed=4)[0])


def test_a_snapshot_brings_a_dream_back():
    env = NeuralEnv(counting_bundle())
    env.reset(seed=0, options=LONG)
    env.step(3)
    snapshot = env.get_state()
    first = [env.step(1)[0] for _ in range(3)]
    env.set_state(snapshot)
    np.testing.assert_array_equal(first, [env.step(1)[0] for _ in range(3)])


def test_a_context_is_taken_as_it_is():
    frame, _ = NeuralEnv(counting_bundle()).reset(options=LONG)
    assert shown(frame, TAG) == 200


def test_it_is_an_environment_like_any_other_for_a_sync_vector(made, counting):
    singles = gym.make_vec("NeuralEnv-v0", 2, vectorization_mode="sync", bundle=counting)
    native = gym.make_vec("NeuralEnv-v0", 2, bundle=counting)
    np.testing.assert_array_equal(singles.reset(seed=5)[0], native.reset(seed=5)[0])


def test_both_kinds_of_rendering_work_without_a_screen(made):
    env = made(render_mode="rgb_array")
    frame, _ = env.reset(seed=0)
    np.testing.assert_array_equal(env.render(), frame)
    window = made(render_mode="human")
    window.reset(seed=0)
    window.step(0)
    assert window.render() is None
    window.close()
    window.close()


def test_the_window_shows_the_frame_enlarged_by_a_whole_number():
    import pygame

    from collectors.media import tile
    from collectors.render_window import Window

    window, frame = (
        Window("test", fps=1000),
        np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8),
    )
    window.show(frame)
    pixels = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    window.close()
    np.testing.assert_array_equal(pixels, frame.repeat(8, 0).repeat(8, 1))
    assert tile(np.stack([frame] * 5)).shape == (128, 192, 3)


def test_the_keyboard_has_arrows_and_letters():
    import pygame

    keys = NeuralEnv(counting_bundle()).get_keys_to_action()
    assert (
        keys[(pygame.K_UP,)] == keys[("w",)] == 0 and keys[(pygame.K_RIGHT,)] == keys[("d",)] == 3
    )


def test_keys_are_combined_numbered_or_absent_by_the_names_of_the_actions():
    import pygame

    from neural_envs.action_keys import keys_to_action

    keys = keys_to_action(("noop", "up_left", "jump"))
    assert keys == {(): 0, (pygame.K_UP, pygame.K_LEFT): 1, ("w", "a"): 1, ("2",): 2}
    assert ("w", "d", " ") in keys_to_action(("noop", "uprightfire")) and ("1",) in keys_to_action(
        ("noop", "uphill")
    )
    assert keys_to_action(("left", "forward"))[("w",)] == 1 and ("1",) in keys_to_action(
        ("up", "forward")
    )
    assert list(keys_to_action(tuple(f"act{i}" for i in range(12))))[9:] == [("9",), ("e",), ("t",)]


@pytest.mark.parametrize("action", [4, -1, 0.5, None, "up", np.array([0])])
def test_a_wrong_action_lists_the_actions(action):
    env = NeuralEnv(counting_bundle())
    env.reset(seed=0)
    with pytest.raises(ValueError, match="0 up, 1 down, 2 left, 3 right"):
        env.step(action)


def test_a_step_before_reset_after_the_end_or_after_close_says_what_to_do():
    env = NeuralEnv(counting_bundle(), max_episode_steps=1)
    with pytest.raises(ResetNeeded, match=r"call reset\(\)"):
        env.step(0)
    env.reset(seed=0)
    env.step(0)
    with pytest.raises(ResetNeeded, match=r"call reset\(\)"):
        env.step(0)
    env.close()
    with pytest.raises(ClosedEnvironmentError, match="gym.make"):
        env.reset()


def test_arguments_of_the_vector_environment_are_refused():
    with pytest.raises(TypeError, match="make_vec"):
        NeuralEnv(counting_bundle(), output="torch")


def test_a_step_with_settings_leaves_the_model_that_others_share_as_it_is():
    bundle = counting_bundle()
    before = dict(vars(bundle.model))
    env = NeuralEnv(bundle, sampler_steps=3)
    env.reset(seed=0)
    env.step(0)
    assert env.simulator.model is bundle.model and vars(bundle.model) == before
    assert bundle.model.steps_asked == [3]


def test_going_on_from_other_frames_keeps_the_step_count_and_wakes_a_dream_that_had_ended():
    env = NeuralEnv(counting_bundle(max_episode_steps=4))
    env.reset(seed=0, options=LONG)
    env.step(1)
    frame = env.continue_from(LONG["context"])
    assert shown(frame, TAG) == 200 and shown(env.step(2)[0], ACTION_SUM) == 2
    env.step(0)
    assert env.step(0)[3]  # truncated at the fourth step of all
    env.continue_from(LONG["context"])
    env.step(0)
