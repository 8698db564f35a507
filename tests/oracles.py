"""Doubles whose every number is known beforehand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from world_models.bundles.contexts import Contexts
from world_models.noise import NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    Context,
    SamplingOptions,
    Transition,
    WorldModel,
    WorldSpec,
)

FRAME = (8, 8, 3)
CONTEXT_LENGTH = 2
COUNT, ACTION_SUM, TAG, NOISE, DEAD = 0, 1, 2, 3, 4  # the pixel of the first row that shows each
FIRST_LIFE = 3  # a dream that began at the context of tag i ends at its step FIRST_LIFE + i


class CountState(NamedTuple):
    """What a counting dream carries, (B,) int64 each."""

    count: Tensor  # steps so far
    action_sum: Tensor
    tag: Tensor  # the number of the start context


class CountingModel(WorldModel):
    """A WorldModel that counts: its frames write down the steps, the sum of the actions, the start
    and the noise drawn.

    Reward +1 at every even step, -1 at the end, else 0. Trust falls by 1/8 a step. The step changes
    nothing in place.
    """

    kind = "counting"
    context_length = CONTEXT_LENGTH

    def __init__(self, max_episode_steps: int = 1000) -> None:
        actions, rewards = ("up", "down", "left", "right"), (-1.0, 0.0, 1.0)
        super().__init__(WorldSpec("counting", FRAME, actions, rewards, 10, max_episode_steps))
        self.steps_asked: list[int | None] = []

    @property
    def supported_options(self) -> frozenset[str]:
        """Steps, which it only counts."""
        return frozenset({"steps"})

    @property
    def default_options(self) -> SamplingOptions:
        return SamplingOptions(steps=1)

    def init(self, context: Context) -> CountState:
        """Count 0, the sum of the context's actions, the tag that its last frame shows."""
        tag = context.frames[:, -1, 0, TAG, 0].long()
        return CountState(torch.zeros_like(tag), context.actions.sum(1), tag)

    def step(
        self,
        state: CountState,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> Transition:
        """One count further; see the class."""
        self.steps_asked.append(self.resolve_options(options).steps)
        after = CountState(state.count + 1, state.action_sum + action, state.tag)
        dead = after.count >= FIRST_LIFE + after.tag
        reward = torch.where(dead, -1.0, (after.count % 2 == 0).float())
        row = torch.stack(
            [after.count, after.action_sum, after.tag, noise.integers(256, salt=1), 255 * dead], 1
        )
        frame = torch.zeros(len(action), *FRAME, dtype=torch.uint8, device=action.device)
        frame[:, 0, : row.shape[1], 0] = (row % 256).to(torch.uint8)
        trust = (1 - after.count / 8).clamp_min(0).float()
        return Transition(after, frame, reward, dead, trust)


class CountingBundle(NamedTuple):
    """Looks like world_models.bundles.bundle.Bundle."""

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
    return CountingBundle(
        model, counting_contexts(), {"spec": model.spec.as_dict()}, Path("counting")
    )


def shown(frames: np.ndarray, pixel: int) -> np.ndarray:
    """The number that counting frames (..., 8, 8, 3) write at a pixel."""
    return np.asarray(frames)[..., 0, pixel, 0].astype(int)


GAUSSIAN_MEAN = torch.tensor([0.3, -0.2, 0.4])[:, None, None]  # of each colour
GAUSSIAN_STD = torch.tensor([0.5, 0.3, 0.4])[:, None, None]


def gaussian_data(lanes: int, size: int) -> Tensor:
    """(lanes, 3, size, size): every pixel for itself, normal with mean and deviation of its
    colour.
    """
    noise = torch.randn(lanes, 3, size, size, generator=torch.Generator().manual_seed(5))
    return GAUSSIAN_MEAN + GAUSSIAN_STD * noise


class GaussianNetwork:
    """What the best of all networks answers under an objective if the data are those of
    `gaussian_data`.
    """

    def __init__(self, objective):
        self.objective = objective

    def posterior(self, x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
        """The mean of x0 given x = alpha x0 + sigma noise."""
        gain = alpha * GAUSSIAN_STD**2 / (alpha**2 * GAUSSIAN_STD**2 + sigma**2)
        return GAUSSIAN_MEAN + gain * (x - alpha * GAUSSIAN_MEAN)

    def __call__(self, x: Tensor, t: Tensor, features: Any) -> Tensor:
        """x as the objective shows it, t (B,) as it tells it -> what it asks for."""
        return getattr(self, type(self.objective).__name__)(x, t[:, None, None, None])

    def EDM(self, x: Tensor, t: Tensor) -> Tensor:
        sigma, data = (4 * t).exp(), self.objective.sigma_data
        total = sigma**2 + data**2
        noisy = x * total.sqrt()
        x0 = self.posterior(noisy, torch.ones_like(sigma), sigma)
        return (
            (x0 - data**2 / total * noisy) / (sigma * data / total.sqrt())
            if self.objective.precondition
            else x0
        )

    def DDPM(self, x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = (
            f(t * self.objective.timesteps) for f in (self.objective.alpha, self.objective.sigma)
        )
        x0 = self.posterior(x, alpha, sigma)
        noise = (x - alpha * x0) / sigma
        if self.objective.prediction == "frame":
            return x0
        return noise if self.objective.prediction == "noise" else alpha * noise - sigma * x0

    def FlowMatching(self, x: Tensor, t: Tensor) -> Tensor:
        x0 = self.posterior(x, 1 - t, t)
        return x0 if self.objective.prediction == "frame" else (x - x0) / t

    def EquilibriumMatching(self, x: Tensor, t: Tensor) -> Tensor:
        """The mean of (noise - x0) c over all gamma that the picture may have: it shows in the
        picture's moments.
        """
        gamma = torch.linspace(0, 1, 201)[1:-1]
        weight = self.level_odds(x, gamma)[..., None, None, None]  # (B, N, 1, 1, 1)
        likely = weight.amax((0, 2, 3, 4)) > 1e-6
        answer = torch.zeros_like(x)
        for g, w, c in zip(
            gamma[likely],
            weight[:, likely].unbind(1),
            self.objective.magnitude(gamma[likely]),
            strict=True,
        ):
            x0 = self.posterior(x, g, 1 - g)
            answer += w * c * (x - x0) / (1 - g)  # noise - x0
        return answer

    def level_odds(self, x: Tensor, gamma: Tensor) -> Tensor:
        """p(gamma | x), (B, N), by Bayes from a uniform one: pixels are independent and normal."""
        count, first, second = (
            x[0, 0].numel(),
            x.sum((2, 3))[:, None],
            x.square().sum((2, 3))[:, None],
        )  # (B, 1, C)
        mean = gamma[:, None] * GAUSSIAN_MEAN.flatten()  # (N, C)
        variance = (gamma[:, None] * GAUSSIAN_STD.flatten()) ** 2 + (1 - gamma[:, None]) ** 2
        error = (second - 2 * mean * first + count * mean**2) / variance
        return (-0.5 * (error + count * variance.log())).sum(2).softmax(1)

    def Regression(self, x: Tensor, t: Tensor) -> Tensor:
        mean = GAUSSIAN_MEAN + 0 * x
        return torch.logit((mean + 1) / 2) if self.objective.error == "bce" else mean
