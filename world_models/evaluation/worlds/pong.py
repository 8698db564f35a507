"""Pong's evaluator: ball, paddles and score, decoded from real and dreamed frames.

N transitions, R rollouts, H horizon.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from world_models.evaluation.closed_loop import ClosedLoop
from world_models.evaluation.evaluator import (
    Evaluator,
    GameStep,
    Moved,
    Runs,
    Target,
    as_tensor,
    mean,
)
from world_models.evaluation.rollouts import OneStep, Rollouts
from world_models.evaluation.worlds.pong_counts import WHITE, count_balls_and_paddles
from world_models.evaluation.worlds.pong_figures import (
    DREAM,
    LAST,
    REAL,
    PongState,
    at,
    ball_jumps,
    bounce_figures,
    bounces,
    distance,
    paddle_moves,
    point_figures,
    position_errors,
    rollout_errors,
    rollout_points,
    scored,
)
from world_models.protocols import WorldSpec

NEAR = 1.0  # pixels within which a dreamed ball or paddle counts as correct
POINT = 0.5  # the reward of a point is larger, either way


class PongFrames(NamedTuple):
    """Frames, and the pips that they show."""

    frames: np.ndarray  # (L, S, S, 3) uint8
    score: np.ndarray  # (L, 2) int64 left and right


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
    things = {"balls": 1, "left_paddles": 1, "right_paddles": 1}
    needs_game = True
    targets = (
        Target("rules.rollout.ball_error.1", "ball error after 1 step", unit="px"),
        Target("rules.rollout.ball_error.32", "ball error after 32 steps", most=1, unit="px"),
        Target("rules.score_events.one_step.f1", "points, F1", 0.98),
        Target("rules.score_events.rollout.f1", "points in rollouts, F1", 0.98),
        Target("rules.score_events.one_step.pips.f1", "the score shows a point, F1", 0.99),
        Target(
            "rules.score_events.rollout.pips.f1", "the score shows a point in rollouts, F1", 0.99
        ),
        Target("rules.bounce_accuracy", "bounces correct"),
        Target("survival.scripted.ball_and_paddles", "ball and paddles there: scripted play"),
    )

    def __init__(
        self,
        decode: Callable[[np.ndarray], tuple],
        action_names: tuple[str, ...] = ("stay", "up", "down"),
        points: int = 5,
    ):
        self.decode, self.actions, self.points = decode, len(action_names), points

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
        """(N, 4) states: the frame before the last, the last,
        the real next and the dreamed next one.
        """
        return self.state(np.stack([context[:, -2:][:, 0], context[:, -1], real, dreamed], 1))

    def decode_step(self, before: np.ndarray, after: np.ndarray) -> PongState:
        return self.state(after)

    def read(self, frames: np.ndarray) -> PongFrames:
        return PongFrames(frames, np.stack(self.decode(frames)[3:5], 1))

    def count_things(self, state: PongFrames) -> dict[str, np.ndarray]:
        return count_balls_and_paddles(state.frames)

    def game_step(self, before: PongFrames, moved: Moved, after: PongFrames) -> GameStep:
        """The game is over at a full row of pips; the score is the agent's lead."""
        left, right = after.score.T
        events = {"points_won": moved.reward > POINT, "points_lost": moved.reward < -POINT}
        full = after.score.max(1) >= self.points
        return GameStep(events, full, (right - left).astype(np.float64))

    def events(self, run: OneStep) -> Tensor:
        """Points, ends and bounces."""
        return super().events(run) | as_tensor(
            scored(run.decoded) | bounces(run.decoded, REAL).any(1)
        )

    def rule_figures(self, runs: Runs, generator: np.random.Generator) -> dict:
        run = runs.one_step
        decoded, opened, states = run.decoded, runs.rollouts, self._states(runs.rollouts)
        one_ball, paddles = self._valid(at(decoded, DREAM), at(decoded, REAL))
        return {
            "one_ball": mean(one_ball),
            "two_paddles": mean(paddles),
            **position_errors(at(decoded, REAL), at(decoded, DREAM), ~scored(decoded)),
            "rollout": rollout_errors(opened, *states),
            **bounce_figures(decoded, opened, *states),
            "score_events": {
                "one_step": point_figures(run),
                "rollout": rollout_points(opened, *states),
            },
            "samples": len(one_ball),
        }

    def _states(self, opened: Rollouts) -> tuple[PongState, PongState]:
        """States (R, H + 2) of the recording and of the dream;
        the first frame is the one before the start.
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
        moves, action = paddle_moves(run.decoded, REAL), run.action.numpy()
        usual = np.array([np.nanmedian(moves[action == a]) if (action == a).any() else np.nan
                          for a in range(self.actions)])  # fmt: skip
        figures = {}
        for name, source, frame in (
            ("dream", run, DREAM),
            ("real", run, REAL),
            ("dream_random_actions", other, DREAM),
        ):
            decisive = self._decisive(source.decoded, run.decoded, usual) & (
                True if source is other else ~scored(run.decoded)
            )
            moved = np.where(decisive, paddle_moves(source.decoded, frame), np.nan)[decisive]
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
        near = (distance(real.ball, dream.ball) <= NEAR) & (
            np.abs(real.paddles - dream.paddles) <= NEAR
        ).all(1)
        return runs.one_step.trust, as_tensor(near & (real.score == dream.score).all(1))

    def survival_figures(self, run: ClosedLoop, score: Any) -> dict:
        return {
            "ball_and_paddles": mean(run.decoded.complete),
            "mean_white": mean(run.decoded.white),  # steady where balls neither split nor fade
            "complete_throughout": mean(run.decoded.complete.all(0)),
            "ball_jumps_per_10000": ball_jumps(run.decoded, run.rewards, run.terminations),
        }
