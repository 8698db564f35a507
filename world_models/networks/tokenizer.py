"""Tokenizers: frames to a grid of discrete codes, one per patch, and back.

Two kinds. `FSQTokenizer`: an autoencoder whose latents are rounded to a few levels (finite scalar
quantization, Mentzer et al. 2023, arXiv:2309.15505). `PatchDictionary`: a code is a patch that
occurs in the data (`patch_dictionary`).

B frames, C colors, H x W pixels, P pixels along the side of a patch, G x G patches, N codes, E
values of a code.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import check_settings, setting
from world_models.networks.blocks import PatchEmbed, PatchOut, TokenNorm
from world_models.networks.code_head import digits_of
from world_models.networks.initialization import zeroed
from world_models.networks.patch_dictionary import SOFTMAX, PatchDictionary
from world_models.networks.reconstruction import patch_weights, roughness

MOST_CODES = 2**31  # codes are kept as whole numbers of 32 bits


@dataclass(frozen=True)
class TokenizerConfig:
    """Sizes of a tokenizer. Raises ValueError on what cannot be built."""

    kind: Literal["auto", "fsq", "patches"] = setting(
        "auto", "auto: patches where the data hold few enough, else fsq"
    )
    patch: int = setting(4, "pixels along the side of a patch", least=1)
    levels: tuple[int, ...] = setting(
        (8, 5, 5, 5), "of each latent value; their product is the number of codes of fsq"
    )
    patches: int = setting(0, "entries of the dictionary; 0: counted in the data", least=0)
    most_patches: int = setting(
        2048, "auto takes a dictionary if so many hold all but a few patches of the data", least=1
    )
    width: int = setting(64, "channels of fsq's encoder and decoder", least=1)
    encoder_depth: int = setting(2, "residual blocks", least=0)
    decoder_depth: int = setting(3, "residual blocks", least=0)
    texture: float = setting(0.0, "weight of the loss that keeps fsq's texture sharp", least=0)
    focus: float = setting(
        0.0, "how much more fsq learns from patches that it draws badly; 0: all alike", least=0
    )

    def __post_init__(self):
        check_settings(self)
        if not self.levels or min(self.levels) < 2:
            raise ValueError(f"each latent value needs two levels or more, got {self.levels}")
        if math.prod(self.levels) > MOST_CODES:
            raise ValueError(f"levels {self.levels} make more codes than fit in 32 bits")


class Tokenizer(Protocol):
    """What the dynamics need of a tokenizer.

    A code is a number that `sizes` write in digits, the first one foremost.
    """

    sizes: tuple[int, ...]  # their product is at least the number of codes
    codes: int  # N

    def encode(self, frames: Tensor) -> Tensor:
        """frames (B, C, H, W) in [-1, 1] -> codes (B, G, G) int64."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """codes (B, G, G) int64 -> frames (B, C, H, W) in about [-1, 1]."""
        ...

    def values(self, codes: Tensor) -> Tensor:
        """codes (...) int64 -> (..., E) float32 in about [-1, 1]; near values look alike."""
        ...

    def nearby(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Codes (...) of which each looks nearly like the given one."""
        ...

    def losses(self, frames: Tensor) -> dict[str, Tensor]:
        """Mean losses by name of frames (B, C, H, W); none where there is nothing to learn."""
        ...


class ScalarQuantizer(nn.Module):
    """Rounds each of E values to its levels; a code is the number that these levels write as
    digits, first one first.

    Values (..., E) leave it in [-1, 1], with straight-through gradients (arXiv:2309.15505, section
    3).
    """

    levels: Tensor  # (E,) int64
    basis: Tensor  # (E,) int64, what a level counts in a code

    def __init__(self, levels: tuple[int, ...]):
        super().__init__()
        basis = [math.prod(levels[i + 1 :]) for i in range(len(levels))]
        self.sizes = levels
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("basis", torch.tensor(basis), persistent=False)

    def exact(self, z: Tensor) -> Tensor:
        """Unbounded z (..., E) -> the place on the levels,
        (..., E) float32 in (-0.5, levels - 0.5).
        """
        return self.levels * z.float().tanh().add(1).div(2) - 0.5

    def rounded(self, z: Tensor) -> Tensor:
        """The nearest level, (..., E) float32 whole numbers."""
        return self.exact(z).round().clamp(min=0).minimum(self.levels - 1.0)

    def forward(self, z: Tensor) -> Tensor:
        """Unbounded z (..., E) -> rounded values (..., E) in [-1, 1],
        whose gradient is that of the unrounded ones.
        """
        exact = self.exact(z)
        return 2 * (exact + (self.rounded(z) - exact).detach()) / (self.levels - 1) - 1

    def codes(self, z: Tensor) -> Tensor:
        """Unbounded z (..., E) -> codes (...) int64."""
        return (self.rounded(z).long() * self.basis).sum(-1)

    def digits(self, codes: Tensor) -> Tensor:
        """Codes (...) int64 -> (..., E) int64, the level of each value."""
        return torch.stack(digits_of(codes, self.sizes), -1)

    def values(self, codes: Tensor) -> Tensor:
        """Codes (...) int64 -> (..., E) float32 in [-1, 1]."""
        return 2 * self.digits(codes) / (self.levels - 1) - 1


