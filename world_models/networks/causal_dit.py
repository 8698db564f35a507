"""A transformer over the patches of many frames, causal from frame to frame, with a cache of what
it has read.

Diffusion transformer blocks (Peebles & Xie 2022, arXiv:2212.09748) whose adaptive norms are told,
frame by frame, the noise level and the action that led to the frame; normed queries and keys (Henry
et al. 2020, arXiv:2010.04245); a gated MLP (Shazeer 2020, arXiv:2002.05202).

B lanes, T frames, P tokens a frame (registers, then G x G patches), D channels, L blocks, h heads
of d channels, S = window - 1 places in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.attention import Rotary, attend, rotate
from world_models.networks.blocks import fourier


@dataclass(frozen=True)
class CausalDiTConfig:
    """Sizes of the transformer."""

    null_action: ClassVar[bool] = True

    width: int = 128  # channels of every token
    patch: int = 8  # pixels along the side of a token
    depth: int = 3  # blocks
    heads: int = 4
    expansion: int = 2  # hidden channels of the MLP, in widths
    window: int = 16  # frames that a token sees, its own among them
    rope: Literal["flat", "factored"] = (
        "flat"  # positions: in the whole sequence, or time, row and column apart
    )
    base: float = 5000.0  # of the positions' frequencies
    registers: int = 0  # tokens a frame beside its patches
    # tokens know where they are; rotations alone tell distances, and a score has its place
    positions: bool = False
    stem: int = (
        0  # channels of two convolutions before the patches; 0: patches are embedded as they are
    )
    pixel_features: int = (
        0  # features of single pixels that the outcome head counts; 0: it sees patches linearly
    )

    def __post_init__(self):
        least = 6 if self.rope == "factored" else 2
        if self.width % (2 * self.heads) or self.width // self.heads < least:
            raise ValueError(
                f"width {self.width} does not give {self.heads} heads an even number >= {least} "
                "each"
            )
        if self.rope not in ("flat", "factored"):
            raise ValueError(f"rope is flat or factored, not {self.rope!r}")
        if self.window < 2:
            raise ValueError(
                f"a window holds at least the new frame and one before it, 2, not {self.window}"
            )


class KVCache(NamedTuple):
    """What was read of each frame, in a ring; keys are kept before their rotation, for a frame's
    age will change.
    """

    keys: Tensor  # (B, L, h, S, P, d)
    values: Tensor  # (B, L, h, S, P, d)
    count: Tensor  # (B,) int64, frames read so far; number n lies in place n % S


class CacheView(NamedTuple):
    """A memory as the next frame sees it, and the action that leads there."""

    keys: Tensor  # (B, L, h, S * P, d), turned
    values: Tensor  # (B, L, h, S * P, d)
    # (B, 1, 1, S * P + P) bool, what there is to see: the places that are filled, and the frame
    # itself
    mask: Tensor
    action: Tensor  # (B,) int64, the number of actions for none


class Read(NamedTuple):
    """What a pass over frames leaves."""

    tokens: Tensor  # (B, T, P, D), before the output
    keys: Tensor  # (B, L, h, T, P, d), not turned
    values: Tensor  # (B, L, h, T, P, d)


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """The normed tokens x (B, T, P, D), scaled and shifted by frame (B, T, 1, D)."""
    return F.rms_norm(x, x.shape[-1:]) * (1 + scale) + shift


class Block(nn.Module):
    """Attention between frames, then a gated MLP."""

    def __init__(self, config: CausalDiTConfig):
        super().__init__()
        width, self.heads, self.window = config.width, config.heads, config.window
        channels, hidden = width // config.heads, config.expansion * width
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv, self.out = (
            nn.Linear(width, 3 * width, bias=False),
            nn.Linear(width, width, bias=False),
        )
        self.norm_query, self.norm_key = nn.RMSNorm(channels), nn.RMSNorm(channels)
        self.up, self.down = (
            nn.Linear(width, 2 * hidden, bias=False),
            nn.Linear(hidden, width, bias=False),
        )
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, told: Tensor, angle: Tensor, past: tuple | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, P, D), told (B, T, D), angle (T, P, d / 2); past: keys, values and mask of a
        memory, for T = 1.

        Returns tokens, and keys and values (B, h, T, P, d) to remember.
        """
        shift, scale, gate, shift2, scale2, gate2 = self.modulation(told)[:, :, None].chunk(6, -1)
        query, key, value = (
            self.qkv(modulate(x, shift, scale)).unflatten(-1, (3, self.heads, -1)).unbind(3)
        )
        query, key, value = (
            part.permute(0, 3, 1, 2, 4) for part in (query, key, value)
        )  # (B, h, T, P, d)
        query, key = self.norm_query(query).to(value.dtype), self.norm_key(key).to(value.dtype)
        mixed = self.attention(rotate(query, angle), rotate(key, angle), value, past)
        x = x + (1 + gate) * self.out(mixed.permute(0, 2, 3, 1, 4).flatten(3))
        gated, linear = self.up(modulate(x, shift2, scale2)).chunk(2, -1)
        return x + (1 + gate2) * self.down(F.silu(gated) * linear), key, value

    def attention(self, query: Tensor, key: Tensor, value: Tensor, past: tuple | None) -> Tensor:
        """(B, h, T, P, d) each, turned -> (B, h, T, P, d)."""
        shape, (query, key, value) = (
            query.shape,
            (part.flatten(2, 3).to(value) for part in (query, key, value)),
        )
        if past is None:
            return attend(query, key, value, shape[3], self.window).view(shape)
        keys, values, mask = past
        key, value = torch.cat((keys, key), 2), torch.cat((values, value), 2)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask).view(shape)


