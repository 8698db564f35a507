"""Doubles whose every number is known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from world_models.contexts import Contexts
from world_models.noise import NoiseStream
from world_models.protocols import Context, Transition, WorldSpec

FRAME = (8, 8, 3)
CONTEXT_LENGTH = 2
COUNT, ACTION_SUM, TAG, NOISE, DEAD = 0, 1, 2, 3, 4  # the pixel of the first row that shows each
FIRST_LIFE = 3  # a dream that began at the context of tag i ends at its step FIRST_LIFE + i


class CountState(NamedTuple):
    """What a counting dream carries, (B,) int64 each."""

    count: Tensor  # steps so far
    action_sum: Tensor
    tag: Tensor  # the number of the start context


class CountingModel(nn.Module):
    """A WorldModel that counts: its frames write down the steps, the sum of the actions, the start and the noise drawn.

    Reward +1 at every even step, -1 at the end, else 0. Trust falls by 1/8 a step. The step changes nothing in place.
    """

    context_length = CONTEXT_LENGTH

    def __init__(self, max_episode_steps: int = 1000) -> None:
        super().__init__()
        self.spec = WorldSpec(
            "counting", FRAME, ("up", "down", "left", "right"), (-1.0, 0.0, 1.0), 10, max_episode_steps
        )
        self.sampler_steps = 1
        self.sampler_steps_seen: list[int] = []

    def init(self, context: Context) -> CountState:
        """Count 0, the sum of the context's actions, the tag that its last frame shows."""
        tag = context.frames[:, -1, 0, TAG, 0].long()
        return CountState(torch.zeros_like(tag), context.actions.sum(1), tag)

    def step(self, state: CountState, action: Tensor, noise: NoiseStream) -> Transition:
        """One count further; see the class."""
        self.sampler_steps_seen.append(self.sampler_steps)
        after = CountState(state.count + 1, state.action_sum + action, state.tag)
        dead = after.count >= FIRST_LIFE + after.tag
        reward = torch.where(dead, -1.0, (after.count % 2 == 0).float())
        row = torch.stack([after.count, after.action_sum, after.tag, noise.integers(256, salt=1), 255 * dead], 1)
        frame = torch.zeros(len(action), *FRAME, dtype=torch.uint8, device=action.device)
        frame[:, 0, : row.shape[1], 0] = (row % 256).to(torch.uint8)
        trust = (1 - after.count / 8).clamp_min(0).float()
        return Transition(after, frame, reward, dead, trust)


class CountingBundle(NamedTuple):
    """Looks like world_models.checkpoint.Bundle."""

    model: CountingModel
    contexts: Contexts
    config: dict
    path: Path


def counting_contexts(count: int = 4) -> Contexts:
    """Start contexts tagged 0, 1, ...; all their actions are 0."""
    frames = np.zeros((count, CONTEXT_LENGTH, *FRAME), np.uint8)
    frames[:, :, 0, TAG, 0] = np.arange(count)[:, None]
    return Contexts(frames, np.zeros((count, CONTEXT_LENGTH - 1), np.int64))


def counting_bundle(**settings: Any) -> CountingBundle:
    """A bundle of the counting model; settings go to it."""
    model = CountingModel(**settings)
    return CountingBundle(model, counting_contexts(), {"spec": model.spec.as_dict()}, Path("counting"))


def shown(frames: np.ndarray, pixel: int) -> np.ndarray:
    """The number that counting frames (..., 8, 8, 3) write at a pixel."""
    return np.asarray(frames)[..., 0, pixel, 0].astype(int)
