"""What a trained agent plays by, as one module: frames in, the probability of each action out"""

from __future__ import annotations

from typing import Any

from stable_baselines3 import PPO
from torch import Tensor, nn


class ActionNetwork(nn.Module):
    """Observations (1, H, W, C * frames) uint8 -> probabilities (1, A) float32.

    `shape` is (H, W, C * frames).
    """

    def __init__(self, agent: PPO):
        super().__init__()
        self.policy: Any = agent.policy
        first, second, third = agent.observation_space.shape or (0, 0, 0)
        self.channels_first = first < third  # as stable-baselines3 has transposed them
        self.shape = (second, third, first) if self.channels_first else (first, second, third)

    def forward(self, observation: Tensor) -> Tensor:
        if self.channels_first:
            observation = observation.permute(0, 3, 1, 2)
        features = self.policy.extract_features(observation, self.policy.pi_features_extractor)
        hidden = self.policy.mlp_extractor.forward_actor(features)
        return self.policy.action_net(hidden).softmax(1)
