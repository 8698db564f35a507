"""Many lanes are stepped a few at a time on a processor, and dream what they dream at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from neural_envs import bundles
from neural_envs.vector_env import NeuralVectorEnv
from world_models.lanes import step_in_blocks
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS


@pytest.mark.parametrize("lanes", [5, 16, 37])
def test_blocks_give_the_lanes_in_their_order_with_the_draws_of_their_own(lanes):
    bundle = bundles.load("snake")
    model, sizes = bundle.model, []
    whole = model.step

    class Counted:
        lanes_at_once = 16

        @staticmethod
        def step(state, action, noise, options):
            sizes.append(len(action))
            return whole(state, action, noise, options)

    rows = torch.arange(lanes) % len(bundle.contexts)
    state, noise = model.init(bundle.contexts.choose(rows)), NoiseStream.from_seeds(rows).next()
    action = rows % 4
    with torch.inference_mode():
        expected = whole(state, action, noise, DEFAULT_OPTIONS)
        found = step_in_blocks(Counted, state, action, noise, DEFAULT_OPTIONS)
    assert sizes == [16] * (lanes // 16) + [lanes % 16] * bool(lanes % 16)
    assert type(found) is type(expected) and type(found.state) is type(expected.state)
    assert torch.equal(found.reward, expected.reward)
    assert torch.equal(found.termination, expected.termination)
    assert (found.frame.int() - expected.frame.int()).abs().max() <= 1


def test_a_lane_among_many_dreams_what_it_dreams_alone():
    many, few = (NeuralVectorEnv(lanes, "snake") for lanes in (40, 3))
    (frames, _), (alone, _) = (env.reset(seed=list(range(env.num_envs))) for env in (many, few))
    for step in range(8):
        action = torch.full((40,), step % 4).numpy()
        frames, alone = many.step(action)[0], few.step(action[:3])[0]
        assert np.abs(frames[:3].astype(int) - alone).max() <= 1
