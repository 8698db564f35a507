"""Samplers: from noise to a frame. Each is a few numbers, called with objective, network and noise.

B lanes. x0 is the objective's estimate of the clean frame at a level, so each step is written once
for all paths x = alpha x0 + sigma noise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from collectors.settings.parse import check_settings, setting
from world_models.diffusion.objectives import (
    DDPM,
    EDM,
    OBJECTIVES,
    EquilibriumMatching,
    FlowMatching,
    Objective,
    Path,
    Regression,
)
from world_models.noise import Draws
from world_models.protocols import Features, Network


@dataclass(frozen=True)
class Sampler(ABC):
    """From noise to a frame, a few numbers. `objectives` are those that it can sample."""

    objectives: ClassVar[tuple[type[Objective], ...]] = (EDM, DDPM, FlowMatching)

    steps: int = setting(3, "denoising steps")

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"a sampler takes at least one step, got {self.steps}")

    @abstractmethod
    def __call__(
        self, objective: Objective, network: Network, draws: Draws, features: Features
    ) -> Tensor:
        """A frame (B, ...) of the shape of the draws; draws(0) is what it starts from."""


def walk(path: Path, steps: int, draws: Draws) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """The noise (B, ...) to start from, and the pairs of neighboring levels, scalars."""
    noise = draws(0)
    levels = path.levels(steps, noise.device).to(noise.dtype)
    return noise * path.sigma(levels[0]), list(zip(levels[:-1], levels[1:], strict=True))


def ddim(path: Path, x: Tensor, x0: Tensor, now: Tensor, after: Tensor) -> Tensor:
    """x at the next level, from the estimate x0 at this one (Song, Meng & Ermon 2020,
    arXiv:2010.02502, eq. 12).

    For EDM and for flow matching it is exactly an Euler step.
    """
    return path.alpha(after) * x0 + (x - path.alpha(now) * x0) * (
        path.sigma(after) / path.sigma(now)
    )


@dataclass(frozen=True)
class Euler(Sampler):
    """Euler steps on the probability-flow ODE (Karras et al. 2022, algorithm 1 without its
    correction), or DDIM.
    """

    def __call__(
        self, objective: Path, network: Network, draws: Draws, features: Features
    ) -> Tensor:
        x, pairs = walk(objective, self.steps, draws)
        for now, after in pairs:
            x0 = objective.denoise(network, x, now.expand(len(x)), features)
            x = ddim(objective, x, x0, now, after)
        return x


@dataclass(frozen=True)
class Heun(Sampler):
    """Karras et al. 2022, algorithm 1, on any path: dx = x0 d(alpha) + noise d(sigma), each the
    mean of both ends of a step.

    Two calls per step, one for the last: 2 steps - 1 in all.
    """

    def __call__(
        self, objective: Path, network: Network, draws: Draws, features: Features
    ) -> Tensor:
        x, pairs = walk(objective, self.steps, draws)
        for now, after in pairs:
            first = objective.denoise(network, x, now.expand(len(x)), features)
            ahead = ddim(objective, x, first, now, after)
            if after is not pairs[-1][1]:
                second = objective.denoise(network, ahead, after.expand(len(x)), features)
                alpha, sigma = (f(after) - f(now) for f in (objective.alpha, objective.sigma))
                noise = noise_of(objective, x, first, now) + noise_of(
                    objective, ahead, second, after
                )
                ahead = x + alpha * (first + second) / 2 + sigma * noise / 2
            x = ahead
        return x


def noise_of(path: Path, x: Tensor, x0: Tensor, t: Tensor) -> Tensor:
    """The noise in x at level t > 0, if x0 is the frame in it."""
    return (x - path.alpha(t) * x0) / path.sigma(t)


@dataclass(frozen=True)
class Ancestral(Sampler):
    """Steps that add noise again: eta 1 is the posterior of DDPM, eta 0 is DDIM (Song, Meng &
    Ermon 2020, eq. 12 and 16).
    """

    steps: int = setting(20, "denoising steps")
    eta: float = setting(1.0, "noise that is added again: 1 is the posterior of DDPM, 0 is DDIM")

    def __call__(
        self, objective: Path, network: Network, draws: Draws, features: Features
    ) -> Tensor:
        x, pairs = walk(objective, self.steps, draws)
        for step, (now, after) in enumerate(pairs, 1):
            x0 = objective.denoise(network, x, now.expand(len(x)), features)
            sigma, share = objective.sigma(after), objective.alpha(now) / objective.alpha(after)
            kept = share * sigma / objective.sigma(now)  # of the noise that is there
            fresh = self.eta * sigma * (1 - kept**2).clamp_min(0).sqrt()
            old = (sigma**2 - fresh**2).clamp_min(0).sqrt()
            x = objective.alpha(after) * x0 + old * noise_of(objective, x, x0, now)
            x = x + fresh * draws(step) if step < len(pairs) else x
        return x


@dataclass(frozen=True)
class Descent(Sampler):
    """Down the learned gradient f of equilibrium matching (Wang & Du 2025, arXiv:2510.02300,
    section 3.3).

    - gd: x <- x - rate f(x)
    - nag: x <- x - rate f(x + momentum (x - x_before)): the paper's; the gradient is read ahead but
      not accumulated. (Its code writes the same with m the last gradient: look = x + rate momentum
      m; m = f(look); x += rate m.)
    - nesterov: v <- momentum v - rate f(x + momentum v); x <- x + v: Sutskever et al. 2013, eq. 3
      and 4. v accumulates, so a step is up to 1 / (1 - momentum) times as long, and rate should be
      smaller by as much.

    A sample stops for good once the root mean square of f falls below `threshold`; with 0 it never
    does. A rate above the objective's `stride` may overshoot.
    """

    objectives: ClassVar[tuple[type[Objective], ...]] = (EquilibriumMatching,)

    steps: int = setting(20, "of descent, at most")
    method: Literal["gd", "nag", "nesterov"] = setting(
        "gd", "gradient descent, with the gradient read ahead, or with Nesterov's momentum"
    )
    rate: float = setting(0.05, "step size")
    momentum: float = setting(0.3, "of nag and nesterov")
    threshold: float = setting(
        0.05, "root mean square of the gradient below which a sample stops; 0: never"
    )

    def __post_init__(self):
        super().__post_init__()
        check_settings(self)

    def __call__(
        self, objective: EquilibriumMatching, network: Network, draws: Draws, features: Features
    ) -> Tensor:
        x = draws(0)
        moved, awake = torch.zeros_like(x), torch.ones(len(x), dtype=torch.bool, device=x.device)
        momentum = 0.0 if self.method == "gd" else self.momentum
        for _ in range(self.steps):
            field = objective.field(network, x + momentum * moved, features)
            awake = awake & (field.flatten(1).square().mean(1).sqrt() >= self.threshold)
            step = -self.rate * field
            moved = momentum * moved + step if self.method == "nesterov" else step
            moved = torch.where(awake[(...,) + (None,) * (x.ndim - 1)], moved, 0.0)
            x = x + moved
        return x


@dataclass(frozen=True)
class Direct(Sampler):
    """One call, nothing random."""

    objectives: ClassVar[tuple[type[Objective], ...]] = (Regression,)

    steps: int = setting(1, "one call")

    def __post_init__(self):
        if self.steps != 1:
            raise ValueError(
                f"this model makes a frame in one call; {self.steps} sampler steps do not fit it"
            )

    def __call__(
        self, objective: Objective, network: Network, draws: Draws, features: Features
    ) -> Tensor:
        blank = draws.blank()
        return objective.denoise(network, blank, blank.new_zeros(len(blank)), features)


SAMPLERS: dict[str, type[Sampler]] = {
    "euler": Euler,
    "heun": Heun,
    "ancestral": Ancestral,
    "descent": Descent,
    "direct": Direct,
}


def check_fit(objective: Objective, sampler: Sampler) -> None:
    """Raises ValueError, naming what fits, if the sampler cannot sample the objective."""
    if isinstance(objective, sampler.objectives):
        return
    names: dict[type, str] = {kind: name for name, kind in (*OBJECTIVES.items(), *SAMPLERS.items())}
    samplers = ", ".join(
        name for name, kind in SAMPLERS.items() if isinstance(objective, kind.objectives)
    )
    objectives = ", ".join(names[kind] for kind in sampler.objectives)
    mine, theirs = names[type(sampler)], names[type(objective)]
    raise ValueError(
        f"sampler {mine} samples {objectives}, not {theirs}; objective {theirs} is sampled by "
        f"{samplers}"
    )
