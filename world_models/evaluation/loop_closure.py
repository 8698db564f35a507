"""There and back: n steps one way, n steps the opposite way; is it the same place?

`loop_closure` of evaluation.json. L lanes, H x W x C a frame.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from gymnasium.vector import VectorEnv

from world_models.evaluation import metrics
from world_models.evaluation.estimates import mean_estimate
from world_models.evaluation.evaluator import Evaluator

LENGTHS = (4, 8, 16)


class Walk(NamedTuple):
    """PSNR of the last frame to the first, (N,) dB each, of the lanes that walked all of it."""

    whole: np.ndarray
    in_sight: np.ndarray | None  # on what never left the sight; None: the evaluator cannot tell


def loop_figures(
    dream: VectorEnv,
    real: VectorEnv,
    pairs: list[tuple[int, int]],
    evaluator: Evaluator,
    seed: int,
) -> dict[str, Any]:
    """{n: {"value", "interval", "samples", "real"}}: PSNR of the last frame to the first, in dB;
    where the evaluator knows what never left the sight, "in_sight" has the same of that part.

    `pairs` are actions and their opposites; the lanes take them in turn. Lanes whose game ends on
    the way are left out.
    """
    generator = np.random.default_rng(seed)
    figures = {}
    for steps in LENGTHS:
        walks = [walk_back(env, pairs, steps, seed, evaluator) for env in (dream, real)]
        whole = [mean_estimate(walk.whole, generator) for walk in walks]
        figures[str(steps)] = {**whole[0], "real": whole[1], **_in_sight(walks, steps, generator)}
    return figures


def _in_sight(walks: list[Walk], steps: int, generator: np.random.Generator) -> dict[str, Any]:
    """{"in_sight": the estimate, with "real"} of walks in dream and game; {} where nobody knows."""
    kept = [walk.in_sight[np.isfinite(walk.in_sight)] for walk in walks
            if walk.in_sight is not None]  # fmt: skip
    if len(kept) < len(walks):
        return {}
    if not min(map(len, kept)):
        return {"in_sight": {"omitted": f"after {steps} steps nothing of the start is in sight"}}
    found = [mean_estimate(values, generator) for values in kept]
    return {"in_sight": {**found[0], "real": found[1]}}


def walk_back(
    env: VectorEnv, pairs: list[tuple[int, int]], steps: int, seed: int, evaluator: Evaluator
) -> Walk:
    """`steps` there and as many back; the environment is in SAME_STEP mode."""
    first, _ = env.reset(seed=seed)
    lanes = np.arange(len(first)) % len(pairs)
    there, back = np.array(pairs, np.int64)[lanes].T
    frames, running = first, np.ones(len(first), bool)
    for actions in (there, back):
        for _ in range(steps):
            frames, _, terminations, truncations, _ = env.step(actions)
            running &= ~(terminations | truncations)
    first, last = (np.ascontiguousarray(f[running]) for f in (first, frames))
    whole = metrics.psnr(torch.from_numpy(last), torch.from_numpy(first)).double().numpy()
    return Walk(whole, evaluator.psnr_in_sight(first, last, there[running], steps))
