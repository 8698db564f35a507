"""The networks of pixel policies.

B frames, C channels, H x W pixels, P points, G = (H/4) (W/4) cells.
"""

import torch
from gymnasium import spaces
from stable_baselines3.common.distributions import Distribution
from stable_baselines3.common.policies import ActorCriticCnnPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn


class PatchPolicy(ActorCriticCnnPolicy):
    """The policy of stable-baselines3 for images, with the channels of a pixel side by side.

    On a processor a gradient step takes 0.55 of the time: its convolutions want them so, and bytes
    are moved before they become floats, which are four times as many.
    """

    def extract_features(
        self, obs: Tensor, features_extractor: BaseFeaturesExtractor | None = None
    ) -> Tensor:
        """obs (B, C, H, W) uint8 -> features (B, F), the same for actor and critic."""
        frames = obs.contiguous(memory_format=torch.channels_last).to(torch.float32, copy=True)
        return (features_extractor or self.features_extractor)(frames.div_(255))

    def get_distribution(self, obs: Tensor) -> Distribution:
        """That of the actions; the library's own way asks its base class for the features."""
        hidden = self.mlp_extractor.forward_actor(self.extract_features(obs))
        return self._get_action_dist_from_latent(hidden)

    def predict_values(self, obs: Tensor) -> Tensor:
        """(B, 1), likewise."""
        return self.value_net(self.mlp_extractor.forward_critic(self.extract_features(obs)))


class PatchCNN(BaseFeaturesExtractor):
    """4x4 patches (the cells of the game), then a few points that find what is rare in the frame.

    Each point is a softmax over the grid (a spatial softmax: Levine et al. 2016, arXiv:1504.00702)
    and gives its place and the 3x3-convolution features there. A map's logits are normalised over
    the grid, so a cell unlike all others (a head, a food) stands out before anything is learned,
    and what is learned about one place holds for all. Takes (B, C, H, W) floats in [0, 1]
    (stable-baselines3 has divided the uint8 pixels by 255), H and W multiples of 4.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        features_dim: int = 128,
        width: int = 16,
        points: int = 8,
    ):
        super().__init__(observation_space, features_dim)
        channels, height, breadth = observation_space.shape
        if height % 4 or breadth % 4:
            raise ValueError(
                f"PatchCNN needs frames with sides that are multiples of 4, got {height}x{breadth}"
            )
        self.patches = nn.Sequential(nn.Conv2d(channels, width, kernel_size=4, stride=4), nn.ReLU())
        self.near = nn.Sequential(nn.Conv2d(width, width, kernel_size=3, padding=1), nn.ReLU())
        logits = nn.Sequential(nn.Conv2d(width, points, kernel_size=1), nn.InstanceNorm2d(points))
        self.maps = nn.Sequential(logits, nn.Flatten(2), nn.Softmax(2))
        self.head = nn.Sequential(nn.Linear(points * (2 + width), features_dim), nn.ReLU())
        rows, columns = torch.linspace(-1, 1, height // 4), torch.linspace(-1, 1, breadth // 4)
        self.register_buffer("places", torch.cartesian_prod(rows, columns))  # (G, 2)

    def forward(self, observations: Tensor) -> Tensor:
        grid = self.patches(observations)  # (B, width, H/4, W/4)
        grid = grid.contiguous(memory_format=torch.channels_last)
        points = self.maps(grid)  # (B, P, G)
        around = points @ self.near(grid).flatten(2).transpose(1, 2)  # (B, P, width)
        features = torch.cat([points @ self.places, around], dim=2)  # (B, P, 2 + width)
        return self.head(features.flatten(1))  # (B, features_dim)
