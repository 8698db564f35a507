"""What a trained agent plays by, as one module: frames in, how likely each action is out"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3 import PPO
from torch import Tensor, nn

from collectors.action_space import ActionSpace


class ActionNetwork(nn.Module):
    """Observations (1, H, W, C * frames) uint8 -> the probability of each choice, of all parts one
    after another (1, A) float32; of a Box of P parts means and deviations (1, 2 P), encoded.

    `shape` is (H, W, C * frames).
    """

    def __init__(self, agent: PPO):
        super().__init__()
        self.policy: Any = agent.policy
        self.space = ActionSpace.from_gymnasium(agent.action_space)
        first, second, third = agent.observation_space.shape or (0, 0, 0)
        self.channels_first = first < third  # as stable-baselines3 has transposed them
        self.shape = (second, third, first) if self.channels_first else (first, second, third)

    def forward(self, observation: Tensor) -> Tensor:
        if self.channels_first:
            observation = observation.permute(0, 3, 1, 2)
        features = self.policy.extract_features(observation, self.policy.pi_features_extractor)
        hidden = self.policy.mlp_extractor.forward_actor(features)
        return self.chances(self.policy.action_net(hidden))

    def chances(self, found: Tensor) -> Tensor:
        """What the last layer (1, A) says of the agent's actions."""
        if self.space.is_box:
            return torch.cat([found, self.policy.log_std.exp().expand_as(found)], 1)
        if self.space.type == "MultiBinary":
            pressed = found.sigmoid()
            return torch.stack([1 - pressed, pressed], 2).flatten(1)
        parts = [part.softmax(1) for part in found.split(self.space.counts, 1)]
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]
