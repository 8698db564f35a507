"""Per-lane random streams without a loop over lanes:
a counter-based generator in plain tensor arithmetic.

Each number is a hash of (seed of the lane, step, salt, position), mixed by the finaliser of
SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators"). Lane i
therefore draws the same numbers whatever its neighbors do, and a stream is a value: nothing has to
be advanced, saved or restored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

FEW = 2**17  # numbers, up to which numpy hashes them sooner than torch
AHEAD = 8  # steps of a lane alone whose uniform numbers are hashed together
FEW_AHEAD = 512  # numbers per step, up to which that is worth it


def _signed(value: int) -> int:
    """The int64 with the same bits as an unsigned 64-bit constant."""
    return value - (1 << 64) if value >= 1 << 63 else value


_CONSTANTS = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
# torch has signed words, of numpy the unsigned ones are quicker; the golden ratio comes first
_SIGNED, _UNSIGNED = tuple(map(_signed, _CONSTANTS)), tuple(map(np.uint64, _CONSTANTS))


def _shift(x: Any, bits: int) -> Any:
    """Logical right shift of words (torch shifts them arithmetically)."""
    return x >> bits if isinstance(x, np.ndarray) else (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Any) -> Any:
    """SplitMix64's finaliser in place, on words of any shape; multiplication wraps around."""
    _, first, second = _UNSIGNED if isinstance(x, np.ndarray) else _SIGNED
    x ^= _shift(x, 30)
    x *= first
    x ^= _shift(x, 27)
    x *= second
    x ^= _shift(x, 31)
    return x


def plus_one(counts: Tensor) -> Tensor:
    """counts (B,) int64 + 1; by numpy on the host, where a sum of torch takes several times that
    right after a network, which leaves none of it in the processor's caches.
    """
    return torch.from_numpy(counts.numpy() + 1) if counts.is_cpu else counts + 1


class Draw(NamedTuple):
    """One use of a noise stream within a step."""

    normal: bool  # else uniform
    shape: tuple[int, ...]
    salt: int


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
        return NoiseStream(self.seeds, plus_one(self.steps))

    def bits(self, shape: tuple[int, ...], salt: int) -> Tensor:
        """(B, *shape) int64, all 64 bits random."""
        hashes = self._hashes([Draw(False, tuple(shape), salt)])
        if isinstance(hashes, np.ndarray):
            hashes = torch.from_numpy(hashes.view(np.int64))
        return hashes.view(len(self.seeds), *shape)

    def uniform(self, shape: tuple[int, ...], salt: int) -> Tensor:
        """(B, *shape) float32 in [0, 1)."""
        return self.draw([Draw(False, tuple(shape), salt)])[0].clone()

    def normal(self, shape: tuple[int, ...], salt: int) -> Tensor:
        """(B, *shape) float32 standard normal (Box-Muller from two halves of one hash)."""
        return self.draw([Draw(True, tuple(shape), salt)])[0]

    def draw(self, draws: Sequence[Draw]) -> list[Tensor]:
        """(B, *shape) float32 of each, hashed together: one after the other takes longer. They are
        read only: the same ones are given again.
        """
        if not draws:
            return []
        if len(self.seeds) == 1 and self.seeds.is_cpu and _is_drawn_ahead(draws := tuple(draws)):
            block, row = divmod(int(self.steps.item()), AHEAD)
            return list(_drawn_ahead(int(self.seeds.item()), block, draws)[row])
        return self._drawn(draws)

    def _drawn(self, draws: Sequence[Draw]) -> list[Tensor]:
        hashes, first, found = self._hashes(draws), 0, []
        for normal, shape, _ in draws:
            part = hashes[:, first : (first := first + math.prod(shape))]
            part = part.reshape(len(hashes), *shape)
            numbers = _float(_shift(part, 40))
            if normal:
                radius = torch.sqrt(-2 * torch.log((torch.as_tensor(numbers) + 0.5) * 2.0**-24))
                angle = torch.as_tensor(_float(part & 0xFFFFFF)) * (2 * math.pi * 2.0**-24)
                numbers = radius * torch.cos(angle)
            else:
                numbers *= 2.0**-24
            found.append(torch.as_tensor(numbers))
        return found

    def _hashes(self, draws: Sequence[Draw]) -> Any:
        """(B, N) words with one number per number of the draws, of torch or numpy."""
        device, lanes = self.seeds.device, len(self.seeds)
        uses = tuple([(salt, math.prod(shape)) for _, shape, salt in draws])
        few = device.type == "cpu" and lanes * sum([count for _, count in uses]) <= FEW
        salts, use, place = _places(uses, None if few else device)
        golden, *_ = _UNSIGNED if few else _SIGNED
        seeds: Any = self.seeds.numpy().view(np.uint64) if few else self.seeds
        steps: Any = self.steps.numpy().view(np.uint64) if few else self.steps
        key = _mix(_mix(seeds[:, None] * golden + salts) + steps[:, None] * golden)
        return _mix((key if len(uses) == 1 else key[:, use]) + place)

    def integers(self, high: int, salt: int) -> Tensor:
        """(B,) int64 uniform in [0, high); the bias is below high / 2**24."""
        return (self.uniform((), salt).double() * high).long()

    def gumbel(self, shape: tuple[int, ...], salt: int) -> Tensor:
        """(B, *shape) float32 standard Gumbel: the largest of logits with it is a draw."""
        return -torch.log(-torch.log(self.uniform(shape, salt).clamp_min(2.0**-25)))

    def categorical(self, logits: Tensor, salt: int) -> Tensor:
        """(B,) int64 draws from softmax(logits), by the Gumbel maximum. logits (B, N)."""
        return (logits.float() + self.gumbel((logits.shape[1],), salt)).argmax(1)


def _float(words: Any) -> Any:
    """Words below 2**24 as float32."""
    return words.astype(np.float32) if isinstance(words, np.ndarray) else words.float()


@lru_cache(maxsize=128)
def _is_drawn_ahead(draws: tuple[Draw, ...]) -> bool:
    numbers = sum([math.prod(shape) for _, shape, _ in draws])
    return numbers <= FEW_AHEAD and not any(draw.normal for draw in draws)


@lru_cache(maxsize=64)  # of at most 16 kB
def _drawn_ahead(seed: int, block: int, draws: tuple[Draw, ...]) -> list[list[Tensor]]:
    """(1, *shape) float32 of each of the draws, for the AHEAD steps of a block: the few numbers of
    one lane cost calls of numpy, not arithmetic.
    """
    with torch.inference_mode(False):
        steps = torch.arange(block * AHEAD, (block + 1) * AHEAD)
        drawn = NoiseStream(torch.full_like(steps, seed), steps)._drawn(draws)
        return [[numbers[row : row + 1] for numbers in drawn] for row in range(AHEAD)]


@lru_cache(maxsize=128)
def _places(uses: tuple[tuple[int, int], ...], device: torch.device | None) -> tuple[Any, ...]:
    """Salts (D,) of the uses (salt, count), and of each of their N numbers the use (N,) and the
    multiple of the golden ratio that tells it from others (N,); of numpy without a device.
    """
    counts = [count for _, count in uses]
    salts = np.array([salt for salt, _ in uses], np.uint64)
    use = np.repeat(np.arange(len(uses)), counts)
    place = np.concatenate([np.arange(1, count + 1, dtype=np.uint64) for count in counts])
    arrays = (salts, use, place * _UNSIGNED[0])
    if device is None:
        return arrays
    with torch.inference_mode(False):
        return tuple(torch.from_numpy(array.view(np.int64)).to(device) for array in arrays)


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
