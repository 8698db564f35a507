"""What the evaluator of every world answers: which state to decode from frames, and which figures
to compute from it.

N transitions, T steps, L lanes, K context frames, H x W x C a frame. `Evaluator` knows no rules and
works for any game; the evaluators of `world_models.evaluation.worlds` override what the rules of
their world make measurable. Frames are decoded batch by batch: what `decode_batch` and
`decode_step` return is all that is kept of them, except for open-loop rollouts, which are few and
kept whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from world_models.evaluation.closed_loop import ClosedLoop
from world_models.evaluation.rollouts import OneStep, Rollouts
from world_models.evaluation.test_split import SplitReader
from world_models.protocols import WorldSpec

CORRECT_PSNR = 25.0  # dB from which a frame of a world without rules counts as correct


class Target(NamedTuple):
    """A figure of evaluation.json that a scorecard shows, and the range that it should reach."""

    path: str  # dotted path of the figure
    title: str
    least: float | None = None  # None: no lower bound
    most: float | None = None
    unit: str = ""  # written behind the number


@dataclass(frozen=True)
class Runs:
    """Everything that was dreamed for an evaluation, and the scores of the closed loops."""

    one_step: OneStep
    random_actions: OneStep
    rollouts: Rollouts
    closed: dict[str, ClosedLoop]
    scores: dict[str, Any] = field(default_factory=dict)


class ExpectedOutcomes(NamedTuple):
    """Outcomes of closed-loop dreams, and those that the rules of the game expect, (M,) each."""

    rewards: np.ndarray
    expected_rewards: np.ndarray
    terminations: np.ndarray
    expected_terminations: np.ndarray


class Moved(NamedTuple):
    """What was done in one step of L games and what came of it, (L,) each."""

    action: np.ndarray
    reward: np.ndarray
    termination: np.ndarray


class GameStep(NamedTuple):
    """What one step of L games was, as far as rewards and frames show it."""

    events: dict[str, np.ndarray]  # (L,) bool, by name
    over: np.ndarray | None = None  # (L,) bool: the rules end the game here; None: nobody knows
    score: np.ndarray | None = None  # (L,) float: the score shown; None: it is the return


class Evaluator:
    """Compares frames, rewards and terminations only: the evaluator of any game without rules."""

    card: ClassVar[tuple[str, ...]] = ("rollout.psnr.32",)
    """Figures of this world that a model card shows, as dotted paths."""

    targets: ClassVar[tuple[Target, ...]] = (
        Target("one_step.psnr", "next frame, PSNR", unit="dB"),
        Target("rollout.psnr.10", "10 steps deep, PSNR", unit="dB"),
        Target("rollout.psnr.32", "32 steps deep, PSNR", unit="dB"),
        Target("action_sensitivity.dream", "action recognized from the dreamed frame"),
        Target("trust.auroc", "trust finds wrong frames, AUROC"),
        Target("policy_ranking.spearman", "policies ranked as in the game, Spearman"),
    )
    """The scorecard of this world. Those of this class are shown for every world."""

    things: Mapping[str, int] = {}
    """How often each thing that `count_things` counts must be in a frame."""

    opposites: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Pairs of actions that undo each other, by name."""

    needs_game: ClassVar[bool] = False
    """Whether `build` needs the real environment."""

    def __init__(self, spec: WorldSpec):
        self.spec = spec

    @classmethod
    def build(cls, spec: WorldSpec, game: Any = None) -> "Evaluator":
        """The evaluator of a world; `game` is its real environment where `needs_game`."""
        return cls(spec)

    def fit(self, episodes: SplitReader, seed: int, transitions: int) -> None:
        """Learn from so many transitions of training episodes before anything is dreamed; by
        default nothing.
        """

    def decode_batch(
        self, context: np.ndarray, real: np.ndarray, dreamed: np.ndarray, action: np.ndarray
    ) -> Any:
        """The state decoded from a batch of transitions: a NamedTuple of arrays (N, ...), or None.

        context (N, K, H, W, C) uint8, real and dreamed (N, H, W, C) uint8; action (N,) led to
        `real`, though the dream may have been given another one.
        """
        return None

    def decode_step(self, before: np.ndarray, after: np.ndarray) -> Any:
        """The state decoded from one step of L closed-loop dreams, frames (L, H, W, C) uint8: a
        NamedTuple of arrays (L, ...), or None.
        """
        return None

    def read(self, frames: np.ndarray) -> Any:
        """What `count_things` and `game_step` need of frames (L, H, W, C) uint8: the decoded state,
        or as here the frames themselves.
        """
        return frames

    def count_things(self, state: Any) -> dict[str, np.ndarray]:
        """(L,) int64 for each of `things`: how many there are, all over the frame."""
        return {}

    def game_step(self, before: Any, moved: Moved, after: Any) -> GameStep:
        """What a step of L games was; `before` and `after` are what `read` returned."""
        return GameStep({"rewards": moved.reward > 0, "penalties": moved.reward < 0})

    def psnr_in_sight(
        self, first: np.ndarray, last: np.ndarray, action: np.ndarray, steps: int
    ) -> np.ndarray | None:
        """(L,) dB: PSNR of `last` to `first`, frames (L, H, W, C) uint8, on the pixels that never
        left the sight when action (L,) was taken so many times and then undone; nan where nothing
        is left. None where nobody knows.
        """
        return None

    def events(self, run: OneStep) -> Tensor:
        """(N,) bool: recorded transitions with an event,
        here a termination or a reward that is not the usual one.
        """
        return (run.real_reward != run.real_reward.mode().values) | run.real_termination

    def score(self, run: ClosedLoop) -> Any:
        """How a closed loop agrees with the rules, or None."""
        return None

    def expected(self, runs: Runs) -> list[ExpectedOutcomes]:
        """The outcomes of closed loops beside the expected ones, where the rules give them."""
        return []

    def rule_figures(self, runs: Runs, generator: np.random.Generator) -> dict:
        """The figures of evaluation.json under `rules`."""
        return {"omitted": "no rules are written for this world"}

    def action_figures(self, runs: Runs) -> dict:
        """How often the action is recognized from (frame, next dreamed frame),
        and from real next frames.
        """
        return {"omitted": "no rules are written for this world"}

    def correctness(self, runs: Runs) -> tuple[Tensor, Tensor]:
        """(trust, correct), (M,) each: the trust of one-step dreams,
        and whether they were correct (bool).
        """
        return runs.one_step.trust, runs.one_step.quality["psnr"] >= CORRECT_PSNR

    def survival_figures(self, run: ClosedLoop, score: Any) -> dict:
        """How long the rules hold in a closed loop; `score` is what `score` returned for it."""
        return {}


def mean(values: Tensor | np.ndarray | Sequence) -> float | None:
    """The mean, None of nothing or where it is not a number."""
    numbers = values.double() if isinstance(values, Tensor) else np.asarray(values, np.float64)
    found = float(numbers.mean()) if len(numbers) else float("nan")
    return None if np.isnan(found) else found


def median(values: np.ndarray) -> float | None:
    """The median, None of nothing."""
    return float(np.median(values)) if len(values) else None


def as_tensor(values: np.ndarray) -> Tensor:
    """A bool array as a tensor that the metrics take."""
    return torch.from_numpy(np.ascontiguousarray(values))
