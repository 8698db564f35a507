"""What every world's judge answers: what to keep of the frames, and which figures it makes of what
was kept.

N transitions, T steps, L lanes, K context frames, H x W x C a frame. `Evaluator` knows no rules:
it is the judge of any game, and each world with rules of its own overrides what it knows better
(snake_judge, pong_rules, map_rules). Frames are looked at batch by batch, while they are there;
what a judge returns from `see` and `follow` is all that is kept of them, except for open-loop
rollouts, whose frames are few and kept whole.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from world_models.evaluation.rollouts import ClosedLoop, OneStep, Rollouts
from world_models.protocols import WorldSpec

RIGHT_PSNR = 25.0  # dB from which a frame of a world without rules counts as right


@dataclass(frozen=True)
class Runs:
    """Everything that was dreamed for an evaluation, and what the judge made of the closed
    loops.
    """

    one_step: OneStep
    random_actions: OneStep
    rollouts: Rollouts
    closed: dict[str, ClosedLoop]
    verdicts: dict[str, Any] = field(default_factory=dict)


class Due(NamedTuple):
    """Outcomes that closed-loop dreams gave, and those that the rules make of them, (M,) each."""

    rewards: np.ndarray
    due_rewards: np.ndarray
    terminations: np.ndarray
    due_terminations: np.ndarray


class Evaluator:
    """Judges pictures, rewards and ends alone: the judge of any game that has none of its own."""

    card: tuple[str, ...] = (
        "rollout.psnr.32",
    )  # figures of this world that a model card shows, as dotted paths
    needs_game = False  # whether `of` needs the real environment

    def __init__(self, spec: WorldSpec):
        self.spec = spec

    @classmethod
    def of(cls, spec: WorldSpec, game=None) -> "Evaluator":
        """The judge of a world; `game` is its real environment where `needs_game`."""
        return cls(spec)

    def study(self, episodes, seed: int) -> None:
        """Looks at training episodes, a `TestSplit` of them, before anything is dreamed; by default
        not at all.
        """

    def see(self, context: np.ndarray, real: np.ndarray, dreamed: np.ndarray, action: np.ndarray):
        """What to keep of a batch of transitions: a NamedTuple of arrays (N, ...), or None.

        context (N, K, H, W, C) uint8, real and dreamed (N, H, W, C) uint8; action (N,) led to
        `real`, though the dream may have been given another.
        """
        return None

    def follow(self, before: np.ndarray, after: np.ndarray):
        """What to keep of a step of L closed-loop dreams, frames (L, H, W, C) uint8: a NamedTuple,
        or None.
        """
        return None

    def events(self, run: OneStep) -> Tensor:
        """(N,) bool: recorded transitions in which something happens; here an end or a reward that
        is not the usual.
        """
        return (run.real_reward != run.real_reward.mode().values) | run.real_termination

    def verdict(self, run: ClosedLoop) -> Any:
        """What the rules say of a closed loop, or None."""
        return None

    def due(self, runs: Runs) -> list[Due]:
        """The outcomes of closed loops beside those that are due, where the rules tell."""
        return []

    def rule_figures(self, runs: Runs, generator: np.random.Generator) -> dict:
        """The figures of evaluation.json under `rules`."""
        return {"omitted": "no rules are written for this world"}

    def action_figures(self, runs: Runs) -> dict:
        """How often the action can be told from (frame, next dreamed frame), and from real next
        frames.
        """
        return {"omitted": "no rules are written for this world"}

    def rightness(self, runs: Runs) -> tuple[Tensor, Tensor]:
        """(trust, right), (M,) each: how far one-step dreams were trusted, and whether they were
        right.
        """
        return runs.one_step.trust, runs.one_step.picture["psnr"] >= RIGHT_PSNR

    def survival_figures(self, run: ClosedLoop, verdict: Any) -> dict:
        """What is left of the rules in a closed loop."""
        return {}


def mean(values: Tensor | np.ndarray | Sequence) -> float | None:
    """The mean, None of nothing or where it is not a number."""
    values = values.double() if isinstance(values, Tensor) else np.asarray(values, np.float64)
    found = float(values.mean()) if len(values) else float("nan")
    return None if np.isnan(found) else found


def median(values: np.ndarray) -> float | None:
    """The median, None of nothing."""
    return float(np.median(values)) if len(values) else None


def as_tensor(values: np.ndarray) -> Tensor:
    """A bool array as a tensor that the metrics take."""
    return torch.from_numpy(np.ascontiguousarray(values))
