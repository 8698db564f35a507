"""Codes as a network reads and writes them: their embedding, and the probabilities of those of a
place, digit by digit.

B lanes, L places, N codes, E channels of a code, D channels of a place, G x G codes per frame.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.initialization import small


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
        masked = digits_of(codes.long(), self.sizes)[0] == self.sizes[0]
        return torch.where(masked[..., None], self.mask, self(codes.masked_fill(masked, 0)))


def digits_of(codes: Tensor, sizes: tuple[int, ...]) -> list[Tensor]:
    """The digits (...) of codes (...) int64 in the number system of these sizes, the first one
    foremost. The first one of `mask_code`, and of no other, is `sizes[0]`.

    OpenVINO 2026 divides and compares whole numbers as float32: the remainder of a code of 30 bits
    is then any number, and a quotient of 6 bits at most one off. So in a graph each digit is
    divided off what is left, and mended.
    """
    basis = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    if not torch.compiler.is_exporting():
        first, *others = (codes // base for base in basis)
        return [first, *(x % size for x, size in zip(others, sizes[1:], strict=True))]
    rest, found = codes, []
    for base in basis:
        digit = rest // base
        rest = rest - digit * base
        off = (rest - base >= 0).long() - (rest < 0).long()
        found.append(digit + off)
        rest = rest - off * base
    return found


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
