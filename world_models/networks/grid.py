"""The grid network in two parts: a context encoder that runs once per environment step, and a
denoising decoder that runs once per denoising step.

B lanes, K context frames, C colors, D channels, G x G patch grid, A actions, R reward classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import setting
from world_models.networks.actions import Actions, embed_actions
from world_models.networks.blocks import PatchEmbed, PatchOut, fourier, per_pixel, pool, trunk
from world_models.networks.copying import CopyOut
from world_models.networks.initialization import small, zeroed
from world_models.protocols import Features, NetworkConfig


@dataclass(frozen=True)
class GridConfig:
    """Sizes of the two parts."""

    null_action: ClassVar[bool] = True

    width: int = setting(64, "channels of every token")
    patch: int = setting(4, "pixels along the side of a patch")
    encoder_depth: int = setting(
        2, "mixing blocks that read the context, once per environment step"
    )
    decoder_depth: int = setting(2, "mixing blocks of the decoder, once per denoising step")
    attention: bool = setting(False, "self-attention after every mixing block")
    positions: bool = setting(
        False, "tokens know where they are, for worlds in which places differ"
    )
    copy: tuple[int, ...] = setting(
        (), "copy patches of the last frame from so many pixels off along each axis; empty: none"
    )
    pixel_features: int = setting(
        0, "features of single pixels that the outcome head counts; 0: it sees patches linearly"
    )
    flow: float = setting(
        0.0, "copy from so many pixels off at most, wherever the network points; 0: off"
    )

    @property
    def copies(self) -> bool:
        """Whether frames are blended with copies of the last one."""
        return bool(self.copy) or self.flow > 0


class ContextEncoder(nn.Module):
    """Context frames and the action -> features (B, D, G, G)."""

    def __init__(
        self, config: GridConfig, channels: int, actions: Actions, grid_shape: tuple[int, int]
    ):
        super().__init__()
        width = config.width
        self.place = nn.Parameter(torch.zeros(width, *grid_shape)) if config.positions else None
        self.embed = PatchEmbed(channels, width, config.patch)
        self.action = embed_actions(actions, width)
        self.trunk = trunk(width, config.encoder_depth, config.attention)

    def forward(self, frames: Tensor, action: Tensor, colors: int) -> Features:
        """frames (B, K * C, H, W) in [-1, 1], encoded actions (B, *row)."""
        tokens = self.embed(frames) + self.action(action)[:, :, None, None]
        tokens = self.trunk(tokens if self.place is None else tokens + self.place)
        return Features(tokens, frames[:, -colors:])


class FrameDecoder(nn.Module):
    """Tokens -> frame (B, C, H, W), decoded, or where the config says so blended with copies."""

    def __init__(self, config: GridConfig, channels: int):
        super().__init__()
        self.trunk = trunk(config.width, config.decoder_depth, config.attention)
        self.out = PatchOut(config.width, channels, config.patch)
        self.copy = (
            CopyOut(config.width, config.patch, config.copy, config.flow) if config.copies else None
        )

    def to_frame(self, tokens: Tensor, last: Tensor) -> Tensor:
        """tokens (B, D, G, G) after the trunk, last (B, C, H, W) -> (B, C, H, W)."""
        decoded = self.out(tokens)
        return decoded if self.copy is None else self.copy(tokens, decoded, last)

    def forward(self, tokens: Tensor, last: Tensor) -> Tensor:
        """tokens (B, D, G, G), last (B, C, H, W) -> (B, C, H, W)."""
        return self.to_frame(self.trunk(tokens), last)


class GridDenoiser(nn.Module):
    """A denoiser (see `protocols.Network`) on the patch grid."""

    def __init__(
        self,
        config: GridConfig,
        channels: int,
        context_channels: int,
        actions: Actions,
        grid_shape: tuple[int, int],
    ):
        super().__init__()
        self.colors, self.patch, width = channels, config.patch, config.width
        self.encoder = ContextEncoder(config, context_channels, actions, grid_shape)
        self.embed = PatchEmbed(channels, width, config.patch)
        self.level = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        self.decoder = FrameDecoder(config, channels)
        # How much of the noisy patch itself goes to the output, token by token. What EDM asks for
        # is the clean frame minus a share of the noisy one: without this path the tokens would have
        # to carry every noisy value.
        self.keep = zeroed(nn.Conv2d(width, 1, 1))

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """frames (B, K * C, H, W) in [-1, 1], encoded actions (B, *row)."""
        return self.encoder(frames, action, self.colors)

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """x (B, C, H, W), t (B,) -> (B, C, H, W)."""
        level = self.level(fourier(t, features.tokens.shape[1]))[:, :, None, None]
        tokens = self.decoder.trunk(self.embed(x) + level + features.tokens)
        keep = per_pixel(self.keep(tokens), self.patch)  # (B, 1, H, W)
        return self.decoder.to_frame(tokens, features.last) + keep * x


class OutcomeHead(nn.Module):
    """Reward, termination and trust of a frame, from the features and the sampled frame itself.

    With the number of `places` reward and termination are told from the frame alone, by a mean over
    its places with weights that are learned, of each channel its own: for rules that count what is
    in a part of the frame. A head that also sees the context learns to expect an end, and in a
    dream, whose contexts are a little off, it then misses some.
    """

    def __init__(self, config: NetworkConfig, channels: int, rewards: int, places: int = 0):
        super().__init__()
        self.rewards, features = rewards, config.pixel_features
        # A patch is embedded linearly, and no linear map counts the pixels of a color: for rewards
        # that depend on such counts, look at each pixel.
        self.pixels = (
            nn.Sequential(nn.Conv2d(channels, features, 1), nn.SiLU())
            if features
            else nn.Identity()
        )
        self.embed = PatchEmbed(features or channels, config.width, config.patch)
        self.mix = nn.Conv2d(config.width, config.width, 1)
        self.out = nn.Linear(2 * config.width, rewards + 2)
        self.place = small(config.width, places) if places else None
        self.where = nn.Parameter(torch.zeros(config.width, places)) if places else None
        self.by_frame = nn.Linear(3 * config.width, rewards + 1) if places else None

    def forward(self, features: Tensor, frame: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """features (B, D, G, G), frame (B, C, H, W) -> logits of reward (B, R),
        termination (B,) and trust (B,).
        """
        patches = self.embed(self.pixels(frame))
        out = self.out(pool(F.silu(self.mix(F.silu(features + patches)))))
        reward, termination, trust = out[:, : self.rewards], out[:, self.rewards], out[:, -1]
        if self.place is None or self.where is None or self.by_frame is None:
            return reward, termination, trust
        h = F.silu(self.mix(F.silu(patches + self.place.view_as(patches[0]))))
        weighted = (h.flatten(2) * self.where.softmax(1).to(h.dtype)).sum(2)  # (B, D)
        out = self.by_frame(torch.cat((pool(h), weighted), 1))
        return out[:, : self.rewards], out[:, self.rewards], trust
