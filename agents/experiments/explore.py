"""The player that collects: a trained agent with some random play, all lanes at once.

B lanes, A actions.
"""

from collections.abc import Sequence

import numpy as np
import torch
from stable_baselines3 import PPO

from agents.evaluation.play import FrameStack
from collectors.policies.batched import chosen_lanes
from collectors.policies.policies import Generator, Policy
from world_models.noise import NoiseStream

EPISODE_SALT, ACTION_SALT = 0, 1


class Explorer(Policy):
    """A `collectors` policy: a share of its episodes is random play, of the others some actions.

    `model`: the agent, None for random play alone. Its actions are drawn with its own
    probabilities, as in training. An episode's actions follow from its frames and the generator
    that it was reset with, whatever the lanes beside it do. `name` is the same in all rounds,
    because a dataset has one collector; episodes are named `random` or `label`.
    """

    name = "explorer"
    batched = True

    def __init__(
        self,
        model: PPO | None,
        actions: int,
        label: str = "agent",
        episodes: float = 0.25,
        random_actions: float = 0.1,
    ):
        self.model, self.actions, self.label = model, actions, label
        self.episodes, self.random_actions = 1.0 if model is None else episodes, random_actions

    def batch(self, lanes: int) -> "ExplorerLanes":
        """The same for many lanes; `collect` then plays a game's environments in lanes too."""
        return ExplorerLanes(self, lanes)

    def reset(self, generator: Generator) -> None:
        self._single = self.batch(1)
        self._single.reset(np.ones(1, bool), [generator])

    def __call__(self, observation: np.ndarray) -> int:
        return int(self._single(observation[None])[0])


class ExplorerLanes:
    """See `collectors.policies.batched.BatchPolicy`.

    Random numbers are hashes of (episode's seed, step): no loop over lanes.
    """

    def __init__(self, player: Explorer, lanes: int):
        self._player = player
        self._seeds, self._steps = np.zeros(lanes, np.int64), np.zeros(lanes, np.int64)
        self._share = np.ones(lanes, np.float32)  # of random actions, (B,)
        self._model = player.model
        self._stack = FrameStack(player.model.observation_space) if player.model else None

    @property
    def names(self) -> list[str]:
        return ["random" if share == 1 else self._player.label for share in self._share]

    def reset(self, lanes: np.ndarray, generators: Sequence[Generator | None]) -> None:
        for lane, generator in chosen_lanes(lanes, generators):
            self._seeds[lane] = generator.integers(2**63 - 1)
        self._steps[lanes] = 0
        at_random = self._uniform(EPISODE_SALT) < self._player.episodes
        self._share[lanes] = np.where(at_random, 1.0, self._player.random_actions)[lanes]
        if self._stack is not None:
            self._stack.reset(lanes)

    def __call__(self, observations: np.ndarray, lanes: np.ndarray | None = None) -> np.ndarray:
        """(B, H, W, C) uint8 -> (B,) int64."""
        actions, share = self._player.actions, self._share[:, None]
        chances = share / actions + (1 - share) * self._chances(observations)  # (B, A)
        below = np.cumsum(chances, 1) <= self._uniform(ACTION_SALT)[:, None]
        self._steps += 1
        return below.sum(1).clip(max=actions - 1)

    def _uniform(self, salt: int) -> np.ndarray:
        """(B,) float32 in [0, 1)."""
        stream = NoiseStream(torch.from_numpy(self._seeds), torch.from_numpy(self._steps))
        return stream.uniform((), salt).numpy()

    def _chances(self, observations: np.ndarray) -> np.ndarray:
        """(B, A) float32, the agent's probability of each action; zeros without an agent."""
        if self._model is None or self._stack is None:
            return np.zeros((len(observations), self._player.actions), np.float32)
        policy = self._model.policy
        policy.set_training_mode(False)
        with torch.no_grad():
            frames = policy.obs_to_tensor(self._stack(observations))[0]
            chosen = policy.get_distribution(frames).distribution
            assert isinstance(chosen, torch.distributions.Categorical)  # of discrete actions
            return chosen.probs.cpu().numpy()
