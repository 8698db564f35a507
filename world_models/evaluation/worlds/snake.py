"""Snake's evaluator: dreamed boards compared with the rules of collectors.worlds.snake.rules.

N transitions, T steps, L lanes.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from collectors.worlds.snake.rules import (
    HEAD,
    Legality,
    SnakeRules,
    food_ranks,
    same_boards,
)
from world_models.evaluation import metrics
from world_models.evaluation.closed_loop import ClosedLoop
from world_models.evaluation.evaluator import (
    Evaluator,
    ExpectedOutcomes,
    GameStep,
    Moved,
    Runs,
    Target,
    mean,
)
from world_models.evaluation.rollouts import OneStep
from world_models.protocols import WorldSpec


class Boards(NamedTuple):
    """Codes (N, G, G) decoded from frames: before a transition,
    after it in the recording, after it in the dream.
    """

    before: np.ndarray
    real: np.ndarray
    dreamed: np.ndarray


class Steps(NamedTuple):
    """Codes (T, L, G, G) of the boards before each step of a closed loop, and after it."""

    before: np.ndarray
    after: np.ndarray


class ClosedLoopScores(NamedTuple):
    """How closed-loop dreams agree with the rules, (T, L) each.

    Only `playable` boards have an expected outcome.
    """

    legality: Legality
    playable: np.ndarray  # the board before was legal and its snake alive
    correct: np.ndarray  # playable, and the dreamed board is what the move leads to
    eaten: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray


class SnakeEvaluator(Evaluator):
    """Measures legal boards, exact moves, where new food is placed,
    and whether a move shows its action.
    """

    card = (
        "rules.transition_exact_rate",
        "rules.one_food_after_eating",
        "rules.food_uniformity_p",
        "survival.*.one_head_one_food",
    )
    needs_game = True
    targets = (
        Target("rules.transition_exact_rate", "next frame exact where nothing is random", 0.995),
        Target(
            "rules.transition_exact_rate_random_actions",
            "next frame exact after a random action",
            0.995,
        ),
        Target("rules.one_food_after_eating", "exactly one food after eating", 0.995),
        Target("survival.random.one_head_one_food", "one head, one food: random play", 0.9995),
        Target("survival.astar.one_head_one_food", "one head, one food: A*", 0.9995),
        Target("rules.food_uniformity_p", "food placed uniformly, p", 0.01),
        Target("reward.one_step.classes.-1.f1", "reward -1, F1", 0.99),
        Target("reward.one_step.classes.1.f1", "reward 1, F1", 0.99),
        Target("termination.one_step.f1", "game over, F1", 0.99),
    )

    def __init__(self, rules: SnakeRules):
        self.rules = rules
        self.things = {"heads": 1, "foods": rules.apples, "tails": 1}

    @classmethod
    def build(cls, spec: WorldSpec, game: Any = None) -> "SnakeEvaluator":
        """Of the variant of the game that `game`, a RealSnake, is."""
        return cls(SnakeRules(game.decode_frames, game.apples, game.wrap, game.tail_deadly))

    def decode_batch(
        self, context: np.ndarray, real: np.ndarray, dreamed: np.ndarray, action: np.ndarray
    ) -> Boards:
        return Boards(*(self.rules.decode(frames) for frames in (context[:, -1], real, dreamed)))

    def decode_step(self, before: np.ndarray, after: np.ndarray) -> Steps:
        return Steps(self.rules.decode(before), self.rules.decode(after))

    def read(self, frames: np.ndarray) -> np.ndarray:
        return self.rules.decode(frames)

    def count_things(self, state: np.ndarray) -> dict[str, np.ndarray]:
        """Heads, foods and tails; a board without room for its food counts as having it."""
        return self.rules.counts(state)

    def game_step(self, before: np.ndarray, moved: Moved, after: np.ndarray) -> GameStep:
        """The score is the length of the snake; rules say of legal boards only what ends them."""
        over = self.rules.playable(before) & self.rules.outcome(before, moved.action).termination
        events = {"meals": moved.reward > 0, "deaths": moved.reward < 0}
        return GameStep(events, over, (after >= HEAD).sum((1, 2)).astype(np.float64))

    def score(self, run: ClosedLoop) -> ClosedLoopScores:
        """Compares every dreamed transition with the rules."""
        rules, (steps, lanes, size, _) = self.rules, run.decoded.before.shape
        before, after = (boards.reshape(steps * lanes, size, size) for boards in run.decoded)
        rows = []
        for part in np.array_split(np.arange(len(before)), math.ceil(len(before) / 16384)):
            outcome = rules.outcome(before[part], run.actions.reshape(-1)[part])
            playable = rules.playable(before[part])
            correct = playable & rules.agrees(outcome, after[part])
            eaten = outcome.eaten & playable
            rows.append(
                (
                    *rules.legality(after[part]),
                    playable,
                    correct,
                    eaten,
                    outcome.reward,
                    outcome.termination,
                )
            )
        columns = [
            np.concatenate(column).reshape(steps, lanes) for column in zip(*rows, strict=True)
        ]
        return ClosedLoopScores(Legality(*columns[:3]), *columns[3:])

    def expected(self, runs: Runs) -> list[ExpectedOutcomes]:
        found = []
        for name, run in runs.closed.items():
            score = runs.scores[name]
            columns = (run.rewards, score.rewards, run.terminations, score.terminations)
            found.append(ExpectedOutcomes(*(values[score.playable] for values in columns)))
        return found

    def rule_figures(self, runs: Runs, generator: np.random.Generator) -> dict:
        """How one-step dreams keep the rules, with the recorded actions and with random ones."""
        run, other, rules = runs.one_step, runs.random_actions, self.rules
        legality = rules.legality(run.decoded.dreamed)
        ate, correct = _ate(run), correct_transitions(run)
        random = rules.agrees(
            rules.outcome(other.decoded.before, other.action.numpy()), other.decoded.dreamed
        )
        return {
            "one_head": mean(legality.one_head),
            "one_food": mean(legality.one_food),
            "connected": mean(legality.connected),
            "one_food_after_eating": mean(legality.one_food[ate]),
            "transition_exact_rate": mean(correct),
            "transition_exact_rate_not_eating": mean(correct[~ate]),
            "transition_exact_rate_random_actions": mean(random),
            "samples": len(correct),
            "samples_eating": int(ate.sum()),
            "samples_random_actions": len(random),
            **self._food_figures(runs, generator),
        }

    def _food_figures(self, runs: Runs, generator: np.random.Generator) -> dict:
        """Chi-square on where new food appears, over one-step dreams and closed loops together."""
        run, rules = runs.one_step, self.rules
        if rules.apples != 1:
            return {"food_uniformity_p": None}
        boards = [(run.decoded.dreamed, _ate(run) & rules.legality(run.decoded.dreamed).all)]
        pairs = [(runs.closed[name].decoded.after, score) for name, score in runs.scores.items()]
        boards += [(after, s.eaten & s.correct & s.legality.all) for after, s in pairs]
        ranks = np.concatenate([food_ranks(codes[placed], generator) for codes, placed in boards])
        return {
            "food_uniformity_p": metrics.uniformity_p(torch.from_numpy(ranks)),
            "samples_food": len(ranks),
        }

    def action_figures(self, runs: Runs) -> dict:
        figures, run, other = {}, runs.one_step, runs.random_actions
        b, o = run.decoded, other.decoded
        sources = {
            "dream": (b.before, b.dreamed, run.action),
            "real": (b.before, b.real, run.action),
            "dream_random_actions": (o.before, o.dreamed, other.action),
        }
        for name, (before, after, action) in sources.items():
            credit, decisive = self.rules.recover_action(before, after, action.numpy())
            figures[name], figures[f"samples_{name}"] = mean(credit[decisive]), int(decisive.sum())
        return figures

    def correctness(self, runs: Runs) -> tuple[Tensor, Tensor]:
        """Correct boards are legal and what the move leads to;
        with the recorded actions and with random ones.
        """
        run, other, rules = runs.one_step, runs.random_actions, self.rules
        legal = rules.legality(run.decoded.dreamed).all & correct_transitions(run)
        outcome = rules.outcome(other.decoded.before, other.action.numpy())
        lawful = rules.legality(other.decoded.dreamed).all & rules.agrees(
            outcome, other.decoded.dreamed
        )
        return torch.cat([run.trust, other.trust]), torch.from_numpy(
            np.concatenate([legal, lawful])
        )

    def survival_figures(self, run: ClosedLoop, score: ClosedLoopScores) -> dict:
        """Shares of valid frames, transitions, dreams (from a context to its end) and lanes."""
        legal, correct = score.legality.all, score.correct  # (T, L) each
        return {
            "one_head_one_food": mean(score.legality.one_head & score.legality.one_food),
            "legal_frames": mean(legal),
            "transition_exact_rate": mean(correct),
            "one_food_after_eating": mean(score.legality.one_food[score.eaten]),
            "eaten": int(score.eaten.sum()),
            "legal_throughout": {
                "lanes": mean(np.asarray(legal.all(0))),
                "dreams": share_of_dreams(legal, run.terminations),
            },
            "right_throughout": {
                "lanes": mean(np.asarray(correct.all(0))),
                "dreams": share_of_dreams(correct, run.terminations),
            },
        }


def _ate(run: OneStep) -> np.ndarray:
    return (run.real_reward > 0).numpy()


def correct_transitions(run: OneStep) -> np.ndarray:
    """(N,) bool: every cell as in the recording, but for the place of new food."""
    return same_boards(run.decoded.real, run.decoded.dreamed, _ate(run))


def share_of_dreams(good: np.ndarray, ended: np.ndarray) -> float:
    """Share of dreams, cut where `ended` (T, L), whose every step is good (T, L)."""
    number = np.cumsum(ended, 0) - ended  # the dream of its lane that a step belongs to
    number = number + np.arange(ended.shape[1]) * (len(ended) + 1)
    return 1 - len(np.unique(number[~good])) / len(np.unique(number))