def grouped(levels: tuple[int, ...]) -> tuple[int, ...]:
    """Products of neighboring levels, each as large as it can be up to `SOFTMAX`: the digits in
    which codes are decided.

    (8, 5, 5, 5) -> (40, 25).
    """
    sizes = [1]
    for level in levels:
        sizes = (
            [*sizes[:-1], sizes[-1] * level] if sizes[-1] * level <= SOFTMAX else [*sizes, level]
        )
    return tuple(size for size in sizes if size > 1)


class FSQTokenizer(nn.Module):
    """An autoencoder with a quantized code per patch:
    encoded patch by patch, decoded with those around it.

    A code that depends on its own patch only is easier to predict: it moves with the frame, and a
    change nearby leaves it.
    """

    def __init__(self, config: TokenizerConfig, colors: int):
        super().__init__()
        width, size = config.width, len(config.levels)
        self.sizes, self.codes = grouped(config.levels), math.prod(config.levels)
        self.quantizer, self.texture = ScalarQuantizer(config.levels), config.texture
        self.focus, self.patch = config.focus, config.patch
        self.encoder = nn.Sequential(
            PatchEmbed(colors, width, config.patch),
            *(PatchBlock(width) for _ in range(config.encoder_depth)),
            nn.SiLU(),
            nn.Conv2d(width, size, 1),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(size, width, 3, padding=1),
            *(LocalBlock(width) for _ in range(config.decoder_depth)),
            PatchOut(width, colors, config.patch),
        )

    def encode(self, frames: Tensor) -> Tensor:
        return self.quantizer.codes(self.encoder(frames).permute(0, 2, 3, 1))

    def decode(self, codes: Tensor) -> Tensor:
        return self.decoder(self.values(codes).permute(0, 3, 1, 2))

    def values(self, codes: Tensor) -> Tensor:
        return self.quantizer.values(codes)

    def nearby(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """One value of each code a level up or down."""
        levels, basis = self.quantizer.levels, self.quantizer.basis
        which = torch.randint(len(levels), codes.shape, generator=generator).to(codes.device)
        move = 2 * torch.randint(2, codes.shape, generator=generator).to(codes.device) - 1
        level = codes // basis[which] % levels[which]
        moved = (level + move).clamp(min=0).minimum(levels[which] - 1)
        return codes + (moved - level) * basis[which]

    def losses(self, frames: Tensor) -> dict[str, Tensor]:
        """5 x squared + 0.3 x absolute error: the first for the brightness of areas, the second for
        thin lines. With `focus` a patch weighs the more the worse it is drawn: what is small and
        rare, as a coin, is else left out. With `texture` also how much each patch is too smooth or
        too rough: relief that the codes cannot place is blurred by the first two, but its amount is
        known.
        """
        values = self.quantizer(self.encoder(frames).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        decoded = self.decoder(values).float()
        squared, absolute = (decoded - frames).square(), (decoded - frames).abs()
        error = 5 * squared + 0.3 * absolute
        if self.focus:
            error = error * patch_weights(squared, self.patch, self.focus)
        loss = error.mean()
        if self.texture:
            loss = loss + self.texture * F.l1_loss(roughness(decoded), roughness(frames))
        return {"reconstruction": loss, "mse": squared.mean().detach()}


class PatchBlock(nn.Module):
    """Residual block of 1x1 convolutions: each patch by itself,
    so that equal patches have equal codes anywhere.
    """

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.hidden, self.out = (
            TokenNorm(width),
            nn.Conv2d(width, width, 1),
            nn.Conv2d(width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(F.silu(self.hidden(self.norm(x))))


class LocalBlock(nn.Module):
    """Residual block of a 3x3 and a 1x1 convolution: a patch is decoded from the codes near it."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.near = TokenNorm(width), nn.Conv2d(width, width, 3, padding=1)
        self.out = zeroed(nn.Conv2d(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.out(F.silu(self.near(self.norm(x))))


def build_tokenizer(config: TokenizerConfig, colors: int) -> FSQTokenizer | PatchDictionary:
    """The tokenizer of a config. Raises ValueError for `auto`, which only data can decide."""
    if config.kind == "auto":
        raise ValueError(
            "tokenizer.kind=auto is decided by a dataset: train it, or name fsq or patches"
        )
    if config.kind == "fsq":
        return FSQTokenizer(config, colors)
    return PatchDictionary(config.patch, config.patches, colors)


def digit_values(tokenizer: Tokenizer, device: torch.device) -> list[Tensor]:
    """For each digit of a code the values (size, E') of the codes that have it, all others 0."""
    sizes = tokenizer.sizes
    steps = [math.prod(sizes[i + 1 :]) for i in range(len(sizes))]
    digits = zip(sizes, steps, strict=True)
    codes = [torch.arange(size, device=device) * step for size, step in digits]
    return [tokenizer.values(c.clamp(max=tokenizer.codes - 1)) for c in codes]
