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

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import check_settings, setting
from world_models.networks.actions import Actions, embed_actions
from world_models.networks.blocks import TokenNorm, fourier, pool
from world_models.networks.code_copy import CodeCopy, chosen_codes
from world_models.networks.initialization import zeroed
from world_models.networks.modulation import Film


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

    def __post_init__(self):
        check_settings(self)


class CodeFeatures(NamedTuple):
    """What the context encoder hands to the decoder."""

    tokens: Tensor  # (B, D, G, G)
    last: Tensor  # (B, G, G) whole numbers, the newest codes of the context, to copy from
    condition: Tensor  # (B, D): action, past actions, level of corruption


def small(*shape: int, std: float = 0.02) -> nn.Parameter:
    """Weights that begin as normal draws of this standard deviation."""
    return nn.Parameter(nn.init.normal_(torch.empty(*shape), std=std))


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


class CodeEmbedding(nn.Module):
    """Codes (B, ..., G, G) -> (B, ..., G, G, E): a learned row for each value of each digit, and
    their sum.

    A table begins as the values of the codes, so that codes that look alike begin as neighbors.
    """

    def __init__(self, sizes: tuple[int, ...], width: int):
        super().__init__()
        self.sizes, self.mask_code = sizes, math.prod(sizes)
        self.tables = nn.ParameterList(small(size, width) for size in sizes)
        self.mask = small(width)

    @torch.no_grad()
    def start_from(self, values: list[Tensor]) -> None:
        """Values (size, E') of each digit; of more than E those directions in which they differ
        most.
        """
        for table, of_digit in zip(self.tables, values, strict=True):
            width = table.shape[1]
            if of_digit.shape[1] > width:
                centered = of_digit - of_digit.mean(0)
                of_digit = centered @ torch.linalg.svd(centered, full_matrices=False)[2][:width].T
            scale = of_digit.std().clamp_min(1e-6)
            table[: len(of_digit), : of_digit.shape[1]] += of_digit / scale / 2

    def forward(self, codes: Tensor) -> Tensor:
        digits = digits_of(codes.long(), self.sizes)
        rows = [F.embedding(digit, t) for digit, t in zip(digits, self.tables, strict=True)]
        return torch.stack(rows).sum(0)

    def partly(self, codes: Tensor) -> Tensor:
        """The same of codes of which some are masked, which have an embedding of their own."""
        return torch.where((codes == self.mask_code)[..., None], self.mask, self(codes))


def digits_of(codes: Tensor, sizes: tuple[int, ...]) -> list[Tensor]:
    """The digits (...) of codes (...) int64 in the number system of these sizes, the first one
    foremost.
    """
    basis = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    return [codes // base % size for base, size in zip(basis, sizes, strict=True)]


class CodeHead(nn.Module):
    """Probabilities of the codes of each place, given features h (B, L, D) of L places, digit by
    digit.

    p(code | h) = p(d1 | h) p(d2 | h, d1) p(d3 | h, d1, d2): no distribution is excluded, and 40 +
    25 logits take a fifteenth of the memory and time of 1000.
    """

    def __init__(self, width: int, sizes: tuple[int, ...]):
        super().__init__()
        self.sizes, self.norm = sizes, nn.LayerNorm(width)
        self.logits = nn.ModuleList(nn.Linear(width, size) for size in sizes)
        self.given = nn.ParameterList(small(size, width) for size in sizes[:-1])
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in sizes[:-1])

    def after(self, h: Tensor, place: int, digit: Tensor) -> Tensor:
        """h (B, L, D) once digit number `place` is known to be `digit` (B, L)."""
        return h + F.silu(self.hidden[place](h) + F.embedding(digit, self.given[place]))

    def losses(self, h: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy (B, L) of codes (B, L) int64, and the likeliest codes (B, L), each digit
        given the true ones.

        That is how a code of which one digit is wrong stays near what it should be.
        """
        h, best = self.norm(h), torch.zeros_like(codes)
        loss = torch.zeros_like(h[..., 0], dtype=torch.float32)
        for place, digit in enumerate(digits_of(codes, self.sizes)):
            logits = self.logits[place](h).float()
            loss = loss + _cross_entropy(logits, digit)
            best = best * self.sizes[place] + logits.argmax(2)
            if place < len(self.hidden):
                h = self.after(h, place, digit)
        return loss, best


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy (B, L) of logits (B, L, M) for targets (B, L) int64."""
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), reduction="none").view_as(target)


class MaskedTokens(nn.Module):
    """See the module."""

    def __init__(
        self,
        config: MaskedTokensConfig,
        sizes: tuple[int, ...],
        shape: tuple[int, Actions, int, int],
    ):
        """`sizes` of the digits of a code; `shape`: K context frames, actions, rows and columns
        of codes.
        """
        super().__init__()
        frames, actions, rows, columns = shape
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
        self.copy = CodeCopy(width, config.copy) if config.copy else None

    @property
    def mask_code(self) -> int:
        """What stands for a code that is not decided yet."""
        return self.codes.mask_code

    def encode(
        self, codes: Tensor, past_actions: Tensor, action: Tensor, level: Tensor
    ) -> CodeFeatures:
        """Context encoder, once per step.

        codes (B, K, G, G), past_actions (B, K - 1, *row) between them, action (B, *row), encoded;
        level (B,) in [0, 1]: how much of the context is corrupted, as far as is known.
        """
        condition = self.action(action) + self.level(fourier(level, self.level.in_features))
        if self.past_actions is not None:
            condition = condition + past_sum(self.past_actions, past_actions)
        condition = self.condition(condition)
        x = (
            self.codes(codes).permute(0, 2, 3, 1, 4).flatten(3).permute(0, 3, 1, 2)
        )  # (B, K * E, G, G)
        tokens = self.encoder(self.read(x) + self.place, condition)
        return CodeFeatures(tokens, codes[:, -1], condition)

    def forward(self, codes: Tensor, features: CodeFeatures) -> Tensor:
        """Decoder, once per pass: codes (B, G, G), `mask_code` where undecided -> h (B, G * G, D)
        for `head`.
        """
        x = features.tokens + self.decided(self.codes.partly(codes).permute(0, 3, 1, 2))
        return self.decoder(x, features.condition).permute(0, 2, 3, 1).flatten(1, 2)

    def sources(self, last: Tensor) -> Tensor | None:
        """The codes (B, L, M) that may be copied from the last codes (B, G, G), if any may."""
        return None if self.copy is None else self.copy.sources(last)

    def losses(self, h: Tensor, sources: Tensor | None, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy (B, L) of codes (B, L) given h of `forward` and `sources`, and the
        likeliest codes (B, L).
        """
        loss, best = self.head.losses(h, codes)
        if self.copy is None or sources is None:
            return loss, best
        loss, source = self.copy.losses(self.head.norm(h), sources, codes, loss)
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
