"""The two-part network of masked tokens: a context encoder, once per step, and a small decoder,
once per pass.

The decoder sees the features and those codes of the next frame that are decided already, and gives
the probabilities of the others: a bidirectional masked-token transformer as in MaskGIT (Chang et
al. 2022, arXiv:2202.04200), here of convolutions with an attention in each half. Actions modulate
every block (FiLM, Perez et al. 2018, arXiv:1709.07871; in `modulation`).

B lanes, K context frames, N codes, E values of a code, D channels, G x G codes per frame, A
actions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import check_settings, setting
from world_models.networks.actions import Actions, embed_actions
from world_models.networks.blocks import TokenNorm, fourier, pool
from world_models.networks.code_copy import CodeCopy, chosen_codes
from world_models.networks.code_head import CodeEmbedding, CodeHead
from world_models.networks.initialization import small, zeroed
from world_models.networks.modulation import Film
from world_models.networks.scroll import Scroll


@dataclass(frozen=True)
class MaskedTokensConfig:
    """Sizes of the two halves."""

    width: int = setting(64, "channels of every token", least=1)
    code_width: int = setting(16, "channels of a code", least=1)
    encoder_depth: int = setting(3, "blocks that read the context, once per step", least=0)
    decoder_depth: int = setting(2, "blocks that decide codes, once per pass", least=0)
    attention: bool = setting(True, "one self-attention in each half, in its middle")
    copy: tuple[int, ...] = setting(
        (), "copy codes of the last frame from so many places off; empty: none"
    )
    scroll: tuple[int, ...] = setting(
        (), "rows and columns of pixels that the whole frame may move per step; empty: none"
    )

    def __post_init__(self):
        check_settings(self)
        if self.scroll and (len(self.scroll) != 2 or min(self.scroll) < 0):
            raise ValueError(f"scroll is two numbers of pixels, as [8, 4], not {self.scroll}")
        if self.scroll and 0 not in self.copy:
            raise ValueError("what scrolls is copied: scroll needs copy=[0]")


class CodeFeatures(NamedTuple):
    """What the context encoder hands to the decoder."""

    tokens: Tensor  # (B, D, G, G)
    last: Tensor  # (B, G, G) whole numbers, the newest codes of the context, to copy from
    condition: Tensor  # (B, D): action, past actions, level of corruption
    frame: Tensor | None = None  # (B, H, W, C) uint8 the last frame, where it scrolls
    moved: MovedFrame | None = None  # that frame, once its move is known


class MovedFrame(NamedTuple):
    """The last frame as it scrolls."""

    move: Tensor  # (B,) int64, as in `Scroll.moves`
    frame: Tensor  # (B, H, W, C) uint8
    codes: Tensor  # (B, G, G) int64, OUTSIDE where a pixel was out of sight
    added: Tensor  # (B, D, G, G) to the features that the decoder sees


def embed_past(frames: int, actions: Actions, width: int) -> nn.Parameter | nn.ModuleList:
    """Embeddings of the actions between context frames, different ones for each of their places."""
    if isinstance(actions, int):
        return small(frames, actions, width, std=1.0)
    return nn.ModuleList(embed_actions(actions, width) for _ in range(frames))


def past_sum(embedding: nn.Parameter | nn.ModuleList, past: Tensor) -> Tensor:
    """Encoded actions (B, T, *row) -> (B, D), the sum of their embeddings."""
    if isinstance(embedding, nn.ModuleList):
        rows = [part(past[:, place]) for place, part in enumerate(embedding)]
        return torch.stack(rows).sum(0)
    return embedding[torch.arange(past.shape[1], device=past.device), past].sum(1)


class ModulatedBlock(nn.Module):
    """Residual block: 3x3 convolution, a pooled message to all places, 1x1 convolution; modulated
    by the condition.
    """

    def __init__(self, width: int):
        super().__init__()
        self.film = Film(width, width, TokenNorm(width))
        self.near = nn.Conv2d(width, width, 3, padding=1)
        self.far = nn.Linear(2 * width, width)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y = self.film(x, condition)
        y = self.near(y) + self.far(pool(y))[:, :, None, None]
        return x + self.out(F.silu(y))


class PooledAttention(nn.Module):
    """Residual attention of all places to means of 2 x 2 places (as in PVT, Wang et al. 2021,
    arXiv:2102.12122).

    A quarter of the keys is a quarter of the time, and the far side is seen all the same; what is
    near is the convolutions' work. In float32: the CPU kernel for bfloat16 takes four times as long
    to train.
    """

    def __init__(self, width: int, heads: int = 2):
        super().__init__()
        self.heads, self.norm = heads, TokenNorm(width)
        self.query, self.key_value = nn.Conv2d(width, width, 1), nn.Conv2d(width, 2 * width, 1)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        query = self.by_head(self.query(y))  # (B, heads, G * G, D / heads)
        key, value = map(
            self.by_head, self.key_value(F.avg_pool2d(y, 2, ceil_mode=True)).chunk(2, 1)
        )
        with torch.autocast(x.device.type, enabled=False):
            y = F.scaled_dot_product_attention(query.float(), key.float(), value.float())
        return x + self.out(y.transpose(2, 3).reshape(x.shape))

    def by_head(self, x: Tensor) -> Tensor:
        """(B, D, G, G) -> (B, heads, G * G, D / heads)."""
        return x.flatten(2).unflatten(1, (self.heads, -1)).transpose(2, 3)


class ModulatedTrunk(nn.Module):
    """Blocks in a row, an attention in their middle where asked for."""

    def __init__(self, width: int, depth: int, attention: bool):
        super().__init__()
        self.blocks = nn.ModuleList(ModulatedBlock(width) for _ in range(depth))
        self.attention = PooledAttention(width) if attention else None
        self.middle = (depth + 1) // 2

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        for number, block in enumerate(self.blocks, 1):
            x = block(x, condition)
            if number == self.middle and self.attention is not None:
                x = self.attention(x)
        return x


class MaskedTokens(nn.Module):
    """See the module."""

    def __init__(
        self,
        config: MaskedTokensConfig,
        sizes: tuple[int, ...],
        shape: tuple[int, Actions, int, int],
        patches: tuple[int, int] = (4, 3),
    ):
        """`sizes` of the digits of a code; `shape`: K context frames, actions, rows and columns of
        codes; `patches`: pixels along their side, and colors.
        """
        super().__init__()
        (frames, actions, rows, columns), (patch, colors) = shape, patches
        width = config.width
        self.action = embed_actions(actions, width)
        self.past_actions = embed_past(frames - 1, actions, width) if frames > 1 else None
        self.level = nn.Linear(width, width)
        self.condition = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.codes = CodeEmbedding(sizes, config.code_width)
        self.place = small(width, rows, columns)
        self.read = nn.Conv2d(frames * config.code_width, width, 3, padding=1)
        self.encoder = ModulatedTrunk(width, config.encoder_depth, config.attention)
        self.decided = nn.Conv2d(config.code_width, width, 1)
        self.decoder = ModulatedTrunk(width, config.decoder_depth, config.attention)
        self.head = CodeHead(width, sizes)
        self.scroll = (
            Scroll(width, (config.scroll[0], config.scroll[1]), patch, colors, frames - 1)
            if config.scroll
            else None
        )
        further = int(self.scroll is not None)
        self.copy = CodeCopy(width, config.copy, further) if config.copy else None

    @property
    def mask_code(self) -> int:
        """What stands for a code that is not decided yet."""
        return self.codes.mask_code

    def encode(
        self,
        codes: Tensor,
        past_actions: Tensor,
        action: Tensor,
        level: Tensor,
        moves: Tensor | None = None,
        frame: Tensor | None = None,
    ) -> CodeFeatures:
        """Context encoder, once per step.

        codes (B, K, G, G), past_actions (B, K - 1, *row) between them, action (B, *row), encoded;
        level (B,) in [0, 1]: how much of the context is corrupted, as far as is known; moves
        (B, K - 1) int64: how the frames of the context scrolled, and frame (B, H, W, C) uint8 the
        last of them, where the network scrolls. Under guidance codes are those of 2 B lanes.
        """
        condition = self.action(action) + self.level(fourier(level, self.level.in_features))
        if self.past_actions is not None:
            condition = condition + past_sum(self.past_actions, past_actions)
        if self.scroll is not None and moves is not None:
            condition = condition + self.scroll.velocity(moves)
        condition = self.condition(condition)
        x = (
            self.codes(codes).permute(0, 2, 3, 1, 4).flatten(3).permute(0, 3, 1, 2)
        )  # (B, K * E, G, G)
        x = self.read(x) + self.place
        if self.scroll is not None and frame is not None:
            x = x + self.scroll.pixels(frame, len(x))
        return CodeFeatures(self.encoder(x, condition), codes[:, -1], condition, frame)

    def forward(self, codes: Tensor, features: CodeFeatures) -> Tensor:
        """Decoder, once per pass: codes (B, G, G), `mask_code` where undecided -> h (B, G * G, D)
        for `head`.
        """
        x = features.tokens + self.decided(self.codes.partly(codes).permute(0, 3, 1, 2))
        if features.moved is not None:
            x = x + features.moved.added.repeat(len(x) // len(features.moved.added), 1, 1, 1)
        return self.decoder(x, features.condition).permute(0, 2, 3, 1).flatten(1, 2)

    def sources(self, last: Tensor, moved: Tensor | None = None) -> Tensor | None:
        """The codes (B, L, M) that may be copied, if any may: from the last codes (B, G, G), and
        from those of the frame as it scrolls.
        """
        if self.copy is None:
            return None
        sources = self.copy.sources(last)
        return sources if moved is None else torch.cat((sources, moved.flatten(1)[..., None]), 2)

    def mixture(
        self,
        h: Tensor,
        sources: Tensor | None,
        generated: tuple[Tensor, Tensor],
        right: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """Cross-entropy (B, L) and the likeliest codes (B, L) of generating or copying, given h of
        `forward`, `sources`, which of them are `right` (B, L, M) bool, and the same two of
        generating alone.
        """
        loss, best = generated
        if self.copy is None or sources is None or right is None:
            return loss, best
        loss, source = self.copy.losses(self.head.norm(h), sources, right, loss)
        return loss, chosen_codes(source, best, sources)


class CodeOutcomeHead(nn.Module):
    """Reward classes, termination and trust, from the features and the embedded codes that were
    decided.
    """

    def __init__(self, config: MaskedTokensConfig, rewards: int):
        super().__init__()
        self.rewards, width = rewards, config.width
        self.embed = nn.Conv2d(config.code_width, width, 1)
        self.mix = nn.Conv2d(width, width, 1)
        self.out = nn.Linear(2 * width, rewards + 2)

    def forward(self, features: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """features (B, D, G, G), codes (B, G, G, E) -> logits of reward (B, R), termination (B,)
        and trust (B,).
        """
        h = F.silu(self.mix(F.silu(features + self.embed(codes.permute(0, 3, 1, 2)))))
        tokens = h.permute(0, 2, 3, 1).flatten(1, 2)
        out = self.out(torch.cat((tokens.mean(1), tokens.amax(1)), 1)).float()
        return out[:, : self.rewards], out[:, self.rewards], out[:, self.rewards + 1]
