"""The diffusion transformer: tokens are patches of the noisy frame, and every block is modulated by
time, action and start.

B lanes, K context frames, C colors, D channels, G x G patch grid, N = G * G tokens, A actions. The
start is the context: K frames.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from collectors.settings.parse import check_settings, setting
from world_models.networks.actions import Actions, absent, embed_actions, null_of
from world_models.networks.attention import attend
from world_models.networks.blocks import PatchEmbed, PatchOut, fourier, per_pixel
from world_models.networks.copying import CopyOut
from world_models.networks.initialization import zeroed
from world_models.networks.modulation import TokenFilm
from world_models.protocols import Features

TIME_FEATURES = 64  # sinusoids of a noise level
GROUPS = 8  # of the vision encoder's group norms


@dataclass(frozen=True)
class TransformerConfig:
    """Sizes of the transformer, and how the start reaches it."""

    null_action: ClassVar[bool] = True

    width: int = setting(128, "channels of every token")
    patch: int = setting(4, "pixels along the side of a patch")
    depth: int = setting(3, "blocks, all of them once per denoising step")
    heads: int = setting(4, "of attention")
    start: Literal["film", "patches", "both"] = setting(
        "patches", "the start as one vector (film), as patches at the input, or both"
    )
    vision: tuple[int, ...] = setting(
        (32, 64, 128), "with film: channels of the vision encoder, each layer halves the frame"
    )
    drop: Literal["action", "both"] = setting(
        "action", 'what dropout leaves out: the action, or "both" it and the start'
    )
    unconditional: bool = setting(False, "neither action nor start: pre-training for init_from")
    copy: tuple[int, ...] = setting(
        (), "copy patches of the last frame from so many pixels off along each axis; empty: none"
    )
    pixel_features: int = setting(
        0, "features of single pixels that the outcome head counts; 0: it sees patches linearly"
    )

    def __post_init__(self):
        check_settings(self)
        if self.depth < 1 or self.width % self.heads or self.width % 2:
            raise ValueError(
                "a transformer needs a block and an even width that divides by its heads: depth "
                f"{self.depth}, width {self.width}, heads {self.heads}"
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
        """Whether the start enters as a vector."""
        return self.start != "patches"

    @property
    def sees_patches(self) -> bool:
        """Whether the start enters as patches."""
        return self.start != "film"

    @property
    def copies(self) -> bool:
        """Whether frames are blended with copies of the last one."""
        return bool(self.copy)

    @property
    def drops_start(self) -> bool:
        """Whether the start is ever left out."""
        return self.unconditional or self.drop == "both"


class Vision(nn.Module):
    """The start as one vector: (B, K * C, H, W) -> (B, D).

    With group norms, so the vector of a lane depends on that lane alone.
    """

    def __init__(self, config: TransformerConfig, channels: int, size: tuple[int, int]):
        super().__init__()
        layers: list[nn.Module] = []
        for wider in config.vision:
            layers.append(nn.Conv2d(channels, wider, 3, stride=2, padding=1))
            layers += [nn.GroupNorm(GROUPS, wider), nn.SiLU()]
            channels, size = wider, ((size[0] + 1) // 2, (size[1] + 1) // 2)
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(channels * size[0] * size[1], config.width)

    def forward(self, frames: Tensor) -> Tensor:
        return self.out(self.layers(frames).flatten(1))


class Block(nn.Module):
    """Attention over all tokens, then an MLP of each; both are modulated and residual."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.before_attention = TokenFilm(width, width, nn.RMSNorm(width))
        self.before_mlp = TokenFilm(width, width, nn.RMSNorm(width))
        self.qkv, self.out = nn.Linear(width, 3 * width), zeroed(nn.Linear(width, width))
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), zeroed(nn.Linear(4 * width, width))
        )

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, N, D), condition (B, D) -> (B, N, D)."""
        x = x + self.out(attend(self.qkv(self.before_attention(x, condition)), self.heads))
        return x + self.mlp(self.before_mlp(x, condition))


class DiffusionTransformer(nn.Module):
    """Peebles & Xie 2023, "Scalable diffusion models with transformers", arXiv:2212.09748, with
    FiLM for their adaLN.

    A denoiser (see `protocols.Network`). The output may carry a share of x itself, token by token,
    as in `GridDenoiser`: few channels need not carry every noisy value.
    """

    def __init__(
        self,
        config: TransformerConfig,
        colors: int,
        context_channels: int,
        actions: Actions,
        grid_shape: tuple[int, int],
    ):
        super().__init__()
        self.config, self.colors, self.actions = config, colors, actions
        width, patch, (rows, columns) = config.width, config.patch, grid_shape
        self.embed = PatchEmbed(colors, width, patch)
        self.place = nn.Parameter(nn.init.normal_(torch.empty(width, rows, columns), std=0.02))
        self.action = embed_actions(actions, width)
        self.level = nn.Sequential(
            nn.Linear(TIME_FEATURES, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.context = nn.Linear(width * (1 + config.sees_vector), width)
        self.condition = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        vector, patches, drops = config.sees_vector, config.sees_patches, config.drops_start
        size = (rows * patch, columns * patch)
        self.vision = Vision(config, context_channels, size) if vector else None
        self.patches = PatchEmbed(context_channels, width, patch) if patches else None
        # what stands for a start that is left out
        self.null_vector = nn.Parameter(torch.zeros(width)) if drops and vector else None
        self.null_patch = nn.Parameter(torch.zeros(width, 1, 1)) if drops and patches else None
        self.blocks = nn.ModuleList(Block(width, config.heads) for _ in range(config.depth))
        self.out = PatchOut(width, colors, patch)
        self.copy = CopyOut(width, patch, config.copy, 0.0) if config.copies else None
        self.keep = zeroed(nn.Conv2d(width, 1, 1))

    def encode(self, frames: Tensor, action: Tensor) -> Features:
        """All that does not depend on a noise level.

        frames (B, K * C, H, W) in [-1, 1], encoded actions (B, *row). `rest` is (the condition
        of every block beside the time (B, D),). Where the start is left out, the learned null
        stands for it, and `last` is 0: there is nothing to copy either.
        """
        if self.config.unconditional:
            action = torch.full_like(action, null_of(self.actions))
        dropped = self.without_start(action)
        context = self.action(action)
        if self.vision is not None:
            vector = self.vision(frames)
            if self.null_vector is not None and dropped is not None:
                vector = torch.where(dropped[:, None], self.null_vector, vector)
            context = torch.cat((context, vector), 1)  # (B, 2 D)
        context = self.context(context)  # (B, D)
        tokens = self.place + context[:, :, None, None]  # (B, D, G, G)
        last = frames[:, -self.colors :]  # (B, C, H, W)
        if dropped is not None:
            last = last.masked_fill(dropped[:, None, None, None], 0)
        if self.patches is not None:
            patches = self.patches(frames)
            if self.null_patch is not None and dropped is not None:
                patches = torch.where(dropped[:, None, None, None], self.null_patch, patches)
            tokens = tokens + patches
        return Features(tokens.contiguous(memory_format=torch.channels_last), last, (context,))

    def without_start(self, action: Tensor) -> Tensor | None:
        """The lanes (B,) whose start is left out; None where none ever is."""
        return absent(action, self.actions) if self.config.drops_start else None

    def forward(self, x: Tensor, t: Tensor, features: Features) -> Tensor:
        """x (B, C, H, W), t (B,) -> (B, C, H, W)."""
        level = self.level(fourier(t, TIME_FEATURES))
        condition = self.condition(level + features.rest[0])  # (B, D)
        grid = self.embed(x) + features.tokens
        tokens = grid.permute(0, 2, 3, 1).flatten(1, 2)  # (B, N, D)
        for block in self.blocks:
            tokens = block(tokens, condition)
        grid = tokens.unflatten(1, grid.shape[2:]).permute(0, 3, 1, 2)  # (B, D, G, G)
        decoded = self.out(grid)
        if self.copy is not None:
            decoded = self.copy(grid, decoded, features.last)
        return decoded + per_pixel(self.keep(grid), self.config.patch) * x
