"""Snake's figures: dreamed boards held against the rules of snake_rules.py.

N transitions, T steps, L lanes.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from world_models.evaluation import metrics
from world_models.evaluation.evaluator import Due, Evaluator, Runs, mean
from world_models.evaluation.rollouts import ClosedLoop, OneStep
from world_models.evaluation.worlds.snake_rules import (
    FOOD,
    Legality,
    SnakeRules,
    food_ranks,
    same_boards,
)
from world_models.protocols import WorldSpec


class Boards(NamedTuple):
    """Codes (N, G, G) read off frames: before a transition, after it in the recording, after it in
    the dream.
    """

    before: np.ndarray
    real: np.ndarray
    dreamed: np.ndarray


class Steps(NamedTuple):
    """Codes (T, L, G, G) of the boards that a closed loop saw, and of those that it then
    dreamed.
    """

    before: np.ndarray
    after: np.ndarray


class Judged(NamedTuple):
    """What the rules say of closed-loop dreams, (T, L) each.

    Only `playable` boards have a due outcome.
    """

    legality: Legality
    playable: np.ndarray  # the board before was legal and its snake alive
    right: np.ndarray  # playable, and the dreamed board is what the move leads to
    eaten: np.ndarray
    rewards: np.ndarray
    terminations: np.ndarray


class SnakeEvaluator(Evaluator):
    """Legal boards, exact moves, food that is placed by chance, and the action that a move gives
    away.
    """

    card = (
        "rules.transition_exact_rate",
        "rules.one_food_after_eating",
        "rules.food_uniformity_p",
        "survival.*.one_head_one_food",
    )
    needs_game = True

    def __init__(self, rules: SnakeRules):
        self.rules = rules

    @classmethod
    def of(cls, spec: WorldSpec, game=None) -> "SnakeEvaluator":
        """Of the variant of the game that `game`, a RealSnake, is."""
        return cls(SnakeRules(game.decode_frames, game.apples, game.wrap, game.tail_deadly))

    def see(
        self, context: np.ndarray, real: np.ndarray, dreamed: np.ndarray, action: np.ndarray
    ) -> Boards:
        return Boards(*(self.rules.decode(frames) for frames in (context[:, -1], real, dreamed)))

    def follow(self, before: np.ndarray, after: np.ndarray) -> Steps:
        return Steps(self.rules.decode(before), self.rules.decode(after))

    def verdict(self, run: ClosedLoop) -> Judged:
        """Holds every dreamed transition against the rules."""
        rules, (steps, lanes, size, _) = self.rules, run.seen.before.shape
        before, after = (boards.reshape(steps * lanes, size, size) for boards in run.seen)
        rows = []
        for part in np.array_split(np.arange(len(before)), math.ceil(len(before) / 16384)):
            outcome, playable = (
                rules.outcome(before[part], run.actions.reshape(-1)[part]),
                rules.playable(before[part]),
            )
            right = playable & rules.agrees(outcome, after[part])
            eaten = outcome.eaten & playable
            rows.append(
                (
                    *rules.legality(after[part]),
                    playable,
                    right,
                    eaten,
                    outcome.reward,
                    outcome.termination,
                )
            )
        columns = [
            np.concatenate(column).reshape(steps, lanes) for column in zip(*rows, strict=True)
        ]
        return Judged(Legality(*columns[:3]), *columns[3:])

    def due(self, runs: Runs) -> list[Due]:
        found = []
        for name, run in runs.closed.items():
            judged = runs.verdicts[name]
            columns = (run.rewards, judged.rewards, run.terminations, judged.terminations)
            found.append(Due(*(values[judged.playable] for values in columns)))
        return found

    def rule_figures(self, runs: Runs, generator: np.random.Generator) -> dict:
        """What one-step dreams do to the rules, with the recorded actions and with random ones."""
        run, other, rules = runs.one_step, runs.random_actions, self.rules
        b, legality = run.seen, rules.legality(run.seen.dreamed)
        ate, right = _ate(run), right_transitions(run)
        foods = (b.dreamed[ate] == FOOD).sum((1, 2))
        random = rules.agrees(
            rules.outcome(other.seen.before, other.action.numpy()), other.seen.dreamed
        )
        return {
            "one_head": mean(legality.one_head),
            "one_food": mean(legality.one_food),
            "connected": mean(legality.connected),
            "one_food_after_eating": mean(foods == rules.apples),
            "transition_exact_rate": mean(right),
            "transition_exact_rate_not_eating": mean(right[~ate]),
            "transition_exact_rate_random_actions": mean(random),
            "samples": len(right),
            "samples_eating": int(ate.sum()),
            "samples_random_actions": len(random),
            **self._food_figures(runs, generator),
        }

    def _food_figures(self, runs: Runs, generator: np.random.Generator) -> dict:
        """Chi-square on where new food appears, over one-step dreams and closed loops together."""
        run, rules = runs.one_step, self.rules
        if rules.apples != 1:
            return {"food_uniformity_p": None}
        boards = [(run.seen.dreamed, _ate(run) & rules.legality(run.seen.dreamed).all)]
        pairs = [(runs.closed[name].seen.after, judged) for name, judged in runs.verdicts.items()]
        boards += [(after, j.eaten & j.right & j.legality.all) for after, j in pairs]
        ranks = np.concatenate([food_ranks(codes[placed], generator) for codes, placed in boards])
        return {
            "food_uniformity_p": metrics.uniformity_p(torch.from_numpy(ranks)),
            "samples_food": len(ranks),
        }

    def action_figures(self, runs: Runs) -> dict:
        figures, run, other = {}, runs.one_step, runs.random_actions
        b, o = run.seen, other.seen
        sources = {
            "dream": (b.before, b.dreamed, run.action),
            "real": (b.before, b.real, run.action),
            "dream_random_actions": (o.before, o.dreamed, other.action),
        }
        for name, (before, after, action) in sources.items():
            credit, telling = self.rules.recover_action(before, after, action.numpy())
            figures[name], figures[f"samples_{name}"] = mean(credit[telling]), int(telling.sum())
        return figures

    def rightness(self, runs: Runs) -> tuple[Tensor, Tensor]:
        """Legal boards that are what the move leads to, with the recorded actions and with random
        ones.
        """
        run, other, rules = runs.one_step, runs.random_actions, self.rules
        legal = rules.legality(run.seen.dreamed).all & right_transitions(run)
        outcome = rules.outcome(other.seen.before, other.action.numpy())
        lawful = rules.legality(other.seen.dreamed).all & rules.agrees(outcome, other.seen.dreamed)
        return torch.cat([run.trust, other.trust]), torch.from_numpy(
            np.concatenate([legal, lawful])
        )

    def survival_figures(self, run: ClosedLoop, verdict: Judged) -> dict:
        """Shares of valid frames, transitions, dreams (from a context to its end) and lanes."""
        legal, right = verdict.legality.all, verdict.right
        return {
            "one_head_one_food": mean(verdict.legality.one_head & verdict.legality.one_food),
            "legal_frames": mean(legal),
            "transition_exact_rate": mean(right),
            "one_food_after_eating": mean(verdict.legality.one_food[verdict.eaten]),
            "eaten": int(verdict.eaten.sum()),
            "legal_throughout": {
                "lanes": mean(legal.all(0)),
                "dreams": share_of_dreams(legal, run.terminations),
            },
            "right_throughout": {
                "lanes": mean(right.all(0)),
                "dreams": share_of_dreams(right, run.terminations),
            },
        }


def _ate(run: OneStep) -> np.ndarray:
    return (run.real_reward > 0).numpy()


def right_transitions(run: OneStep) -> np.ndarray:
    """(N,) bool: every cell as in the recording, but for the place of new food."""
    return same_boards(run.seen.real, run.seen.dreamed, _ate(run))


def share_of_dreams(good: np.ndarray, ended: np.ndarray) -> float:
    """Share of dreams, cut where `ended` (T, L), whose every step is good (T, L)."""
    number = np.cumsum(ended, 0) - ended  # the dream of its lane that a step belongs to
    number = number + np.arange(ended.shape[1]) * (len(ended) + 1)
    return 1 - len(np.unique(number[~good])) / len(np.unique(number))
