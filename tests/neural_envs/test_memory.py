"""A dream may go on for long: memory stays flat over 10 000 steps."""

import gc
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from neural_envs.vector_env import NeuralVectorEnv
from tests.oracles import counting_bundle

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
MIB = 2**20


def resident() -> int:
    """Bytes of this process that are in memory now."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def grown(env: NeuralVectorEnv, steps: int = 10_000, settled: int = 2_000) -> int:
    """Bytes by which memory grows from step `settled` to the last one."""
    generator = np.random.default_rng(0)
    env.reset(seed=0)
    for step in range(steps):
        if step == settled:
            before = resident()
        env.step(generator.integers(env.single_action_space.n, size=env.num_envs))
    return resident() - before


def test_ten_thousand_steps_leave_nothing_behind():
    assert grown(NeuralVectorEnv(4, counting_bundle(), max_episode_steps=50)) < 8 * MIB


@pytest.mark.slow
@pytest.mark.parametrize("name", ["snake", "pong-sprites"])
def test_ten_thousand_steps_of_a_released_dream_leave_nothing_behind(name):
    assert grown(NeuralVectorEnv(1, name)) < 8 * MIB
