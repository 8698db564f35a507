"""The diffusion transformer: tokens are patches of the noisy frame, and every block is told time,
action and start.

B lanes, K context frames, C colours, D channels, G x G patch grid, N = G * G tokens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.blocks import CopyOut, PatchEmbed, PatchOut, fourier
from world_models.protocols import Features

TIME_FEATURES = 64  # sinusoids of a noise level
GROUPS = 8  # of the vision encoder's group norms


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the transformer, and how the start image (the context) reaches it."""

    null_action: ClassVar[bool] = True

    width: int = 128  # channels of every token
    patch: int = 4  # pixels along the side of a patch
    depth: int = 3  # blocks, all of them once a denoising step
    heads: int = 4  # of attention
    start: Literal["film", "patches", "both"] = (
        "patches"  # the start image as one vector, as patches at the input
    )
    vision: tuple[int, ...] = (
        32,
        64,
        128,
    )  # channels of the vision encoder, each layer halves the picture (film)
    drop: Literal["action", "both"] = (
        "action"  # what is left out where the action is: "both" drops the start image too
    )
    unconditional: bool = False  # neither action nor start image: pre-training for init_from
    copy: tuple[
        int, ...
    ] = ()  # patches may be copied from the last frame, from so many pixels off along each axis
    pixel_features: int = (
        0  # features of single pixels that the outcome head counts; 0: it sees patches linearly
    )

    def __post_init__(self):
        if self.start not in ("film", "patches", "both") or self.drop not in ("action", "both"):
            raise ValueError(
                f"start of a transformer is film, patches or both and drop is action or both, "
                f"not {self.start!r} and {self.drop!r}"
            )
        if self.depth < 1 or self.width % self.heads or self.width % 2:
            raise ValueError(
                "a transformer needs a block and an even width that divides by its heads: depth "
                f"{self.depth}, "
                f"width {self.width}, heads {self.heads}"
            )
        if self.sees_vector and (
            not self.vision or any(channels % GROUPS for channels in self.vision)
        ):
            raise ValueError(
                f"vision {self.vision} needs layers whose channels divide by {GROUPS}, or "
                "start=patches"
            )
        if self.unconditional and self.copy:
            raise ValueError(
                "an unconditional transformer has nothing to copy from: set copy=() and add it "
                "after"
            )

    @property
    def sees_vector(self) -> bool:
        return self.start != "patches"

    @property
    def sees_patches(self) -> bool:
        return self.start != "film"

    @property
    def copies(self) -> bool:
        return bool(self.copy)


