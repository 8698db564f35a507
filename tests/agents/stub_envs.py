"""A vector env whose every number is known beforehand."""

import numpy as np
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space


class CountingVectorEnv(VectorEnv):
    """Lane i's episodes have `lengths[i]` steps with reward `rewards[i]` each; frames hold the
    number of steps so far.

    Even lanes end by termination, odd ones by truncation. SAME_STEP autoreset.
    """

    def __init__(self, lengths, rewards, mode=AutoresetMode.SAME_STEP):
        self.lengths, self.step_rewards = np.array(lengths), np.array(rewards, dtype=np.float64)
        self.num_envs = len(lengths)
        self.single_observation_space, self.single_action_space = (
            Box(0, 255, (16, 16, 3), np.uint8),
            Discrete(4),
        )
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata, self.render_mode, self.spec = {"autoreset_mode": mode}, None, None
        self.seeds: list[int | None] = []

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        self.counts = np.zeros(self.num_envs, dtype=int)
        return self._frames(), {}

    def step(self, actions):
        assert len(actions) == self.num_envs
        self.counts += 1
        done, before = self.counts >= self.lengths, self._frames()
        self.counts[done] = 0
        even = np.arange(self.num_envs) % 2 == 0
        infos = {"trust": np.full(self.num_envs, 0.5), "_trust": np.ones(self.num_envs, dtype=bool)}
        if done.any():
            infos |= {"final_obs": before, "_final_obs": done}
            infos |= {
                "final_info": {"trust": np.full(self.num_envs, 0.25), "_trust": done},
                "_final_info": done,
            }
        return self._frames(), self.step_rewards, done & even, done & ~even, infos

    def _frames(self):
        return np.broadcast_to(
            self.counts[:, None, None, None], self.observation_space.shape
        ).astype(np.uint8)
