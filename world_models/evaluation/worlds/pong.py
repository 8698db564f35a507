"""Pong's evaluator: ball, paddles and score, decoded from real and dreamed frames. N transitions, R
rollouts, H horizon.

Positions are in pixels of the frame, velocities in pixels a step. What the ball will do is settled
from one serve to the next point, so open-loop positions are compared up to the first point in the
recording or in the dream, in rollouts that do not start on a serve (its direction is chance, and
one frame cannot show it).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from world_models.evaluation import metrics
from world_models.evaluation.closed_loop import ClosedLoop
from world_models.evaluation.evaluator import Evaluator, Runs, Target, as_tensor, mean, median
from world_models.evaluation.rollouts import OneStep, Rollouts
from world_models.protocols import WorldSpec

HORIZONS = (1, 5, 10, 20, 32, 64)
NEAR = 1.0  # pixels within which a dreamed ball or paddle counts as correct
SLOWEST = 0.15  # pixels a step under which a velocity has no sure sign
WHITE = (
    48  # a pixel's least channel above which it belongs to a ball; paddles and pips lack a channel
)
PREVIOUS, LAST, REAL, DREAM = range(4)


class PongState(NamedTuple):
    """The state decoded from frames, ... of them."""

    ball: np.ndarray  # (..., 2) float32 column and row of the centre, nan where there is none
    paddles: (
        np.ndarray
    )  # (..., 2) float32 rows of the left and right centre, nan where there is none
    score: np.ndarray  # (..., 2) int64 left and right
    white: np.ndarray  # (...,) float64 how much of the frame is ball: two balls have twice as much

    @property
    def complete(self) -> np.ndarray:
        """(...) bool: the ball and both paddles are seen."""
        missing = np.isnan(self.ball).any(-1) | np.isnan(self.paddles).any(-1)
        return np.asarray(~missing)


class PongEvaluator(Evaluator):
    """`decode` turns frames (B, H, W, 3) uint8 into (ball, left, right, left score, right score),
    as RealPong's does.

    The agent's paddle is the right one.
    """

    card = (
        "rules.one_ball",
        "rules.two_paddles",
        "rules.rollout.ball_error.32",
        "rules.rollout.paddle_error.32",
        "rules.bounce_accuracy",
        "rules.score_events.rollout.f1",
    )
    needs_game = True
    targets = (
        Target("rules.rollout.ball_error.1", "ball error after 1 step", unit="px"),
        Target("rules.rollout.ball_error.32", "ball error after 32 steps", most=1, unit="px"),
        Target("rules.score_events.one_step.f1", "points, F1", 0.98),
        Target("rules.score_events.rollout.f1", "points in rollouts, F1", 0.98),
        Target("rules.bounce_accuracy", "bounces correct"),
        Target("survival.scripted.ball_and_paddles", "ball and paddles there: scripted play"),
    )

    def __init__(
        self,
        decode: Callable[[np.ndarray], tuple],
        action_names: tuple[str, ...] = ("stay", "up", "down"),
    ):
        self.decode, self.actions = decode, len(action_names)

    @classmethod
    def build(cls, spec: WorldSpec, game: Any = None) -> "PongEvaluator":
        """With the decoder of `game`, a RealPong."""
        return cls(game.decode_frames, spec.action_names)

    def state(self, frames: np.ndarray) -> PongState:
        """The state decoded from (..., H, W, 3) uint8 frames."""
        flat = frames.reshape(-1, *frames.shape[-3:])
        ball, left, right, *score = self.decode(flat)
        white = np.maximum(flat.min(-1).astype(np.int64) - WHITE, 0).sum((1, 2)) / 255
        found = PongState(ball, np.stack([left, right], 1), np.stack(score, 1), white)
        return PongState(
            *(values.reshape(*frames.shape[:-3], *values.shape[1:]) for values in found)
        )

    def decode_batch(
        self, context: np.ndarray, real: np.ndarray, dreamed: np.ndarray, action: np.ndarray
    ) -> PongState:
        """(N, 4) states: the frame before the last, the last, the real next and the dreamed next
        one.
        """
        return self.state(np.stack([context[:, -2:][:, 0], context[:, -1], real, dreamed], 1))

    def decode_step(self, before: np.ndarray, after: np.ndarray) -> PongState:
        return self.state(after)

    def events(self, run: OneStep) -> Tensor:
        """Points, ends and bounces."""
        return super().events(run) | as_tensor(
            _scored(run.decoded) | _bounces(run.decoded, REAL).any(1)
        )

    def rule_figures(self, runs: Runs, generator: np.random.Generator) -> dict:
        run = runs.one_step
        decoded, opened, states = run.decoded, runs.rollouts, self._states(runs.rollouts)
        one_ball, paddles = self._valid(at(decoded, DREAM), at(decoded, REAL))
        return {
            "one_ball": mean(one_ball),
            "two_paddles": mean(paddles),
            **position_errors(at(decoded, REAL), at(decoded, DREAM), ~_scored(decoded)),
            "rollout": rollout_errors(opened, *states),
            **bounce_figures(decoded, opened, *states),
            "score_events": {
                "one_step": point_figures(run),
                "rollout": rollout_points(opened, *states),
            },
            "samples": len(one_ball),
        }

    def _states(self, opened: Rollouts) -> tuple[PongState, PongState]:
        """States (R, H + 2) of the recording and of the dream; the first frame is the one before
        the start.
        """
        both = []
        for frames in (opened.real_frames, opened.frames):
            rows = [
                np.concatenate([e[None], f])
                for e, f in zip(opened.earlier.numpy(), frames.numpy(), strict=True)
            ]
            states = [self.state(row) for row in rows]
            both.append(PongState(*(np.stack(column) for column in zip(*states, strict=True))))
        return both[0], both[1]

    def _valid(self, dream: PongState, real: PongState) -> tuple[np.ndarray, np.ndarray]:
        """(N,) bool each: exactly one ball, both paddles."""
        most = 1.5 * real.white.max(initial=0)
        one = ~np.isnan(dream.ball).any(-1) & (dream.white <= most)
        return one, np.asarray(~np.isnan(dream.paddles).any(-1))

    def action_figures(self, runs: Runs) -> dict:
        """The action is recognized by how far the right paddle moved: the action whose real moves
        are nearest on average.
        """
        run, other = runs.one_step, runs.random_actions
        moves, action = _moves(run.decoded, REAL), run.action.numpy()
        usual = np.array([np.nanmedian(moves[action == a]) if (action == a).any() else np.nan
                          for a in range(self.actions)])  # fmt: skip
        figures = {}
        for name, source, frame in (
            ("dream", run, DREAM),
            ("real", run, REAL),
            ("dream_random_actions", other, DREAM),
        ):
            decisive = self._decisive(source.decoded, run.decoded, usual) & (
                True if source is other else ~_scored(run.decoded)
            )
            moved = np.where(decisive, _moves(source.decoded, frame), np.nan)[decisive]
            near = np.abs(np.nan_to_num(moved, nan=1e3)[:, None] - usual)
            correct = np.nan_to_num(near, nan=np.inf).argmin(1) == source.action.numpy()[decisive]
            figures[name], figures[f"samples_{name}"] = mean(correct), int(decisive.sum())
        return figures

    def _decisive(self, decoded: PongState, known: PongState, usual: np.ndarray) -> np.ndarray:
        """(N,) bool: the right paddle has room to move both ways."""
        rows, reach = known.paddles[:, [LAST, REAL], 1], np.nanmax(np.abs(usual))
        last = decoded.paddles[:, LAST, 1]
        return (last >= np.nanmin(rows) + reach) & (last <= np.nanmax(rows) - reach)

    def correctness(self, runs: Runs) -> tuple[Tensor, Tensor]:
        """Ball and paddles within a pixel and the score as in the game."""
        decoded = runs.one_step.decoded
        real, dream = at(decoded, REAL), at(decoded, DREAM)
        near = (_distance(real.ball, dream.ball) <= NEAR) & (
            np.abs(real.paddles - dream.paddles) <= NEAR
        ).all(1)
        return runs.one_step.trust, as_tensor(near & (real.score == dream.score).all(1))

    def survival_figures(self, run: ClosedLoop, score: Any) -> dict:
        return {
            "ball_and_paddles": mean(run.decoded.complete),
            "mean_white": mean(run.decoded.white),  # steady where balls neither split nor fade
            "complete_throughout": mean(run.decoded.complete.all(0)),
        }


def at(decoded: PongState, frame: int) -> PongState:
    """One of the four frames of (N, 4) states."""
    return PongState(*(values[:, frame] for values in decoded))


def _distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between places (..., 2); nan where one is missing."""
    return np.sqrt(np.square(a - b).sum(-1))


