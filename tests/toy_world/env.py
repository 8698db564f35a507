"""The real game: walk along eight places to the lamp."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from collectors.worlds.vector_env import SingleEnvLanes

ACTIONS = ("left", "stay", "right")
PLACES, SIZE = 8, 16  # places of the corridor; pixels of a frame's side, two per place
WALKER, LAMP = (255, 255, 255), (40, 200, 40)


class RealCorridor(gymnasium.Env):
    """Reward 1 at the lamp, which ends the game. Walker and lamp start at places by chance."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(self, render_mode: str | None = None):
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8)
        self.action_space = spaces.Discrete(len(ACTIONS))

    def world_spec(self) -> dict[str, Any]:
        """What a dream of this game must know."""
        return {
            "world": "corridor",
            "frame_shape": [SIZE, SIZE, 3],
            "action_names": list(ACTIONS),
            "reward_values": [0.0, 1.0],
            "fps": self.metadata["render_fps"],
            "max_episode_steps": 20,
        }

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Keys for `gymnasium.utils.play`."""
        return {("a",): 0, ("d",): 2}

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self.walker, self.lamp = self.np_random.permutation(PLACES)[:2].tolist()
        return self._frame(), {}

    def step(self, action):
        self.walker = min(max(self.walker + int(action) - 1, 0), PLACES - 1)
        there = self.walker == self.lamp
        return self._frame(), float(there), there, False, {}

    def render(self):
        return self._frame() if self.render_mode == "rgb_array" else None

    def _frame(self) -> np.ndarray:
        frame = np.zeros((SIZE, SIZE, 3), np.uint8)
        frame[4:6, 2 * self.lamp : 2 * self.lamp + 2] = LAMP
        frame[8:10, 2 * self.walker : 2 * self.walker + 2] = WALKER
        return frame


class RealCorridorVector(SingleEnvLanes):
    """Many games at once: see `LaneVectorEnv`."""

    single_class = RealCorridor