class CausalDiT(nn.Module):
    """See the module.

    Called as a denoiser of one new frame a lane, given the past; `clip` takes whole clips.
    """

    def __init__(
        self, config: CausalDiTConfig, colours: int, actions: int, grid_shape: tuple[int, int]
    ):
        super().__init__()
        self.config, self.grid_shape, width = config, grid_shape, config.width
        self.tokens = config.registers + grid_shape[0] * grid_shape[1]
        self.action = nn.Embedding(
            actions + 1, width
        )  # the last row is the learned null, for frames from nowhere too
        self.stem = stem(colours, config.stem) if config.stem else nn.Identity()
        self.embed = nn.Linear((config.stem or colours) * config.patch**2, width)
        patches = self.tokens - config.registers
        self.where = nn.Parameter(torch.zeros(patches, width)) if config.positions else None
        self.registers = nn.Parameter(
            nn.init.normal_(torch.empty(config.registers, width), std=0.02)
        )
        self.place = Rotary(
            config.rope, width // config.heads, grid_shape, config.registers, config.base
        )
        self.level = nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.modulation = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, colours * config.patch**2)
        for layer in (self.modulation, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def told(self, t: Tensor, action: Tensor) -> Tensor:
        """What the norms are told of frames: levels t and actions (B, T) -> (B, T, D)."""
        level = fourier(t.flatten(), self.config.width).unflatten(0, t.shape)
        return F.silu(self.level(level) + self.action(action))

    def patches(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, T, P, D)."""
        grid = F.pixel_unshuffle(
            self.stem(x.flatten(0, 1)), self.config.patch
        )  # (B * T, C * p * p, G, G)
        tokens = self.embed(grid.flatten(2).transpose(1, 2)).unflatten(0, x.shape[:2])
        tokens = tokens if self.where is None else tokens + self.where.to(tokens)
        return torch.cat((self.registers.expand(*x.shape[:2], -1, -1).to(tokens), tokens), 2)

    def answer(self, tokens: Tensor, told: Tensor) -> Tensor:
        """(B, T, P, D), (B, T, D) -> (B, T, C, H, W)."""
        y = self.out(modulate(tokens, *self.modulation(told)[:, :, None].chunk(2, -1)))
        grid = (
            y[:, :, self.config.registers :]
            .flatten(0, 1)
            .transpose(1, 2)
            .unflatten(2, self.grid_shape)
        )
        return F.pixel_shuffle(grid, self.config.patch).unflatten(0, tokens.shape[:2])

    def read(self, x: Tensor, told: Tensor, past: CacheView | None = None) -> Read:
        """Frames x (B, T, C, H, W) among themselves, or, T = 1, after a past; told (B, T, D)."""
        tokens, frames = self.patches(x), x.shape[1]
        angle = self.place(frames) if past is None else self.place(self.config.window)[-1:]
        entries = []
        for number, block in enumerate(self.blocks):
            seen = past and (past.keys[:, number], past.values[:, number], past.mask)
            tokens, *entry = block(tokens, told, angle, seen)
            entries.append(entry)
        keys, values = (torch.stack(column, 1) for column in zip(*entries, strict=True))
        return Read(tokens, keys, values)

    def clip(self, x: Tensor, t: Tensor, action: Tensor) -> Tensor:
        """What it says of whole clips x (B, T, C, H, W), frame by frame at levels t (B, T) after
        actions (B, T).
        """
        told = self.told(t, action)
        return self.answer(self.read(x, told).tokens, told)

    def forward(self, x: Tensor, t: Tensor, features: CacheView) -> Tensor:
        """What it says of the next frames x (B, C, H, W) at levels t (B,)."""
        told = self.told(t[:, None], features.action[:, None])
        return self.answer(self.read(x[:, None], told, features).tokens, told)[:, 0]

    def clean(self, x: Tensor, action: Tensor, past: CacheView | None = None) -> Read:
        """What it reads of clean frames x (B, T, C, H, W), after actions (B, T)."""
        return self.read(x, self.told(torch.zeros_like(action, dtype=x.dtype), action), past)

    def grid(self, tokens: Tensor) -> Tensor:
        """Tokens (N, P, D) as features (N, D, G, G) of an outcome head."""
        maps = tokens[:, self.config.registers :].unflatten(1, self.grid_shape).permute(0, 3, 1, 2)
        return maps.contiguous(memory_format=torch.channels_last)

    def empty(self, lanes: int) -> KVCache:
        """The memory of who has seen nothing."""
        config, count = (
            self.config,
            torch.zeros(lanes, dtype=torch.int64, device=self.out.weight.device),
        )
        places = (config.window - 1, self.tokens, config.width // config.heads)
        blank = torch.zeros(lanes, config.depth, config.heads, *places, device=count.device)
        return KVCache(blank, blank.clone(), count)

    def recall(self, memory: KVCache, action: Tensor) -> CacheView:
        """The memory from where the next frame stands; action (B,) leads there."""
        keys, values, count = memory
        places = self.config.window - 1
        age = (
            count[:, None] - 1 - torch.arange(places, device=count.device)
        ) % places + 1  # (B, S), in 1..S
        angle = self.place(self.config.window)[self.config.window - 1 - age]  # (B, S, P, d / 2)
        filled = (age <= count[:, None]).repeat_interleave(self.tokens, 1)  # (B, S * P)
        mask = F.pad(filled, (0, self.tokens), value=True)[:, None, None]
        turned = rotate(keys, angle[:, None, None])
        return CacheView(turned.flatten(3, 4), values.flatten(3, 4), mask, action)


def remember(memory: KVCache, read: Read) -> KVCache:
    """A new memory with the frames of `read` after those it has; as many as its places at most."""
    places, frames = memory.keys.shape[3], read.keys.shape[3]
    number = torch.arange(places, device=memory.count.device)
    after = (
        number - memory.count[:, None]
    ) % places  # (B, S), which of the new frames comes into a place
    index = after.clamp(max=frames - 1)[:, None, None, :, None, None]
    fresh = (after < frames)[:, None, None, :, None, None]

    def written(old: Tensor, new: Tensor) -> Tensor:
        moved = new if frames == 1 else torch.gather(new, 3, index.expand(old.shape))
        return torch.where(fresh, moved.to(old.dtype), old)

    return KVCache(
        written(memory.keys, read.keys), written(memory.values, read.values), memory.count + frames
    )


def stem(colours: int, width: int) -> nn.Sequential:
    """Two convolutions at full resolution, as the reference system has."""
    first, second = nn.Conv2d(colours, width, 5, padding=2), nn.Conv2d(width, width, 5, padding=2)
    return nn.Sequential(
        first, nn.SiLU(), nn.GroupNorm(32 if width % 32 == 0 else 1, width), second
    )
