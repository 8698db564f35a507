"""Per-lane random streams without a loop over lanes:
a counter-based generator in plain tensor arithmetic.

Each number is a hash of (seed of the lane, step, salt, position), mixed by the finaliser of
SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"). Lane i
therefore draws the same numbers whatever its neighbors do, and a stream is a value: nothing has to
be advanced, saved or restored.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


def _signed(value: int) -> int:
    """The int64 with the same bits as an unsigned 64-bit constant."""
    return value - (1 << 64) if value >= 1 << 63 else value


_GOLDEN, _MIX1, _MIX2 = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical right shift (torch shifts int64 arithmetically)."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    """SplitMix64's finaliser on int64 tensors of any shape; multiplication wraps around."""
    x = (x ^ _shift(x, 30)) * _MIX1
    x = (x ^ _shift(x, 27)) * _MIX2
    return x ^ _shift(x, 31)


class NoiseStream(NamedTuple):
    """Random numbers for B lanes at one step of each. Salts keep the uses within a step apart."""

    seeds: Tensor  # (B,) int64
    steps: Tensor  # (B,) int64

    @classmethod
    def from_seeds(cls, seeds: Tensor) -> NoiseStream:
        """A stream at step 0 for every lane. seeds (B,) int64."""
        return cls(seeds, torch.zeros_like(seeds))

    def next(self) -> NoiseStream:
        """The stream one step later."""
        return NoiseStream(self.seeds, self.steps + 1)

    def bits(self, shape: tuple[int, ...], salt: int) -> Tensor:
        """(B, *shape) int64, all 64 bits random."""
        count = math.prod(shape)
        key = _mix(_mix(self.seeds * _GOLDEN + salt) + self.steps * _GOLDEN)
        position = torch.arange(1, count + 1, device=key.device) * _GOLDEN
        return _mix(key[:, None] + position).view(len(key), *shape)

    def uniform(self, shape: tuple[int, ...], salt: int) -> Tensor:
        """(B, *shape) float32 in [0, 1)."""
        return _shift(self.bits(shape, salt), 40).float() * 2.0**-24

    def normal(self, shape: tuple[int, ...], salt: int) -> Tensor:
        """(B, *shape) float32 standard normal (Box-Muller from two halves of one hash)."""
        bits = self.bits(shape, salt)
        radius = torch.sqrt(-2 * torch.log((_shift(bits, 40).float() + 0.5) * 2.0**-24))
        return radius * torch.cos((bits & 0xFFFFFF).float() * (2 * math.pi * 2.0**-24))

    def integers(self, high: int, salt: int) -> Tensor:
        """(B,) int64 uniform in [0, high); the bias is below high / 2**24."""
        return (self.uniform((), salt).double() * high).long()

    def categorical(self, logits: Tensor, salt: int) -> Tensor:
        """(B,) int64 draws from softmax(logits), by the Gumbel maximum. logits (B, N)."""
        uniform = self.uniform((logits.shape[1],), salt).clamp_min(2.0**-25)
        return (logits.float() - torch.log(-torch.log(uniform))).argmax(1)


FRAME_SALT = 64  # keeps the draws of samplers apart from those of chance variables


class Draws(NamedTuple):
    """The normal draws of one dreamed frame, for a sampler:
    number 0 to start from, others for steps that renoise.
    """

    stream: NoiseStream
    shape: tuple[int, ...]  # of a lane's draw
    salt: int = FRAME_SALT

    def __call__(self, number: int) -> Tensor:
        """(B, *shape) float32 standard normal, channels last where there are such."""
        return channels_last(self.stream.normal(self.shape, self.salt + number))

    def blank(self) -> Tensor:
        """(B, *shape) zeros."""
        return channels_last(
            torch.zeros(len(self.stream.seeds), *self.shape, device=self.stream.seeds.device)
        )


def channels_last(x: Tensor) -> Tensor:
    """The same in the memory format that convolutions like, if x is a batch of images."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x
