"""What changes in the course of a training run: learning rate, rollout steps, weights of losses."""

from __future__ import annotations

import math

from torch import Tensor

from world_models.protocols import AugmentationOptions
from world_models.training.config import TrainConfig

LATEST_WARMUP = 0.1  # share of a run scheduled by minutes after which its warm-up is over
FINAL_RATE = 0.02  # of the learning rate
# Share of a run after which chance variables are drawn as the posterior says. Once they are, the
# decoder comes to need the draw where nothing is random, and the prior to miss where something is.
RANDOM_UNTIL = 0.95

# Share of a run after which places are no longer pointed at what a frame lacks: by then they are
# used, and what is left to mend is not chance.
POINT_UNTIL = 0.4


def learning_rate(config: TrainConfig, update: int, progress: float) -> float:
    """Learning rate of an update, with `progress` of the run done:
    a linear warm-up, then a cosine down to `FINAL_RATE`.
    """
    warm = (update + 1) / max(1, config.warmup)
    if config.schedule == "minutes":
        warm, share = max(warm, progress / LATEST_WARMUP), progress
    else:
        share = max(0, update - config.warmup) / max(1, config.updates - config.warmup)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    return config.learning_rate * min(1.0, warm) * (FINAL_RATE + (1 - FINAL_RATE) * cosine)


def rollout_steps(config: TrainConfig, progress: float) -> int:
    """Steps per clip: single ones first, then `config.rollout_steps`."""
    return 1 if progress < config.rollout_from else config.rollout_steps


def augmentation(config: TrainConfig, progress: float) -> AugmentationOptions:
    """How clips are made harder with `progress` of the run done: random draws of chance fade."""
    random_chance = config.random_chance * max(0.0, 1 - progress / RANDOM_UNTIL)
    return AugmentationOptions(
        config.noise,
        config.damage,
        config.action_dropout,
        config.rollout_gradient,
        random_chance,
        progress,
    )


def weighted_sum(losses: dict[str, Tensor], config: TrainConfig, progress: float) -> Tensor:
    """The scalar that is minimized, with `progress` of the run done;
    a loss not named here weighs 1.

    Two weights of chance variables fade: late in a run their entropy would only blur the posterior,
    and pointing them at errors would draw them to what is not chance.
    """
    weights = {
        "entropy": max(0.0, 1 - progress / config.entropy_until),
        "point": max(0.0, 1 - progress / POINT_UNTIL),
        "reward": config.reward_weight,
        "termination": config.termination_weight,
        "trust": config.trust_weight,
        "wrong": 0.0,  # measurements, no losses
        "mse": 0.0,
    }
    parts = [weights.get(name, 1.0) * value for name, value in losses.items()]
    return sum(parts[1:], parts[0])
