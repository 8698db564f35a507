"""There and back: n steps one way, n steps the opposite way; is it the same place?

`loop_closure` of evaluation.json. L lanes, H x W x C a frame.
"""

from typing import Any

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from world_models.evaluation import metrics
from world_models.evaluation.estimates import mean_estimate

LENGTHS = (4, 8, 16)


def loop_figures(
    dream: VectorEnv, real: VectorEnv, pairs: list[tuple[int, int]], seed: int
) -> dict[str, Any]:
    """{n: {"value", "interval", "samples", "real"}}: PSNR of the last frame to the first, in dB.

    `pairs` are actions and their opposites; the lanes take them in turn. Lanes whose game ends on
    the way are left out.
    """
    generator = np.random.default_rng(seed)
    figures = {}
    for steps in LENGTHS:
        found = [
            mean_estimate(walk_back(env, pairs, steps, seed), generator) for env in (dream, real)
        ]
        figures[str(steps)] = {**found[0], "real": found[1]}
    return figures


def walk_back(env: VectorEnv, pairs: list[tuple[int, int]], steps: int, seed: int) -> np.ndarray:
    """(N,) PSNR of the lanes that walked all of it; the environment is in SAME_STEP mode."""
    first, _ = env.reset(seed=seed)
    lanes = np.arange(len(first)) % len(pairs)
    there, back = np.array(pairs, np.int64)[lanes].T
    frames, running = first, np.ones(len(first), bool)
    for actions in (there, back):
        for _ in range(steps):
            frames, _, terminations, truncations, _ = env.step(actions)
            running &= ~(terminations | truncations)
    pair = (torch.from_numpy(np.ascontiguousarray(f[running])) for f in (frames, first))
    return metrics.psnr(*pair).double().numpy()
