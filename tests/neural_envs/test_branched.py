"""Dreams that branch off a recording, anywhere in its training episodes."""

import pickle

import gymnasium as gym
import numpy as np
import pytest

import neural_envs  # noqa: F401  registers the ids
from collectors.dataset.dataset import Dataset
from collectors.recording.collect import collect

LANES = 24


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "snake"
    collect("RealSnake-v0", path, frames=600, policy="random", seed=0, shard_steps=300)
    return path


def dreams(recording, **settings) -> gym.vector.VectorEnv:
    lanes = {"num_envs": LANES, "autoreset_mode": "SameStep"}
    return gym.make_vec("NeuralSnake-v0", starts=recording, **lanes, **settings)


def test_dreams_begin_at_any_step_of_a_training_episode_and_of_no_other(recording):
    dataset = Dataset(recording)
    # a frame's bytes -> its step, the last one of an episode left out: nothing follows it
    recorded = {
        frame.tobytes(): step
        for episode in dataset.split()["train"]
        for step, frame in enumerate(dataset.episode(episode).frames[:-1])
    }
    frames, _ = dreams(recording).reset(seed=0)
    steps = [recorded[frame.tobytes()] for frame in frames]
    assert min(steps) < max(steps) and np.median(steps) > 0


def test_equal_seeds_begin_at_equal_frames_in_a_batch_alone_and_after_a_pickle(recording):
    env = dreams(recording)
    frames, _ = env.reset(seed=5)
    alone, _ = gym.make("NeuralSnake-v0", starts=str(recording)).reset(seed=8)
    again = pickle.loads(pickle.dumps(env.unwrapped))
    assert np.array_equal(frames[3], alone)
    assert np.array_equal(again.reset(seed=5)[0], frames)


def test_a_short_horizon_cuts_dreams_off_as_a_truncation(recording):
    env = dreams(recording, max_episode_steps=3)
    env.reset(seed=0)
    for _ in range(3):
        *_, ended, cut, _ = env.step(np.zeros(LANES, int))
    assert (ended | cut).sum() > LANES / 2 and cut.any()


def test_a_recording_of_another_game_is_refused_by_what_differs(tmp_path):
    options = {"grid_size": 8}
    collect(
        "RealSnake-v0", tmp_path / "small", frames=200, policy="random", seed=0, env_options=options
    )
    with pytest.raises(
        ValueError, match=r"starts: the dataset has the frame_shape \(32, 32, 3\).*\(64, 64, 3\)"
    ):
        dreams(tmp_path / "small")