class Vision(nn.Module):
    """The start image as one vector: (B, K * C, H, W) -> (B, D).

    Group norms: a lane's vector is its own.
    """

    def __init__(self, config: TransformerConfig, channels: int, size: tuple[int, int]):
        super().__init__()
        layers: list[nn.Module] = []
        for wider in config.vision:
            layers += [
                nn.Conv2d(channels, wider, 3, stride=2, padding=1),
                nn.GroupNorm(GROUPS, wider),
                nn.SiLU(),
            ]
            channels, size = wider, ((size[0] + 1) // 2, (size[1] + 1) // 2)
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(channels * size[0] * size[1], config.width)

    def forward(self, frames: Tensor) -> Tensor:
        return self.out(self.layers(frames).flatten(1))


class FiLM(nn.Module):
    """RMS norm, scaled and shifted channel by channel as the condition says (Perez et al.

    2018, arXiv:1709.07871).
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.told = nn.RMSNorm(width), nn.Linear(width, 2 * width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, N, D), condition (B, D) -> (B, N, D)."""
        scale, shift = self.told(condition)[:, None].chunk(2, 2)
        return self.norm(x) * (1 + scale) + shift


class Block(nn.Module):
    """Attention over all tokens, then each for itself; both read FiLM and add to their input."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads, self.before_attention, self.before_mlp = heads, FiLM(width), FiLM(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )
        for layer in (self.out, self.mlp[-1]):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, N, D), condition (B, D) -> (B, N, D)."""
        qkv = self.qkv(self.before_attention(x, condition)).unflatten(2, (3, self.heads, -1))
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each (B, heads, N, D / heads)
        x = x + self.out(
            F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        )
        return x + self.mlp(self.before_mlp(x, condition))


class DiffusionTransformer(nn.Module):
    """Peebles & Xie 2023, "Scalable diffusion models with transformers", arXiv:2212.09748, with
    FiLM for their adaLN.

    A denoiser (see `protocols.Network`). What it says of x may carry a share of x itself, token by
    token, as in `GridDenoiser`: few channels need not carry every noisy value.
    """

    def __init__(
        self,
        config: TransformerConfig,
        colours: int,
        context_channels: int,
        actions: int,
        grid_shape: tuple[int, int],
    ):
        super().__init__()
        self.config, self.colours, self.actions = config, colours, actions
        width, patch, (rows, columns) = config.width, config.patch, grid_shape
        self.embed = PatchEmbed(colours, width, patch)
        self.place = nn.Parameter(nn.init.normal_(torch.empty(width, rows, columns), std=0.02))
        self.action = nn.Embedding(actions + 1, width)  # the last row is the learned null
        self.level = nn.Sequential(
            nn.Linear(TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.given = nn.Linear(width * (1 + config.sees_vector), width)
        self.condition = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.vision = (
            Vision(config, context_channels, (rows * patch, columns * patch))
            if config.sees_vector
            else None
        )
        self.patches = PatchEmbed(context_channels, width, patch) if config.sees_patches else None
        nulls = width if config.unconditional or config.drop == "both" else 0
        self.null_vector = (
            nn.Parameter(torch.zeros(nulls)) if nulls and config.sees_vector else None
        )
        self.null_patch = (
            nn.Parameter(torch.zeros(nulls, 1, 1)) if nulls and config.sees_patches else None
        )
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.depth))
        self.out = PatchOut(width, colours, patch)
        self.copy = CopyOut(width, patch, config.copy, 0.0) if config.copies else None
        self.keep = nn.Conv2d(width, 1, 1)
        nn.init.zeros_(self.keep.weight)
        nn.init.zeros_(self.keep.bias)

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """All that no noise level changes. rest: (what every block is told beside the time (B,
        D),).

        frames (B, K * C, H, W) in [-1, 1], action (B,) int64, A for none. Where the start image is
        left out, all that is seen of it is the learned null, and `last` is 0: there is nothing to
        copy either.
        """
        if self.config.unconditional:
            action = torch.full_like(action, self.actions)
        absent = self.absent(action)
        told = self.action(action)
        if self.vision is not None:
            vector = self.vision(frames)
            vector = (
                vector if absent is None else torch.where(absent[:, None], self.null_vector, vector)
            )
            told = torch.cat((told, vector), 1)  # (B, 2 D)
        given = self.given(told)  # (B, D)
        tokens, last = (
            self.place + given[:, :, None, None],
            frames[:, -self.colours :],
        )  # (B, D, G, G), (B, C, H, W)
        if absent is not None:
            absent = absent[:, None, None, None]
            last = last.masked_fill(absent, 0)
        if self.patches is not None:
            seen = self.patches(frames)
            tokens = tokens + (
                seen if absent is None else torch.where(absent, self.null_patch, seen)
            )
        return Features(tokens.contiguous(memory_format=torch.channels_last), last, (given,))

    def absent(self, action: Tensor) -> Tensor | None:
        """The lanes (B,) whose start image is left out; None where none ever is."""
        return (
            action == self.actions
            if self.config.unconditional or self.config.drop == "both"
            else None
        )

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """x (B, C, H, W), t (B,) -> (B, C, H, W)."""
        condition = self.condition(
            self.level(fourier(t, TIME_FEATURES)) + features.rest[0]
        )  # (B, D)
        grid = self.embed(x) + features.tokens
        tokens = grid.permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, D)
        for block in self.blocks:
            tokens = block(tokens, condition)
        grid = tokens.unflatten(1, grid.shape[2:]).permute(0, 3, 1, 2)  # (B, D, G, G)
        painted = self.out(grid)
        painted = painted if self.copy is None else self.copy(grid, painted, features.last)
        keep = (
            self.keep(grid)
            .repeat_interleave(self.config.patch, 2)
            .repeat_interleave(self.config.patch, 3)
        )
        return painted + keep * x
