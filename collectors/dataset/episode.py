"""One episode, played or read."""

from typing import NamedTuple

import numpy as np


class Episode(NamedTuple):
    """T actions and T + 1 frames: `actions[t]` was chosen on seeing `frames[t]`; `rewards[t]`,
    `terminations[t]` and `truncations[t]` came together with `frames[t + 1]`."""

    frames: np.ndarray  # (T + 1, H, W, C) uint8
    # as the game takes them: (T,) int64 of a Discrete space, (T, P) int64 of a MultiDiscrete or
    # MultiBinary one, (T, P) float32 of a Box; P parts
    actions: np.ndarray
    rewards: np.ndarray  # (T,) float32
    terminations: np.ndarray  # (T,) bool
    truncations: np.ndarray  # (T,) bool
    seed: int
    policy_name: str
    key: str = ""  # what decides its split (a level, a region), "" where only the seed does

    def __len__(self) -> int:
        return len(self.actions)
