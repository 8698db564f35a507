"""The dream as a side of a session whose every game can be told by its seed and shared as a
file.
"""

from __future__ import annotations

import secrets

import gymnasium

from neural_envs.play.player_view import Side
from neural_envs.replays.replay_file import DreamRecorder


class DreamSide(Side):
    """The side of a dream: taken down, and every game of it from a seed that can be told."""

    def __init__(self, dream: gymnasium.Env):
        super().__init__("dream", dream, recorder=DreamRecorder())

    def reset(self, seed: int | None, options: dict | None = None) -> None:
        """A new game; without a seed given it draws one."""
        super().reset(secrets.randbelow(2**31) if seed is None else seed, options)
