"""What changes in the course of a training run: the learning rate and the weights of the losses."""

from __future__ import annotations

import math

from torch import Tensor

from world_models.training.config import TrainConfig

WARMEST = 0.1  # share of a run paced by minutes after which its warm-up ends at the latest


def total(terms: dict[str, Tensor], config: TrainConfig, share: float) -> Tensor:
    """The weighted sum that is minimised when `share` of the updates are done; a loss not named
    here weighs 1.

    The pull of chance towards uniform fades: late in a run it would only make the posterior miss.
    """
    weights = {
        "entropy": max(0.0, 1 - share / config.entropy_until),
        "reward": config.reward_weight,
        "termination": config.termination_weight,
        "trust": config.trust_weight,
        "wrong": 0.0,
    }
    return sum(weights.get(name, 1.0) * value for name, value in terms.items())


def schedule(config: TrainConfig, update: int, progress: float) -> float:
    """Learning rate of an update, when `progress` of the run is done: linear warm-up, then a cosine
    down to 2 %.
    """
    warm = (update + 1) / max(1, config.warmup)
    if config.pace == "minutes":
        warm, share = max(warm, progress / WARMEST), progress
    else:
        share = max(0, update - config.warmup) / max(1, config.updates - config.warmup)
    return (
        config.learning_rate
        * min(1.0, warm)
        * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))
    )
