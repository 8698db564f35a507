"""The dream's recording, so that it can be shared as a `.dream` file."""

from __future__ import annotations

import secrets
from typing import Any

import gymnasium

from neural_envs.dream_file import DreamRecorder


class Tape(gymnasium.Wrapper):
    """Records every game of a dream. A game always has a `seed`: without one given it draws one."""

    def __init__(self, env: gymnasium.Env):
        super().__init__(env)
        self.seed, self.recorder = 0, DreamRecorder()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None):
        """A new game, and a new recording of it."""
        self.seed = secrets.randbelow(2**31) if seed is None else seed
        first = self.env.reset(seed=self.seed, options=options)
        self.recorder = DreamRecorder()
        self.recorder.start(self.env, self.seed, (options or {}).get("context"))
        return first

    def step(self, action: int):
        """A step, taken down."""
        frame, reward, terminated, truncated, info = self.env.step(action)
        self.recorder.add(action, frame, reward, terminated, truncated)
        return frame, reward, terminated, truncated, info
