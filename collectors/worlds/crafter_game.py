"""Crafter for Gymnasium: importing this registers `CrafterReward-v1` and `CrafterNoReward-v1`.

The package `crafter` knows the interface before Gymnasium's only. Crafter: Hafner 2021,
"Benchmarking the Spectrum of Agent Capabilities", arXiv:2109.06780.
"""

from __future__ import annotations

import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

SIDE, LENGTH = 64, 10_000  # pixels; steps after which a game is cut short


class CrafterGame(gymnasium.Env):
    """Crafter: frames (64, 64, 3) uint8, 17 actions; `reward` pays for the first time of each
    achievement and for health, without it every reward is 0. A player without health ends the game.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, reward: bool = True, render_mode: str | None = None):
        self.render_mode, self.reward = render_mode, reward
        self.observation_space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)
        self._make(0)
        self.action_space = spaces.Discrete(len(self.game.action_names))

    def _make(self, seed: int) -> None:
        crafter: Any = importlib.import_module("crafter")
        size = (SIDE, SIDE)
        self.game = crafter.Env(size=size, reward=self.reward, length=LENGTH, seed=seed)

    def get_action_meanings(self) -> list[str]:
        """The names of the actions, in their order."""
        return list(self.game.action_names)

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        if seed is not None:
            self._make(seed)
        return np.asarray(self.game.reset(), np.uint8), {}

    def step(self, action: int):
        frame, reward, done, info = self.game.step(int(action))
        ended = bool(info["discount"] == 0)  # without health; else it was the length
        known = {"achievements": info["achievements"]}  # counts by name
        return np.asarray(frame, np.uint8), float(reward), ended, bool(done) and not ended, known

    def render(self) -> np.ndarray:
        return np.asarray(self.game.render(), np.uint8)


for _name, _reward in (("CrafterReward-v1", True), ("CrafterNoReward-v1", False)):
    if _name not in gymnasium.registry:
        gymnasium.register(_name, entry_point=f"{__name__}:CrafterGame", kwargs={"reward": _reward})
