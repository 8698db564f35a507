"""A transformer over the patches of many frames, causal from frame to frame, with a cache.

Diffusion transformer blocks (Peebles & Xie 2022, arXiv:2212.09748) whose adaptive norms depend,
frame by frame, on the noise level and on the action that led to the frame; normed queries and keys
(Henry et al. 2020, arXiv:2010.04245); a gated MLP (Shazeer 2020, arXiv:2002.05202).

B lanes, T frames, P tokens per frame (registers, then G x G patches), D channels, L blocks, h heads
of d channels each, S = window - 1 places in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import check_settings, setting
from world_models.networks.actions import Actions, embed_actions
from world_models.networks.attention import attend_causally, merge_heads, split_heads
from world_models.networks.blocks import fourier
from world_models.networks.initialization import zeroed
from world_models.networks.kv_cache import CacheView, Encoded, KVCache, LayerView
from world_models.networks.modulation import modulate
from world_models.networks.rotary import Rotary, rotate


@dataclass(frozen=True)
class CausalDiTConfig:
    """Sizes of the transformer."""

    null_action: ClassVar[bool] = True
    copies = False

    width: int = setting(128, "channels of every token")
    patch: int = setting(8, "pixels along the side of a token")
    depth: int = setting(3, "blocks")
    heads: int = setting(4, "of attention")
    expansion: int = setting(2, "hidden channels of the MLP, in widths")
    window: int = setting(16, "frames that a token attends to, its own among them")
    rope: Literal["flat", "factored"] = setting(
        "flat", "positions in the whole sequence, or time, row and column apart"
    )
    base: float = setting(5000.0, "of the positions' frequencies")
    registers: int = setting(0, "tokens per frame beside its patches")
    positions: bool = setting(False, "tokens know where they are; rotations alone tell distances")
    stem: int = setting(
        0, "channels of two convolutions before the patches; 0: embedded as they are"
    )
    pixel_features: int = setting(
        0, "features of single pixels that the outcome head counts; 0: it sees patches linearly"
    )

    def __post_init__(self):
        least = 6 if self.rope == "factored" else 2
        if self.width % (2 * self.heads) or self.width // self.heads < least:
            raise ValueError(
                f"width {self.width} does not give {self.heads} heads an even number >= {least} "
                "each"
            )
        check_settings(self)
        if self.window < 2:
            raise ValueError(
                f"a window holds at least the new frame and one before it, 2, not {self.window}"
            )


def modulated(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """The normed tokens x (B, T, P, D), modulated frame by frame (B, T, 1, D)."""
    return modulate(F.rms_norm(x, x.shape[-1:]), scale, shift)


class Block(nn.Module):
    """Attention between frames, then a gated MLP."""

    def __init__(self, config: CausalDiTConfig):
        super().__init__()
        width, self.heads, self.window = config.width, config.heads, config.window
        channels, hidden = width // config.heads, config.expansion * width
        self.modulation = nn.Linear(width, 6 * width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm_query, self.norm_key = nn.RMSNorm(channels), nn.RMSNorm(channels)
        self.up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        zeroed(self.modulation)

    def forward(
        self, x: Tensor, condition: Tensor, angle: Tensor, cached: LayerView | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, T, P, D), condition (B, T, D), angle (T, P, d / 2); with a cache T is 1.

        Returns tokens (B, T, P, D), and keys and values (B, h, T, P, d), not rotated.
        """
        parts = self.modulation(condition)[:, :, None].chunk(6, -1)
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = parts
        qkv = self.qkv(modulated(x, scale, shift)).flatten(1, 2)
        # (B, h, T, P, d)
        query, key, value = (
            part.unflatten(2, x.shape[1:3]) for part in split_heads(qkv, self.heads)
        )
        query, key = self.norm_query(query).to(value.dtype), self.norm_key(key).to(value.dtype)
        mixed = self.attention(rotate(query, angle), rotate(key, angle), value, cached)
        x = x + (1 + gate) * self.out(merge_heads(mixed).unflatten(1, x.shape[1:3]))
        gated, linear = self.up(modulated(x, mlp_scale, mlp_shift)).chunk(2, -1)
        return x + (1 + mlp_gate) * self.down(F.silu(gated) * linear), key, value

    def attention(
        self, query: Tensor, key: Tensor, value: Tensor, cached: LayerView | None
    ) -> Tensor:
        """query and key, rotated, and value (B, h, T, P, d) -> (B, h, T * P, d)."""
        tokens = query.shape[3]
        query, key, value = (part.flatten(2, 3).to(value) for part in (query, key, value))
        if cached is None:
            return attend_causally(query, key, value, tokens, self.window)
        key, value = torch.cat((cached.keys, key), 2), torch.cat((cached.values, value), 2)
        return F.scaled_dot_product_attention(query, key, value, attn_mask=cached.mask)