def _scored(decoded: PongState) -> np.ndarray:
    """(N,) bool: a point was made in the recording or in the dream, so that chance serves anew."""
    return (decoded.score[:, REAL:] != decoded.score[:, [LAST]]).any((1, 2))


def _moves(decoded: PongState, frame: int) -> np.ndarray:
    """(N,) rows that the right paddle moved."""
    return decoded.paddles[:, frame, 1] - decoded.paddles[:, LAST, 1]


def _turns(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(..., 2) bool: velocities (..., 2) that change their sign."""
    return (before * after < 0) & (np.abs(before) > SLOWEST) & (np.abs(after) > SLOWEST)


def _bounces(decoded: PongState, frame: int) -> np.ndarray:
    """(N, 2) bool: the ball turns, across or up and down, in the step to `frame`; not where a point
    is made.
    """
    before, after = (
        decoded.ball[:, LAST] - decoded.ball[:, PREVIOUS],
        decoded.ball[:, frame] - decoded.ball[:, LAST],
    )
    same = (decoded.score == decoded.score[:, :1]).all((1, 2))
    return _turns(before, after) & same[:, None]


def position_errors(real: PongState, dream: PongState, rows: np.ndarray) -> dict:
    """One-step errors in pixels of the (N,) transitions in `rows` (N,) bool; a missing ball or
    paddle is counted apart.
    """
    ball = _distance(real.ball, dream.ball)[rows]
    paddle = np.abs(real.paddles - dream.paddles).mean(-1)[rows]
    return {
        "ball_error": mean(ball[~np.isnan(ball)]),
        "ball_error_median": median(ball[~np.isnan(ball)]),
        "ball_missing": mean(np.isnan(ball)),
        "paddle_error": mean(paddle[~np.isnan(paddle)]),
        "samples_positions": int(rows.sum()),
    }


def in_play(opened: Rollouts, real: PongState, dream: PongState) -> np.ndarray:
    """(R, H) bool: no point yet in either after this many steps, and the start was no serve."""
    same = (real.score == real.score[:, :1]).all(-1) & (dream.score == real.score[:, :1]).all(
        -1
    )  # (R, H + 2)
    served = (
        (opened.earlier == opened.real_frames[:, 0]).flatten(1).all(1).numpy()
    )  # an episode's first frame
    going = opened.real_running.numpy() & opened.running.numpy()
    return np.logical_and.accumulate(same, 1)[:, 2:] & ~served[:, None] & going


def rollout_errors(opened: Rollouts, real: PongState, dream: PongState) -> dict:
    """Errors in pixels after h steps of those rollouts that are still in play; see the module."""
    play, figures = in_play(opened, real, dream), {}
    for h in (h for h in HORIZONS if h <= play.shape[1]):
        rows = play[:, h - 1]
        found = position_errors(_after(real, h), _after(dream, h), rows)
        for name, value in found.items():
            figures.setdefault(name, {})[str(h)] = value
    figures["samples"] = figures.pop("samples_positions")
    return figures


def _after(states: PongState, steps: int) -> PongState:
    """(R,) states after so many steps of rollouts (R, H + 2)."""
    return PongState(*(values[:, steps + 1] for values in states))


def bounce_figures(decoded: PongState, opened: Rollouts, real: PongState, dream: PongState) -> dict:
    """Share of the recording's bounces that the dream makes too: in the same step (one step), one
    sooner or later (open loop: `bounce_recall`); `bounce_precision` the share of the dream's that
    the recording has, and `bounce_accuracy` the harmonic mean of both, so that a ball that trembles
    gets nothing for it.
    """
    expected, made = (_bounces(decoded, frame) for frame in (REAL, DREAM))
    play = in_play(opened, real, dream)[:, :, None]
    turns = [
        _turns(v[:, :-1], v[:, 1:]) & play for v in (np.diff(t.ball, axis=1) for t in (real, dream))
    ]  # (R, H, 2)
    soon = [
        t | np.pad(t, ((0, 0), (1, 0), (0, 0)))[:, :-1] | np.pad(t, ((0, 0), (0, 1), (0, 0)))[:, 1:]
        for t in turns
    ]
    ends = np.pad(
        play[:, 1:], ((0, 0), (0, 1), (0, 0))
    )  # a bounce in the last step in play may lack its neighbour
    (real_turns, dream_turns), (real_soon, dream_soon) = [t & ends for t in turns], soon
    recall, precision = mean(dream_soon[real_turns]), mean(real_soon[dream_turns])
    return {
        "bounce_accuracy_one_step": mean(made[expected]),
        "samples_bounces_one_step": int(expected.sum()),
        "bounce_accuracy": _harmonic(recall, precision),
        "bounce_recall": recall,
        "bounce_precision": precision,
        "samples_bounces": int(real_turns.sum()),
    }


def _harmonic(recall: float | None, precision: float | None) -> float | None:
    """Their harmonic mean; None where there was nothing to find, 0 where nothing of it was
    found.
    """
    if recall is None:
        return None
    return 2 * recall * precision / (recall + precision) if precision and recall else 0.0


def point_figures(run: OneStep) -> dict:
    """Points of either side in one step, by the reward's sign and by the pips."""
    lit = run.decoded.score[:, REAL:] - run.decoded.score[:, [LAST]]  # (N, 2 frames, 2 sides)
    pips = metrics.class_score(
        as_tensor(lit[:, 1] > 0).flatten(), as_tensor(lit[:, 0] > 0).flatten()
    )
    rewards = [
        torch.stack([r <= -0.5, r >= 0.5], 1).flatten() for r in (run.reward, run.real_reward)
    ]
    return {**metrics.class_score(*rewards)._asdict(), "pips": pips._asdict(), "samples": len(lit)}


def rollout_points(opened: Rollouts, real: PongState, dream: PongState) -> dict:
    """The first point of each rollout that does not start on a serve: correct if it is the same
    side's, at most one step sooner or later. `pips` the same by the score in the frames.
    """
    rows = (real.score[:, 0] == real.score[:, 1]).all(1)
    rows &= ~(opened.earlier == opened.real_frames[:, 0]).flatten(1).all(1).numpy()
    rewards = [r.numpy() for r in (opened.rewards, opened.real_rewards)]
    lit = [np.diff(t.score[:, 1:], axis=1) for t in (dream, real)]  # (R, H, 2)
    signs = [(change[..., 1] > 0) * 1 - (change[..., 0] > 0) * 1 for change in lit]
    length = opened.real_running.numpy().sum(1)
    dreamed, recorded = (np.rint(reward).astype(int)[rows] for reward in rewards)
    return {
        **_first_points(dreamed, recorded, length[rows]),
        "pips": _first_points(signs[0][rows], signs[1][rows], length[rows]),
        "samples": int(rows.sum()),
    }


def _first_points(dream: np.ndarray, real: np.ndarray, length: np.ndarray) -> dict:
    """Precision, recall and F1 of the first points in (R, H) signs; a dream counts as long as the
    recording goes.
    """
    steps = dream.shape[1]
    first = [np.where((s != 0).any(1), (s != 0).argmax(1), steps + 9) for s in (dream, real)]
    sides = [
        s[np.arange(len(s)), np.minimum(f, steps - 1)]
        for s, f in zip((dream, real), first, strict=True)
    ]
    claimed, expected = first[0] < np.minimum(length, steps), first[1] < steps
    hits = int(
        (claimed & expected & (np.abs(first[0] - first[1]) <= 1) & (sides[0] == sides[1])).sum()
    )
    return {
        "precision": hits / claimed.sum() if claimed.any() else None,
        "recall": hits / expected.sum() if expected.any() else None,
        "f1": 2 * hits / (claimed.sum() + expected.sum())
        if claimed.any() or expected.any()
        else None,
        "support": int(expected.sum()),
    }
