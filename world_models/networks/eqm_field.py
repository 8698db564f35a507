"""The parts of the joint model: an encoder of the context, a codec of frames, and the field over
pairs of next state and action.

B lanes, C colors, D channels, E channels of the field, G x G patch grid, Z numbers per latent, A
actions. A latent (Z numbers) stands for a patch of the next frame. A pair is one vector: the
latents of all patches, then the action, (B, Z * G * G + A).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import check_settings, setting
from world_models.diffusion.energy import energy_gradient, energy_of
from world_models.networks.attention import AttentionBlock
from world_models.networks.blocks import MixBlock, PatchEmbed, TokenNorm, pool
from world_models.networks.initialization import zeroed
from world_models.networks.modulation import Film
from world_models.protocols import Features


@dataclass(frozen=True)
class EqMFieldConfig:
    """Sizes of the context encoder, the codec and the field."""

    null_action: ClassVar[bool] = True
    copies = False

    width: int = setting(64, "channels of every token")
    patch: int = setting(4, "pixels along the side of a patch")
    pixel_features: int = setting(
        0, "features of single pixels that the outcome head counts; 0: it sees patches linearly"
    )
    depth: int = setting(3, "transformer layers, once per environment step")
    heads: int = setting(4, "of attention")
    cnn: Literal["", "replace", "append"] = setting(
        "replace",
        'tokens from a patch embedding (""), from convolutions (replace), or both (append)',
    )
    latent: int = setting(8, "numbers per patch")
    field_width: int = setting(64, "channels of the field")
    field_depth: int = setting(2, "its layers, at every step of descent")
    energy: Literal["", "dot", "l2"] = setting(
        "", 'the field is the gradient of x . f(x) (dot) or |f(x)|^2 / 2 (l2); "": it is the output'
    )

    def __post_init__(self):
        check_settings(self)
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
        self.norm, self.up = TokenNorm(width), nn.Conv2d(width, 4 * width, 1)
        self.down = zeroed(nn.Conv2d(4 * width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(self.norm(x))))


class TransformerEncoder(nn.Module):
    """A transformer over patches with two-dimensional positions.

    Context frames (B, K * C, H, W) -> tokens (B, D, G, G).
    """

    place: Tensor  # (D, G, G)

    def __init__(self, config: EqMFieldConfig, channels: int, grid_shape: tuple[int, int]):
        super().__init__()
        width, self.append = config.width, config.cnn == "append"
        self.embed = PatchEmbed(channels, width, config.patch)
        self.cnn = nn.Sequential(MixBlock(width), MixBlock(width)) if config.cnn else nn.Identity()
        layers: list[nn.Module] = []
        for _ in range(config.depth):
            layers.append(AttentionBlock(width, config.heads, TokenNorm(width)))
            layers.append(FeedForward(width))
        self.layers, self.norm = nn.Sequential(*layers), TokenNorm(width)
        self.register_buffer("place", positions(width, *grid_shape), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        patches = self.embed(frames)
        tokens = self.cnn(patches) + self.place
        if self.append:  # twice as many tokens, of which the first half is kept
            tokens = torch.cat((tokens, patches + self.place), 2)
        tokens = self.layers(tokens.contiguous(memory_format=torch.channels_last))
        return self.norm(tokens[:, :, : self.place.shape[1]])


class FrameCodec(nn.Module):
    """Latents of patches, and patches of latents: the target of the field, which can be decoded."""

    def __init__(self, config: EqMFieldConfig, colors: int):
        super().__init__()
        width, self.patch = config.width, config.patch
        self.encoder = nn.Sequential(
            PatchEmbed(colors, width, config.patch), nn.SiLU(), nn.Conv2d(width, config.latent, 1)
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(config.latent, width, 1),
            nn.SiLU(),
            nn.Conv2d(width, colors * config.patch**2, 1),
        )

    def encode(self, frame: Tensor) -> Tensor:
        """(B, C, H, W) in [-1, 1] -> (B, Z, G, G)."""
        return self.encoder(frame)

    def decode(self, latent: Tensor) -> Tensor:
        """(B, Z, G, G) -> (B, C, H, W) in about [-1, 1]."""
        return F.pixel_shuffle(self.decoder(latent), self.patch)


class EqMField(nn.Module):
    """The gradient over pairs, without the noise level: (B, Z G G + A), t unused -> the same shape.

    Every latent is moved by a network of its own token, the action and a pooled message; the action
    by what is pooled. What depends on neighbors is in the tokens already, which makes a step of
    descent cheap.

    Features: tokens (B, D, G, G) of the context; rest = (given (B, A), fixed (B, 1), now (B, Z, G,
    G)): where `fixed` is 1 the action is `given`, whatever the pair says, and does not move; `now`
    are the latents of the last frame, where the patches rest that do not change.
    """

    def __init__(self, config: EqMFieldConfig, actions: int):
        super().__init__()
        self.actions, self.latent, self.energy = actions, config.latent, config.energy
        width = config.field_width
        self.context = nn.Conv2d(config.width, width, 1)
        self.enter = nn.Conv2d(config.latent, width, 1)
        self.film = Film(width, actions + 1)  # also by the flag whether the action is fixed
        self.layers = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(config.field_depth))
        self.far = nn.Linear(2 * width, width)
        self.leave = nn.Conv2d(width, config.latent, 1)
        self.choose = nn.Sequential(
            nn.Linear(2 * width + actions, width), nn.SiLU(), nn.Linear(width, actions)
        )

    def split(self, pair: Tensor, grid: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """A pair -> latents (B, Z, G, G), channels last in memory, and action (B, A)."""
        latent, action = pair[:, : -self.actions], pair[:, -self.actions :]
        return latent.unflatten(1, (*grid, self.latent)).permute(0, 3, 1, 2), action

    def join(self, latent: Tensor, action: Tensor) -> Tensor:
        """Inverse of `split`."""
        return torch.cat((latent.permute(0, 2, 3, 1).flatten(1), action), 1)

    def free(self, pair: Tensor, features: Features) -> Tensor:
        """The learned function f of a pair, the action's part too;
        a fixed action replaces the pair's.
        """
        latent, action = self.split(pair, features.tokens.shape[2:])
        given, fixed, now = features.rest
        action = torch.lerp(action, given.to(action.dtype), fixed.to(action.dtype))
        # Without the flag a noisy free action that happens to look like a move would blur what a
        # fixed one means.
        context = self.film(self.context(features.tokens), torch.cat((action, fixed), 1))
        h = F.silu(context + self.enter(latent))
        for number, layer in enumerate(self.layers):
            message = self.far(pool(h))[:, :, None, None] if number == 0 else 0
            h = h + F.silu(layer(h) + message)
        out = self.join(self.leave(h), self.choose(torch.cat((pool(h), action), 1)))
        # The gradient of a well around x0 is x - x0: what is there enters the output directly, and
        # so does what was.
        return out + self.join(latent - now, action)

    def energies(self, pair: Tensor, features: Features) -> Tensor:
        """(B,): the explicit energy of pairs, or without one |f|^2 / 2, which is 0 at rest."""
        return energy_of(self.energy, pair, self.free(pair, features))

    def gradient(self, pair: Tensor, features: Features) -> Tensor:
        """The gradient of the explicit energy, the shape of the pair."""
        return energy_gradient(self.energies, pair, features)

    def forward(self, pair: Tensor, t: Tensor, features: Features) -> Tensor:
        """The field at pairs (B, Z G G + A); t is not read. A fixed action has gradient 0."""
        field = self.gradient(pair, features) if self.energy else self.free(pair, features)
        _, fixed, _ = features.rest
        latents = torch.ones_like(field[:, : -self.actions])
        movable = torch.cat((latents, (1 - fixed).expand(-1, self.actions)), 1)
        return field * movable
