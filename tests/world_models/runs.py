"""Hand-made recordings and dreams as evaluation's runs. N transitions, R rollouts, H horizon."""

import numpy as np
import torch

from world_models.evaluation.evaluator import Runs
from world_models.evaluation.rollouts import OneStep, Rollouts


def one_step(evaluator, context, real, dreamed, action, reward=None, dream_reward=None) -> OneStep:
    """Transitions of frames (N, K, H, W, C), (N, H, W, C); rewards (N,) are 0 unless given; nothing
    ends.
    """
    real_reward = (
        torch.zeros(len(real)) if reward is None else torch.tensor(reward, dtype=torch.float32)
    )
    given = real_reward if dream_reward is None else torch.tensor(dream_reward, dtype=torch.float32)
    none, action = torch.zeros(len(real), dtype=torch.bool), torch.as_tensor(np.asarray(action))
    decoded = evaluator.decode_batch(context, real, dreamed, action.numpy())
    quality = {"exact": torch.from_numpy((real == dreamed).all((1, 2, 3)))}
    return OneStep(
        quality,
        {},
        action,
        given,
        none,
        torch.ones(len(real)),
        real_reward,
        none,
        None,
        None,
        decoded,
    )


def rollouts(real, dreamed, actions, rewards=None, dream_rewards=None) -> Rollouts:
    """Episodes real and dreamed (R, H + 2, H', W, C), whose first frame is the one before the
    start; actions (R, H).
    """
    shape = actions.shape
    rewards = np.zeros(shape, np.float32) if rewards is None else rewards
    given, going = (
        rewards if dream_rewards is None else dream_rewards,
        torch.ones(shape, dtype=torch.bool),
    )
    frames = [torch.from_numpy(np.ascontiguousarray(f)) for f in (dreamed[:, 1:], real[:, 1:])]
    outcomes = [torch.as_tensor(given), ~going, torch.ones(shape), torch.as_tensor(rewards), ~going]
    return Rollouts(
        *frames,
        torch.from_numpy(actions),
        *outcomes,
        going,
        going,
        torch.from_numpy(real[:, 0].copy()),
    )


def runs_of(step: OneStep, opened: Rollouts, other: OneStep | None = None) -> Runs:
    return Runs(step, other or step, opened, {})