class CausalDiT(nn.Module):
    """See the module.

    Called as a denoiser of one new frame per lane, given the past; `clip` takes whole clips.
    """

    def __init__(
        self, config: CausalDiTConfig, colors: int, actions: Actions, grid_shape: tuple[int, int]
    ):
        super().__init__()
        self.config, self.grid_shape, width = config, grid_shape, config.width
        patches = grid_shape[0] * grid_shape[1]
        self.tokens = config.registers + patches
        # frames without a frame before them have the null action
        self.action = embed_actions(actions, width)
        self.stem = stem(colors, config.stem) if config.stem else nn.Identity()
        self.embed = nn.Linear((config.stem or colors) * config.patch**2, width)
        self.place = nn.Parameter(torch.zeros(patches, width)) if config.positions else None
        self.registers = nn.Parameter(
            nn.init.normal_(torch.empty(config.registers, width), std=0.02)
        )
        channels = width // config.heads
        self.rotary = Rotary(config.rope, channels, grid_shape, config.registers, config.base)
        self.level = nn.Linear(width, width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.modulation = zeroed(nn.Linear(width, 2 * width))
        self.out = zeroed(nn.Linear(width, colors * config.patch**2))

    def condition(self, t: Tensor, action: Tensor) -> Tensor:
        """What modulates the frames: levels t (B, T) and actions (B, T, *row) -> (B, T, D)."""
        level = fourier(t.flatten(), self.config.width).unflatten(0, t.shape)
        return F.silu(self.level(level) + self.action(action))

    def to_tokens(self, x: Tensor) -> Tensor:
        """(B, T, C, H, W) -> (B, T, P, D)."""
        maps = self.stem(x.flatten(0, 1))
        grid = F.pixel_unshuffle(maps, self.config.patch)  # (B * T, C * p * p, G, G)
        tokens = self.embed(grid.flatten(2).transpose(1, 2)).unflatten(0, x.shape[:2])
        tokens = tokens if self.place is None else tokens + self.place.to(tokens)
        return torch.cat((self.registers.expand(*x.shape[:2], -1, -1).to(tokens), tokens), 2)

    def to_output(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """(B, T, P, D), (B, T, D) -> (B, T, C, H, W)."""
        shift, scale = self.modulation(condition)[:, :, None].chunk(2, -1)
        y = self.out(modulated(tokens, scale, shift))[:, :, self.config.registers :]
        grid = y.flatten(0, 1).transpose(1, 2).unflatten(2, self.grid_shape)
        return F.pixel_shuffle(grid, self.config.patch).unflatten(0, tokens.shape[:2])

    def encode(self, x: Tensor, condition: Tensor, past: CacheView | None = None) -> Encoded:
        """Frames x (B, T, C, H, W) among themselves, or, T = 1, after a past.

        condition (B, T, D).
        """
        tokens, frames = self.to_tokens(x), x.shape[1]
        angle = self.rotary(frames) if past is None else self.rotary(self.config.window)[-1:]
        entries = []
        for number, block in enumerate(self.blocks):
            cached = None if past is None else past.layer(number)
            tokens, *entry = block(tokens, condition, angle, cached)
            entries.append(entry)
        keys, values = (torch.stack(column, 1) for column in zip(*entries, strict=True))
        return Encoded(tokens, keys, values)

    def clip(self, x: Tensor, t: Tensor, action: Tensor) -> Tensor:
        """The output for whole clips x (B, T, C, H, W),
        frame by frame at levels t (B, T) after actions (B, T, *row).
        """
        condition = self.condition(t, action)
        return self.to_output(self.encode(x, condition).tokens, condition)

    def forward(self, x: Tensor, t: Tensor, features: CacheView) -> Tensor:
        """The output for the next frames x (B, C, H, W) at levels t (B,)."""
        condition = self.condition(t[:, None], features.action[:, None])
        return self.to_output(self.encode(x[:, None], condition, features).tokens, condition)[:, 0]

    def encode_clean(self, x: Tensor, action: Tensor, past: CacheView | None = None) -> Encoded:
        """Clean frames x (B, T, C, H, W), at level 0, after actions (B, T, *row)."""
        level = torch.zeros(action.shape[:2], dtype=x.dtype, device=x.device)
        return self.encode(x, self.condition(level, action), past)

    def grid(self, tokens: Tensor) -> Tensor:
        """Tokens (N, P, D) as features (N, D, G, G) of an outcome head."""
        maps = tokens[:, self.config.registers :].unflatten(1, self.grid_shape).permute(0, 3, 1, 2)
        return maps.contiguous(memory_format=torch.channels_last)

    def empty_cache(self, lanes: int) -> KVCache:
        """The cache of lanes that have seen no frame."""
        config, device = self.config, self.out.weight.device
        places = (config.window - 1, self.tokens, config.width // config.heads)
        blank = torch.zeros(lanes, config.depth, config.heads, *places, device=device)
        count = torch.zeros(lanes, dtype=torch.int64, device=device)
        return KVCache(blank, blank.clone(), count)

    def read(self, cache: KVCache, action: Tensor) -> CacheView:
        """The cache from where the next frame stands; action (B, *row) leads there."""
        keys, values, count = cache
        places = self.config.window - 1
        place = torch.arange(places, device=count.device)
        age = (count[:, None] - 1 - place) % places + 1  # (B, S), in 1..S
        angle = self.rotary(self.config.window)[self.config.window - 1 - age]  # (B, S, P, d / 2)
        filled = (age <= count[:, None]).repeat_interleave(self.tokens, 1)  # (B, S * P)
        mask = F.pad(filled, (0, self.tokens), value=True)[:, None, None]
        rotated = rotate(keys, angle[:, None, None])
        return CacheView(rotated.flatten(3, 4), values.flatten(3, 4), mask, action)


def stem(colors: int, width: int) -> nn.Sequential:
    """Two convolutions at full resolution, as the reference system has."""
    first, second = nn.Conv2d(colors, width, 5, padding=2), nn.Conv2d(width, width, 5, padding=2)
    groups = 32 if width % 32 == 0 else 1
    return nn.Sequential(first, nn.SiLU(), nn.GroupNorm(groups, width), second)
