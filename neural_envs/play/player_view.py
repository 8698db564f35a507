"""A world on show: its environment, the score so far, and what it remembers for a dream to join it.

H x W x C a frame, K frames of history.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np

TRAIL = 120  # steps of trust that are kept to be drawn


@dataclass(frozen=True)
class Score:
    """What the HUD shows of a side.

    `trust` is None where the world gives none; `ending` is "" while the game runs.
    """

    frame: np.ndarray  # (H, W, C) uint8
    reward: float = 0.0
    return_: float = 0.0
    trust: float | None = None
    steps: int = 0
    ending: str = ""
    trail: tuple[float, ...] = ()  # the last values of trust, oldest first


class History(NamedTuple):
    """The last frames of a game, at most as many as were asked for, and the actions between
    them.
    """

    frames: tuple[np.ndarray, ...]  # (H, W, C) uint8 each, oldest first, last = now
    actions: tuple[int, ...]

    def then(self, action: int, frame: np.ndarray, length: int) -> History:
        """The history one step later, `length` frames at most."""
        frames, actions = (*self.frames, frame)[-length:], (*self.actions, action)
        return History(frames, actions[len(actions) - len(frames) + 1 :])


class Side:
    """One world on show: its environment (one whose observations are frames), the score and the
    history so far.

    `recorder`, a DreamRecorder, takes a dream down, so that `dream_file` can hand it out.
    """

    memory = 1  # frames of history that somebody has a use for

    def __init__(
        self, title: str, env: gymnasium.Env, score: Score | None = None, recorder: Any = None
    ):
        self.title, self.env, self.score, self.recorder = title, env, score, recorder
        self.history = History((), ())
        self.played: Any = None  # the DreamFile of the game before this one

    def reset(self, seed: int | None, options: dict | None = None) -> None:
        """A new game."""
        if self.recorder is not None and self.score is not None:
            self.played = self.dream_file()
        frame, info = self.env.reset(seed=seed, options=options)
        self.score = Score(np.array(frame), trust=_trust(info))
        self.history = History((self.score.frame,), ())
        if self.recorder is not None:
            self.recorder.start(self.env, seed, (options or {}).get("context"))

    def dream_file(self) -> Any:
        """The DreamFile of this game, of the one before while this one has no step yet; None where
        nobody records.
        """
        if self.recorder is None:
            return None
        return self.recorder.file() if self.recorder.actions or self.played is None else self.played

    def step(self, action: int) -> None:
        """One action; the score says what came of it.

        Raises ValueError for one that the world does not have.
        """
        if not self.env.action_space.contains(action):
            raise ValueError(
                f"there is no action {action!r} in the {self.title}: it has {self.env.action_space}"
            )
        frame, reward, terminated, truncated, info = self.env.step(action)
        ending = "game over" if terminated else ("stopped: " + _why(info) if truncated else "")
        total, steps, trust = self.score.return_ + float(reward), self.score.steps + 1, _trust(info)
        trail = self.score.trail if trust is None else (*self.score.trail, trust)[-TRAIL:]
        self.score = Score(np.array(frame), float(reward), total, trust, steps, ending, trail)
        self.history = self.history.then(action, self.score.frame, self.memory)
        if self.recorder is not None:
            self.recorder.add(action, frame, reward, terminated, truncated)

    def snapshot(self) -> Snapshot:
        """The world as it is now.

        Raises what deepcopy does for an environment that cannot be copied.
        """
        if hasattr(self.env.unwrapped, "get_state"):
            state = copy.deepcopy(self.env.unwrapped.get_state())
            recorder = self.recorder and self.recorder.copy()
            return Snapshot(self.score, self.history, state, self._step_limits(), recorder)
        return Snapshot(self.score, self.history, copy.deepcopy(self.env), [])

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to `snapshot`, which stays good for more."""
        self.score, self.history = snapshot.score, snapshot.history
        if isinstance(snapshot.state, gymnasium.Env):
            self.env = copy.deepcopy(snapshot.state)
        else:
            self.env.unwrapped.set_state(copy.deepcopy(snapshot.state))
            self.recorder = snapshot.recorder and snapshot.recorder.copy()
            for wrapper, elapsed in snapshot.elapsed:
                wrapper._elapsed_steps = elapsed

    def _step_limits(self) -> list[tuple[gymnasium.Wrapper, int]]:
        """The TimeLimit wrappers around the world and their counts: the world's `set_state` does
        not turn them back.
        """
        found, env = [], self.env
        while isinstance(env, gymnasium.Wrapper):
            if isinstance(env, gymnasium.wrappers.TimeLimit):
                found.append((env, env._elapsed_steps))
            env = env.env
        return found


class Snapshot(NamedTuple):
    """A side as it was: a world with `get_state` gives its state, any other a copy of the whole
    environment.
    """

    score: Score
    history: History
    state: Any
    elapsed: list[tuple[gymnasium.Wrapper, int]]
    recorder: Any = None


def _trust(info: Mapping[str, Any]) -> float | None:
    return float(np.asarray(info["trust"]).reshape(-1)[0]) if "trust" in info else None


def _why(info: Mapping[str, Any]) -> str:
    """Why an episode was cut: a sentence's end for the HUD."""
    return "the model no longer trusts itself" if info.get("low_trust") else "step limit"
