"""Pong's figures: pure functions of the states decoded from frames.

N transitions, R rollouts, H horizon.

Positions are in pixels of the frame, velocities in pixels per step. What the ball will do is
certain from one serve to the next point, so open-loop positions are compared up to the first point
in the recording or in the dream, in rollouts that do not start on a serve (its direction is chance,
and one frame cannot show it).
"""

from typing import NamedTuple

import numpy as np
import torch

from world_models.evaluation import metrics
from world_models.evaluation.evaluator import as_tensor, mean, median
from world_models.evaluation.rollouts import OneStep, Rollouts

HORIZONS = (1, 5, 10, 20, 32, 64)
SLOWEST = 0.15  # pixels per step under which a velocity has no certain sign
JUMP = 4.0  # pixels; a ball flies at most 3.4 per step
PREVIOUS, LAST, REAL, DREAM = range(4)


class PongState(NamedTuple):
    """The state decoded from frames, ... of them."""

    ball: np.ndarray  # (..., 2) float32 column and row of the center, nan where there is none
    paddles: np.ndarray  # (..., 2) float32 rows of the left and right center, nan for a missing one
    score: np.ndarray  # (..., 2) int64 left and right
    white: np.ndarray  # (...,) float64 how much of the frame is ball: two balls have twice as much

    @property
    def complete(self) -> np.ndarray:
        """(...) bool: the ball and both paddles are there."""
        missing = np.isnan(self.ball).any(-1) | np.isnan(self.paddles).any(-1)
        return np.asarray(~missing)


def at(decoded: PongState, frame: int) -> PongState:
    """One of the four frames of (N, 4) states."""
    return PongState(*(values[:, frame] for values in decoded))


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Between places (..., 2); nan where one is missing."""
    return np.sqrt(np.square(a - b).sum(-1))


def scored(decoded: PongState) -> np.ndarray:
    """(N,) bool: a point was made in the recording or in the dream, so that chance serves anew."""
    return (decoded.score[:, REAL:] != decoded.score[:, [LAST]]).any((1, 2))


def ball_jumps(decoded: PongState, rewards: np.ndarray, over: np.ndarray) -> float:
    """How often per 10 000 steps of states (T, L) the ball moves more than `JUMP` pixels, while
    no point is made (rewards (T, L)) and no dream begins (`over` (T, L), after the step).
    """
    serve = (np.abs(rewards[1:]) > 0) | over[:-1] | (np.diff(decoded.score, axis=0) != 0).any(-1)
    jump = distance(decoded.ball[1:], decoded.ball[:-1]) > JUMP  # never of a ball that is missing
    return 10_000 * float((jump & ~serve).mean())


def paddle_moves(decoded: PongState, frame: int) -> np.ndarray:
    """(N,) rows that the right paddle moved."""
    return decoded.paddles[:, frame, 1] - decoded.paddles[:, LAST, 1]


def _turns(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(..., 2) bool: velocities (..., 2) that change their sign."""
    return (before * after < 0) & (np.abs(before) > SLOWEST) & (np.abs(after) > SLOWEST)


def bounces(decoded: PongState, frame: int) -> np.ndarray:
    """(N, 2) bool: the ball turns, across or up and down, in the step to `frame`;
    not where a point is made.
    """
    before = decoded.ball[:, LAST] - decoded.ball[:, PREVIOUS]
    after = decoded.ball[:, frame] - decoded.ball[:, LAST]
    same = (decoded.score == decoded.score[:, :1]).all((1, 2))
    return _turns(before, after) & same[:, None]


def position_errors(real: PongState, dream: PongState, rows: np.ndarray) -> dict:
    """One-step errors in pixels of the (N,) transitions in `rows` (N,) bool; a missing ball or
    paddle is counted apart.
    """
    ball = distance(real.ball, dream.ball)[rows]
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
    # (R, H + 2)
    same = (real.score == real.score[:, :1]).all(-1) & (dream.score == real.score[:, :1]).all(-1)
    # an episode's first frame
    served = (opened.earlier == opened.real_frames[:, 0]).flatten(1).all(1).numpy()
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
    the recording has, and `bounce_accuracy` the harmonic mean of both, so that a trembling ball
    gains nothing.
    """
    expected, made = (bounces(decoded, frame) for frame in (REAL, DREAM))
    play = in_play(opened, real, dream)[:, :, None]
    # (R, H, 2)
    turns = [
        _turns(v[:, :-1], v[:, 1:]) & play for v in (np.diff(t.ball, axis=1) for t in (real, dream))
    ]
    soon = [
        t | np.pad(t, ((0, 0), (1, 0), (0, 0)))[:, :-1] | np.pad(t, ((0, 0), (0, 1), (0, 0)))[:, 1:]
        for t in turns
    ]
    inner = np.pad(play[:, 1:], ((0, 0), (0, 1), (0, 0)))  # the last step in play has no next one
    (real_turns, dream_turns), (real_soon, dream_soon) = [t & inner for t in turns], soon
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
    """Their harmonic mean; None where there was nothing to find, 0
    where nothing of it was found.
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
    """Precision, recall and F1 of the first points in (R, H) signs;
    a dream counts as long as the recording goes.
    """
    steps = dream.shape[1]
    first = [np.where((s != 0).any(1), (s != 0).argmax(1), steps + 9) for s in (dream, real)]
    signs = [
        s[np.arange(len(s)), np.minimum(f, steps - 1)]
        for s, f in zip((dream, real), first, strict=True)
    ]
    claimed, expected = first[0] < np.minimum(length, steps), first[1] < steps
    hits = int(
        (claimed & expected & (np.abs(first[0] - first[1]) <= 1) & (signs[0] == signs[1])).sum()
    )
    return {
        "precision": hits / claimed.sum() if claimed.any() else None,
        "recall": hits / expected.sum() if expected.any() else None,
        "f1": 2 * hits / (claimed.sum() + expected.sum())
        if claimed.any() or expected.any()
        else None,
        "support": int(expected.sum()),
    }
