"""Dreams that remember four frames: any history starts them, and they go on from what they have
dreamed.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np
import pytest
import torch

import neural_envs  # noqa: F401  (registers the ids)
from world_models.bundles.bundle import save_bundle
from world_models.bundles.contexts import Contexts
from world_models.models.chance import ChanceConfig, ChanceModel
from world_models.networks.grid import GridConfig
from world_models.protocols import WorldSpec

SPEC = WorldSpec("tiny", (16, 16, 3), ("stay", "up", "down"), (-1.0, 0.0, 1.0), 30, 12)
LENGTH = 4


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """The directory of a bundle of a tiny model of four context frames."""
    path, rng = tmp_path_factory.mktemp("four"), np.random.default_rng(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        grid = GridConfig(width=8, encoder_depth=1, decoder_depth=1)
        model = ChanceModel(SPEC, ChanceConfig(grid=grid, context_length=LENGTH))
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    frames = rng.integers(256, size=(6, LENGTH, *SPEC.frame_shape), dtype=np.uint8)
    save_bundle(path, model, Contexts(frames, rng.integers(3, size=(6, LENGTH - 1))), {}, {})
    return str(path)


def history(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.integers(256, size=(count, *SPEC.frame_shape), dtype=np.uint8), rng.integers(
        3, size=count - 1
    )


def state_of(env) -> list[np.ndarray]:
    return [leaf.numpy() for leaf in env.unwrapped.get_state().model]


def test_a_dream_starts_from_one_frame_or_more_than_it_remembers(bundle):
    env = gym.make("NeuralEnv-v0", bundle=bundle)
    for count in (1, 2, LENGTH, LENGTH + 2):
        frames, actions = history(count)
        first, _ = env.reset(seed=0, options={"context": (frames, actions)})
        assert np.array_equal(first, frames[-1])
        assert env.observation_space.contains(env.step(1)[0])


def test_the_oldest_frame_counts(bundle):
    env, (frames, actions) = gym.make("NeuralEnv-v0", bundle=bundle), history(LENGTH)

    def dreamed(frames):
        env.reset(seed=0, options={"context": (frames, actions)})
        return env.step(1)[0]

    first, older = dreamed(frames), frames.copy()
    older[0] = 255 - older[0]
    assert np.array_equal(first, dreamed(frames)) and not np.array_equal(first, dreamed(older))


def test_what_was_dreamed_is_the_history_of_what_comes(bundle):
    env, again = (gym.make("NeuralEnv-v0", bundle=bundle) for _ in range(2))
    frames, actions = [env.reset(seed=3)[0]], [1, 2, 0, 2, 1]
    frames += [env.step(action)[0] for action in actions]
    again.reset(seed=9, options={"context": (np.stack(frames), np.array(actions))})
    assert all(np.array_equal(a, b) for a, b in zip(state_of(env), state_of(again), strict=True))
