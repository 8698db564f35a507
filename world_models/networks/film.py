"""The network of the deterministic pixel model: an encoder and a decoder, steered by actions
through FiLM.

B lanes, K context pictures, F pictures ahead, C colours, D channels of a token, E channels of the
condition, A actions, G x G patch grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.blocks import CopyOut, TokenNorm, pool
from world_models.protocols import Features


@dataclass(frozen=True)
class FilmConfig:
    """Sizes. Raises ValueError where the patch cannot be reached by halving."""

    null_action: ClassVar[bool] = True

    width: int = 64  # channels of every token
    patch: int = 4  # pixels along the side of a token, a power of two
    encoder_depth: int = 2  # residual blocks on the patch grid before and
    decoder_depth: int = 1  # after the outcome head looks
    embedding: int = 16  # channels of an action
    condition: int = 128  # channels of all actions together
    ahead: int = 1  # pictures painted in one pass
    copy: tuple[
        int, ...
    ] = ()  # patches may be copied from the last picture, from so many pixels off along each axis
    flow: float = 0.0  # and from so many pixels off at most, wherever the network points; 0: not
    pixel_features: int = (
        0  # features of single pixels that the outcome head counts; 0: it sees patches linearly
    )

    def __post_init__(self):
        if self.patch < 2 or self.patch & (self.patch - 1):
            raise ValueError(f"patch of a FiLM network is 2, 4, 8, ..., not {self.patch}")
        if self.ahead < 1:
            raise ValueError(f"a network paints at least one picture ahead, got {self.ahead}")

    @property
    def copies(self) -> bool:
        return bool(self.copy) or self.flow > 0

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at half the resolution, a quarter, ... down to the patch grid."""
        halvings = self.patch.bit_length() - 1
        return tuple(
            max(16, self.width >> (halvings - 1 - level)) for level in range(halvings - 1)
        ) + (self.width,)


class Film(nn.Module):
    """x (1 + scale) + shift, by the condition (B, E) (Perez et al.

    2017, arXiv:1709.07871, eq. 1 and 2).
    """

    def __init__(self, channels: int, condition: int):
        super().__init__()
        self.linear = nn.Linear(condition, 2 * channels)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.linear(condition)[:, :, None, None].chunk(2, 1)
        return x * (1 + scale) + shift


class FilmConv(nn.Module):
    """A convolution that halves the resolution, or doubles it; then norm, FiLM, SiLU."""

    def __init__(self, inputs: int, outputs: int, condition: int, up: bool = False):
        super().__init__()
        self.up = up
        self.conv = (
            nn.Conv2d(inputs, outputs, 3, padding=1) if up else nn.Conv2d(inputs, outputs, 4, 2, 1)
        )
        self.norm, self.film = TokenNorm(outputs), Film(outputs, condition)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x
        return F.silu(self.film(self.norm(self.conv(x)), condition))


class FilmBlock(nn.Module):
    """Residual block on the patch grid: what is near, what is anywhere (a camera moves it all
    alike), then FiLM.
    """

    def __init__(self, width: int, condition: int):
        super().__init__()
        self.norm, self.film = TokenNorm(width), Film(width, condition)
        self.near, self.far = nn.Conv2d(width, width, 3, padding=1), nn.Linear(2 * width, width)
        self.out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.norm(x)
        y = self.near(y) + self.far(pool(y))[:, :, None, None]
        return x + self.out(F.silu(self.film(y, condition)))


class FilmNetwork(nn.Module):
    """Paints the next F pictures in one pass from K pictures and K - 1 + F actions; deterministic,
    so x and t are not read. See `protocols.Network`, except that `encode` wants all those actions.
    """

    def __init__(
        self,
        config: FilmConfig,
        colours: int,
        context_channels: int,
        actions: int,
        grid_shape: tuple[int, int],
    ):
        super().__init__()
        self.colours, self.null_action, self.ahead = colours, actions, config.ahead
        seen = context_channels // colours - 1 + config.ahead
        self.action = nn.Embedding(
            actions + 1, config.embedding
        )  # the last row stands for an action not known
        mapping = (nn.Linear(seen * config.embedding, config.condition), nn.SiLU())
        self.condition = nn.Sequential(
            *mapping, nn.Linear(config.condition, config.condition), nn.SiLU()
        )
        widths, e = config.widths, config.condition
        ins = (context_channels + 2, *widths[:-1])
        self.down = nn.ModuleList(FilmConv(i, o, e) for i, o in zip(ins, widths, strict=True))
        self.encoder = nn.ModuleList(
            FilmBlock(config.width, e) for _ in range(config.encoder_depth)
        )
        self.decoder = nn.ModuleList(
            FilmBlock(config.width, e) for _ in range(config.decoder_depth)
        )
        steps = zip(widths[:0:-1], widths[-2::-1], strict=True)
        self.up = nn.ModuleList(FilmConv(i, o, e, up=True) for i, o in steps)
        self.out = nn.Conv2d(widths[0], 4 * config.ahead * colours, 3, padding=1)
        moves = (config.width, config.patch, config.copy, config.flow)
        self.copy = nn.ModuleList(
            CopyOut(*moves) for _ in range(config.ahead if config.copies else 0)
        )

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """frames (B, K * C, H, W) in [-1, 1]; action (B, K - 1 + F) int64, oldest first: those
        between the pictures, the present one, and F - 1 to come; A for one that is not known.
        `rest`: the condition, and which of the F pictures follow from known actions alone (B, F)
        bool; the present one counts as known.
        """
        condition = self.condition(self.action(action).flatten(1))
        known = (action[:, -self.ahead :] == self.null_action).long().cumsum(
            1
        ) == 0  # ONNX knows no product so far
        known = torch.cat((torch.ones_like(known[:, :1]), known[:, 1:]), 1)
        x = torch.cat((frames, coordinates(frames)), 1)
        for layer in (*self.down, *self.encoder):
            x = layer(x, condition)
        return Features(x, frames[:, -self.colours :], (condition, known))

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """(B, F * C, H, W), the nearest picture first."""
        tokens, condition = features.tokens, features.rest[0]
        for block in self.decoder:
            tokens = block(tokens, condition)
        y = tokens
        for layer in self.up:
            y = layer(y, condition)
        painted = F.pixel_shuffle(self.out(y), 2)
        pictures = painted.split(self.colours, 1)
        copied = [
            copy(tokens, p, features.last) for copy, p in zip(self.copy, pictures, strict=False)
        ]
        return torch.cat(copied, 1) if copied else painted


def coordinates(frames: Tensor) -> Tensor:
    """(B, 2, H, W): x and y from -1 to 1 (Liu et al. 2018, "CoordConv", arXiv:1807.03247)."""
    batch, _, height, width = frames.shape
    y, x = (torch.linspace(-1, 1, side, device=frames.device) for side in (height, width))
    y, x = torch.meshgrid(y, x, indexing="ij")
    return torch.stack((x, y)).expand(batch, -1, -1, -1)
