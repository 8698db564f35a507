"""Tiny games that give or raise what no game should."""

from typing import Any

import gymnasium
import numpy as np

from tests.collectors.parts_games import Dot


class Broken(Dot):
    """Dot, but a step may give or raise something else: a reward, a frame, an error."""

    given: dict[str, Any] = {}

    def step(self, action):
        frame, reward, terminated, truncated, info = super().step(action)
        if "error" in self.given and self.count == 3:
            raise self.given["error"]
        return frame, self.given.get("reward", reward), terminated, truncated, info

    def observed(self):
        return self.given.get("frame", self.image())

    def close(self):
        raise self.given.get("close", None) or RuntimeError("it cannot be closed")


class RenderedBroken(Broken):
    """The same without images in its observations."""

    observation_space = gymnasium.spaces.Box(-1, 1, (4,))

    def observed(self):
        return np.zeros(4, np.float32)

    def render(self):
        return self.given.get("frame", self.image())


class Old(Dot):
    """A game for the older Gym."""

    def reset(self, **kwargs):
        return super().reset(**kwargs)[0]
