"""A dream that a report plays takes actions of every kind."""

import numpy as np
import pytest
from gymnasium import spaces

from agents.report.from_bundle import _played


class Dream:
    """A dream of three steps that checks its actions."""

    def __init__(self, space):
        self.action_space = space

    def reset(self, seed):
        self.steps = 0
        return np.zeros((8, 8, 3), np.uint8), {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.steps += 1
        frame = np.full((8, 8, 3), self.steps, np.uint8)
        return frame, 1.0, self.steps == 3, False, {"trust": 0.5}


class Player:
    """Plays the same action always."""

    def __init__(self, action):
        self.action = action

    def reset(self, generator):
        pass

    def __call__(self, frame):
        return self.action


@pytest.mark.parametrize(
    ("space", "action"),
    [
        (spaces.Discrete(3), np.int64(2)),
        (spaces.Box(-1, 1, (2,), np.float32), np.array([0.5, -1], np.float32)),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 2])),
    ],
)
def test_a_policy_of_any_actions_plays_to_the_end(space, action):
    found = _played(Dream(space), Player(action), 9, 0)
    assert len(found.frames) == 4 and found.ended and found.rewards.sum() == 3
