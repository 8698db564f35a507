"""The parts of the joint model: an encoder of the board, a latent for every cell, and the field
over (latent, action).

B lanes, C colours, D channels, G x G cells (one a patch), Z numbers a latent, A actions. A pair is
one vector: the latents of all cells, then the action, (B, Z * G * G + A).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.diffusion.energy import ENERGIES, energy_gradient, energy_of
from world_models.networks.blocks import AttentionBlock, MixBlock, PatchEmbed, TokenNorm, pool
from world_models.protocols import Features

STEMS = ("", "replace", "append")


@dataclass(frozen=True)
class EqMFieldConfig:
    """Sizes of the encoder and of the field."""

    null_action: ClassVar[bool] = True

    width: int = 64  # channels of every token
    patch: int = 4  # pixels along the side of a cell
    pixel_features: int = 0  # see `grid.OutcomeHead`
    depth: int = 3  # transformer layers, once a step
    heads: int = 4
    # tokens from a patch embedding (""), from convolutions ("replace"), or both ("append")
    cnn: str = "replace"
    latent: int = 8  # numbers a cell
    field_width: int = 64  # channels of the field
    field_depth: int = 2  # its layers, at every step of descent
    # the field is the gradient of x . f(x) ("dot") or of |f(x)|^2 / 2 ("l2"), or is learned itself
    energy: str = ""

    def __post_init__(self):
        if self.energy not in ENERGIES:
            raise ValueError(f"energy is one of {ENERGIES}, not {self.energy!r}")
        if self.cnn not in STEMS:
            raise ValueError(f"cnn is one of {STEMS}, not {self.cnn!r}")
        if self.width % (4 * self.heads) or self.width % 4:
            raise ValueError(
                f"width {self.width} does not divide into {self.heads} heads of whole fours"
            )


def positions(width: int, rows: int, columns: int) -> Tensor:
    """Sines and cosines of row and column, a quarter of the channels each: (D, G, G)."""
    frequency = torch.exp(-torch.arange(width // 4) / (width // 4) * math.log(100.0))
    down, right = (torch.arange(n)[:, None] * frequency for n in (rows, columns))  # (G, D / 4)
    down = torch.cat((down.sin(), down.cos()), 1).T[:, :, None].expand(-1, rows, columns)
    right = torch.cat((right.sin(), right.cos()), 1).T[:, None, :].expand(-1, rows, columns)
    return torch.cat((down, right))


class FeedForward(nn.Module):
    """Residual two-layer network of every token by itself. (B, D, G, G) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.up, self.down = (
            TokenNorm(width),
            nn.Conv2d(width, 4 * width, 1),
            nn.Conv2d(4 * width, width, 1),
        )
        nn.init.zeros_(self.down.weight)
        nn.init.zeros_(self.down.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class BoardEncoder(nn.Module):
    """A transformer over cells with two-dimensional positions: frame (B, C, H, W) -> tokens (B, D,
    G, G).
    """

    def __init__(self, config: EqMFieldConfig, channels: int, grid_shape: tuple[int, int]):
        super().__init__()
        width, self.append = config.width, config.cnn == "append"
        self.embed = PatchEmbed(channels, width, config.patch)
        self.cnn = nn.Sequential(MixBlock(width), MixBlock(width)) if config.cnn else nn.Identity()
        layers = [
            part
            for _ in range(config.depth)
            for part in (AttentionBlock(width, config.heads), FeedForward(width))
        ]
        self.layers, self.norm = nn.Sequential(*layers), TokenNorm(width)
        self.register_buffer("place", positions(width, *grid_shape), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        cells = self.embed(frames)
        tokens = self.cnn(cells) + self.place
        if (
            self.append
        ):  # convolved cells and bare ones as twice as many tokens, of which the first half is kept
            tokens = torch.cat((tokens, cells + self.place), 2)
        tokens = self.layers(tokens.contiguous(memory_format=torch.channels_last))
        return self.norm(tokens[:, :, : len(self.place[0])])


class CellCoder(nn.Module):
    """Latents of cells, and cells of latents: the target of the field, which can be drawn."""

    def __init__(self, config: EqMFieldConfig, colours: int):
        super().__init__()
        width, self.patch = config.width, config.patch
        self.enter = nn.Sequential(
            PatchEmbed(colours, width, config.patch), nn.SiLU(), nn.Conv2d(width, config.latent, 1)
        )
        self.leave = nn.Sequential(
            nn.Conv2d(config.latent, width, 1),
            nn.SiLU(),
            nn.Conv2d(width, colours * config.patch**2, 1),
        )

    def encode(self, frame: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, Z, G, G)."""
        return self.enter(frame)

    def decode(self, latent: Tensor) -> Tensor:
        """(B, Z, G, G) -> (B, C, H, W) in about [-1, 1]."""
        return F.pixel_shuffle(self.leave(latent), self.patch)


class EqMField(nn.Module):
    """The gradient over pairs, told nothing of the noise level: (B, Z G G + A), t unused -> the
    same shape.

    Every cell is moved by a network of its own token, its latent, the action and a pooled message;
    the action by what is pooled. What needs the neighbours is in the tokens already, which makes a
    step of descent cheap.

    Features: tokens (B, D, G, G) of the board; rest = (given (B, A), held (B, 1), now (B, Z, G,
    G)): where held is 1 the action is `given`, whatever the pair says, and does not move; `now` are
    the latents of the last frame, where the cells rest that nothing happens to.
    """

    def __init__(self, config: EqMFieldConfig, actions: int):
        super().__init__()
        self.actions, self.latent, self.energy = actions, config.latent, config.energy
        width = config.field_width
        self.board, self.enter = (
            nn.Conv2d(config.width, width, 1),
            nn.Conv2d(config.latent, width, 1),
        )
        self.told = nn.Linear(actions + 1, 2 * width)  # also told whether the action is held
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(config.field_depth))
        self.far = nn.Linear(2 * width, width)
        self.leave = nn.Conv2d(width, config.latent, 1)
        self.choose = nn.Sequential(
            nn.Linear(2 * width + actions, width), nn.SiLU(), nn.Linear(width, actions)
        )

    def split(self, pair: Tensor, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """A pair -> latents (B, Z, G, G) and action (B, A)."""
        latent, action = pair[:, : -self.actions], pair[:, -self.actions :]
        cells = latent.unflatten(1, (*grid, self.latent)).permute(
            0, 3, 1, 2
        )  # channels last in memory as it lies
        return cells, action

    def join(self, latent: Tensor, action: Tensor) -> Tensor:
        """Inverse of `split`."""
        return torch.cat((latent.permute(0, 2, 3, 1).flatten(1), action), 1)

    def free(self, pair: Tensor, features: Features) -> Tensor:
        """The learned function f of a pair, action and all; a held action is put in its place."""
        latent, action = self.split(pair, features.tokens.shape[2:])
        given, held, now = features.rest
        action = torch.lerp(action, given.to(action.dtype), held.to(action.dtype))
        # Without the flag a noisy free action that happens to look like a move would blur what a
        # held one means.
        scale, shift = self.told(torch.cat((action, held), 1))[:, :, None, None].chunk(2, 1)
        h = F.silu((self.board(features.tokens)) * (1 + scale) + shift + self.enter(latent))
        for number, layer in enumerate(self.layers):
            message = self.far(pool(h))[:, :, None, None] if number == 0 else 0
            h = h + F.silu(layer(h) + message)
        out = self.join(self.leave(h), self.choose(torch.cat((pool(h), action), 1)))
        # The gradient of a well around x0 is x - x0: what is there enters the output directly, and
        # so does what was.
        return out + self.join(latent - now, action)

    def energies(self, pair: Tensor, features: Features) -> Tensor:
        """(B,): the explicit energy of pairs, or where there is none |f|^2 / 2, which is 0 at
        rest.
        """
        return energy_of(self.energy, pair, self.free(pair, features))

    def gradient(self, pair: Tensor, features: Features) -> Tensor:
        """The gradient of the explicit energy."""
        return energy_gradient(self.energies, pair, features)

    def forward(self, pair: Tensor, t: Tensor, features: Features) -> Tensor:
        field = self.gradient(pair, features) if self.energy else self.free(pair, features)
        _, held, _ = features.rest
        still = torch.cat(
            (torch.ones_like(field[:, : -self.actions]), (1 - held).expand(-1, self.actions)), 1
        )
        return field * still
