"""The network of the deterministic pixel model:
an encoder and a decoder, modulated by actions through FiLM.

B lanes, K context frames, F frames ahead, C colors, D channels of a token, E channels of the
condition, A actions, G x G patch grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import setting
from world_models.networks.actions import Actions, absent, embed_actions
from world_models.networks.blocks import MixBlock, TokenNorm
from world_models.networks.copying import CopyOut
from world_models.networks.initialization import zeroed
from world_models.networks.modulation import Film
from world_models.protocols import Features


@dataclass(frozen=True)
class FilmConfig:
    """Sizes. Raises ValueError where the patch cannot be reached by halving."""

    null_action: ClassVar[bool] = True

    width: int = setting(64, "channels of every token")
    patch: int = setting(4, "pixels along the side of a token, a power of two")
    encoder_depth: int = setting(
        2, "residual blocks on the patch grid before the outcome head reads it"
    )
    decoder_depth: int = setting(1, "residual blocks after it")
    embedding: int = setting(16, "channels of an action")
    condition: int = setting(128, "channels of all actions together")
    ahead: int = setting(1, "frames predicted in one pass")
    copy: tuple[int, ...] = setting(
        (), "copy patches of the last frame from so many pixels off along each axis; empty: none"
    )
    flow: float = setting(
        0.0, "copy from so many pixels off at most, wherever the network points; 0: off"
    )
    pixel_features: int = setting(
        0, "features of single pixels that the outcome head counts; 0: it sees patches linearly"
    )

    def __post_init__(self):
        if self.patch < 2 or self.patch & (self.patch - 1):
            raise ValueError(f"patch of a FiLM network is 2, 4, 8, ..., not {self.patch}")
        if self.ahead < 1:
            raise ValueError(f"a network predicts at least one frame ahead, got {self.ahead}")

    @property
    def copies(self) -> bool:
        """Whether frames are blended with copies of the last one."""
        return bool(self.copy) or self.flow > 0

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at half the resolution, a quarter, ... down to the patch grid."""
        halvings = self.patch.bit_length() - 1
        return tuple(
            max(16, self.width >> (halvings - 1 - level)) for level in range(halvings - 1)
        ) + (self.width,)


class FilmConv(nn.Module):
    """A convolution that halves the resolution, or doubles it; then norm, FiLM, SiLU."""

    def __init__(self, inputs: int, outputs: int, condition: int, up: bool = False):
        super().__init__()
        self.up = up
        self.conv = (
            nn.Conv2d(inputs, outputs, 3, padding=1) if up else nn.Conv2d(inputs, outputs, 4, 2, 1)
        )
        self.norm, self.film = TokenNorm(outputs), zeroed(Film(outputs, condition))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x
        return F.silu(self.film(self.norm(self.conv(x)), condition))


class FilmNetwork(nn.Module):
    """Predicts the next F frames in one pass from K frames and K - 1 + F actions.

    Deterministic, so x and t are not read. See `protocols.Network`, except that `encode` takes all
    those actions.
    """

    def __init__(
        self,
        config: FilmConfig,
        colors: int,
        context_channels: int,
        actions: Actions,
        grid_shape: tuple[int, int],
    ):
        super().__init__()
        self.colors, self.actions, self.ahead = colors, actions, config.ahead
        known = context_channels // colors - 1 + config.ahead
        self.action = embed_actions(actions, config.embedding)  # the null action: not known
        width, e = config.width, config.condition
        self.condition = nn.Sequential(
            nn.Linear(known * config.embedding, e), nn.SiLU(), nn.Linear(e, e), nn.SiLU()
        )
        widths = config.widths
        ins = (context_channels + 2, *widths[:-1])
        self.down = nn.ModuleList(FilmConv(i, o, e) for i, o in zip(ins, widths, strict=True))
        self.encoder = nn.ModuleList(MixBlock(width, e) for _ in range(config.encoder_depth))
        self.decoder = nn.ModuleList(MixBlock(width, e) for _ in range(config.decoder_depth))
        steps = zip(widths[:0:-1], widths[-2::-1], strict=True)
        self.up = nn.ModuleList(FilmConv(i, o, e, up=True) for i, o in steps)
        self.out = nn.Conv2d(widths[0], 4 * config.ahead * colors, 3, padding=1)
        copies = config.ahead if config.copies else 0
        self.copy = nn.ModuleList(
            CopyOut(width, config.patch, config.copy, config.flow) for _ in range(copies)
        )

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """frames (B, K * C, H, W) in [-1, 1]; encoded actions (B, K - 1 + F, *row), oldest first:
        those between the frames, the present one, and F - 1 to come; the null action for one that
        is not known.

        `rest`: the condition (B, E), and which of the F frames follow from known actions alone
        (B, F) bool; the present one counts as known.
        """
        condition = self.condition(self.action(action).flatten(1))
        unknown = absent(action[:, -self.ahead :], self.actions)
        known = unknown.long().cumsum(1) == 0  # ONNX has no cumulative product
        known = torch.cat((torch.ones_like(known[:, :1]), known[:, 1:]), 1)
        x = torch.cat((frames, coordinates(frames)), 1)
        for layer in (*self.down, *self.encoder):
            x = layer(x, condition)
        return Features(x, frames[:, -self.colors :], (condition, known))

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """(B, F * C, H, W), the nearest frame first."""
        tokens, condition = features.tokens, features.rest[0]
        for block in self.decoder:
            tokens = block(tokens, condition)
        y = tokens
        for layer in self.up:
            y = layer(y, condition)
        decoded = F.pixel_shuffle(self.out(y), 2)
        if not len(self.copy):
            return decoded
        frames = zip(self.copy, decoded.split(self.colors, 1), strict=True)
        return torch.cat([copy(tokens, frame, features.last) for copy, frame in frames], 1)


def coordinates(frames: Tensor) -> Tensor:
    """(B, 2, H, W): x and y from -1 to 1 (Liu et al. 2018, "CoordConv", arXiv:1807.03247)."""
    batch, _, height, width = frames.shape
    y, x = (torch.linspace(-1, 1, side, device=frames.device) for side in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((x, y)).expand(batch, -1, -1, -1)
