"""A game of counting, single and batched: its seed decides its length, rewards and level; its
frames show them.
"""

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

ID = "Counting-v0"
SPEC = {
    "world": "counting",
    "frame_shape": [8, 8, 3],
    "action_names": ["stay", "go"],
    "reward_values": [0.0, 1.0],
    "fps": 10,
    "max_episode_steps": 30,
}


class CountingGame(gymnasium.Env):
    """Ends after 3 to 39 steps, as chance has it; pays 1 or 0 by chance and action; the level is
    the last digit.
    """

    metadata = {"render_modes": [], "render_fps": 10}
    observation_space = spaces.Box(0, 255, (8, 8, 3), np.uint8)
    action_space = spaces.Discrete(2)

    def world_spec(self):
        return SPEC

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.level = 0, (seed or 0) % 10
        self.length = int(self.np_random.integers(3, 40))
        return self._frame(0), {"split_key": self.level}

    def step(self, action):
        self.count += 1
        reward = float(action == self.np_random.integers(2))
        return self._frame(action), reward, self.count >= self.length, False, {}

    def _frame(self, action):
        frame = np.zeros((8, 8, 3), np.uint8)
        frame[0, 0] = self.count, self.level, action
        frame[1] = self.np_random.integers(256)
        return frame


class ManyRewards(CountingGame):
    """Pays another reward at every step, as games with shaped rewards do; its spec names none."""

    given = 0

    def world_spec(self):
        return {**SPEC, "reward_values": []}

    def step(self, action):
        type(self).given += 1
        frame, _, *rest = super().step(action)
        return frame, self.given / 4, *rest


class CountingVectorGame(VectorEnv):
    """The same games in lanes, autoreset DISABLED; a lane that is done must be reset before the
    next step.
    """

    metadata = {"render_modes": [], "render_fps": 10, "autoreset_mode": AutoresetMode.DISABLED}

    def __init__(self, num_envs, max_episode_steps=None, autoreset_mode=None):
        assert AutoresetMode(autoreset_mode) is AutoresetMode.DISABLED
        self.num_envs, self.limit = num_envs, max_episode_steps
        self.games = [CountingGame() for _ in range(num_envs)]
        self.single_observation_space, self.single_action_space = (
            CountingGame.observation_space,
            spaces.Discrete(2),
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.frames = np.zeros(
            (num_envs, 8, 8, 3), np.uint8
        )  # given out as it is: users who keep frames must copy
        self.over = np.ones(num_envs, bool)

    def reset(self, *, seed=None, options=None):
        for lane in np.flatnonzero(options["reset_mask"]):
            self.frames[lane], _ = self.games[lane].reset(seed=seed[lane])
        self.over &= ~options["reset_mask"]
        return self.frames, {"split_key": np.array([game.level for game in self.games])}

    def step(self, actions):
        assert (
            not self.over.any() and actions.shape == (self.num_envs,) and actions.dtype == np.int64
        )
        rewards, truncations = np.zeros(self.num_envs), np.zeros(self.num_envs, bool)
        for lane, game in enumerate(self.games):
            self.frames[lane], rewards[lane], self.over[lane], _, _ = game.step(actions[lane])
            truncations[lane] = game.count >= self.limit
        terminations = self.over.copy()
        self.over |= truncations
        return self.frames, rewards, terminations, truncations, {}


def register() -> None:
    """Counting-v0 with its vector environment, CountingAlone-v0 without."""
    if ID not in gymnasium.registry:
        common = {
            "entry_point": "tests.collectors.counting_env:CountingGame",
            "max_episode_steps": 30,
        }
        gymnasium.register("CountingAlone-v0", **common)
        gymnasium.register(
            ID, vector_entry_point="tests.collectors.counting_env:CountingVectorGame", **common
        )
