"""World models of others, rebuilt to their published sizes with untrained weights, for timing only.

DIAMOND's Atari denoiser and reward/end model (Alonso et al. 2024, arXiv:2405.12399;
eloialonso/diamond, MIT) and the pixel U-Net of the Snake pixel-EDM system. Timing needs no trained
weights: the arithmetic is the same. B lanes; frames are float (B, 3, 64, 64) in [-1, 1].
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.attention import AttentionBlock
from world_models.networks.unet import UNetBlock, adaptive_norm, convolution

DIAMOND_LEVELS = (5.0, 0.2831, 0.002, 0.0)  # noise levels of its three Euler steps
SNAKE_LEVELS = (80.0, 2.515, 0.002, 0.0)
SIGMA_DATA = 0.5


class DiamondBlock(nn.Module):
    """AdaGN, SiLU, convolution, twice; attention after the sum where asked for."""

    def __init__(self, inputs: int, outputs: int, condition: int, attention: bool = False):
        super().__init__()
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.norm1 = adaptive_norm(inputs, condition, max(1, inputs // 32))
        self.conv1 = convolution(inputs, outputs)
        self.norm2 = adaptive_norm(outputs, condition, max(1, outputs // 32))
        self.conv2 = convolution(outputs, outputs)
        norm = nn.GroupNorm(max(1, outputs // 32), outputs)
        self.attention = AttentionBlock(outputs, outputs // 8, norm) if attention else nn.Identity()

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.conv1(F.silu(self.norm1(x, condition)))
        return self.attention(self.skip(x) + self.conv2(F.silu(self.norm2(h, condition))))


class DiamondDenoiser(nn.Module):
    """The Atari denoiser: 4,405,699 + 64 A parameters.

    Four levels of 64 channels at 64, 32, 16 and 8 pixels.
    """

    frequencies: Tensor

    def __init__(self, actions: int = 4, channels: int = 64, condition: int = 256):
        super().__init__()
        # DIAMOND draws them at random, which costs the same.
        self.register_buffer("frequencies", torch.linspace(-2, 2, condition // 2))
        self.action = nn.Embedding(actions, condition // 4)
        self.condition = nn.Sequential(
            nn.Linear(condition, condition), nn.SiLU(), nn.Linear(condition, condition)
        )
        self.conv_in = convolution(15, channels)

        def blocks(inputs: int, count: int, attention: bool = False) -> nn.ModuleList:
            return nn.ModuleList(
                DiamondBlock(inputs, channels, condition, attention) for _ in range(count)
            )

        self.down = nn.ModuleList(blocks(channels, 2) for _ in range(4))
        self.shrink = nn.ModuleList(convolution(channels, channels, 2) for _ in range(3))
        self.middle = blocks(channels, 2, attention=True)
        self.up = nn.ModuleList(blocks(2 * channels, 3) for _ in range(4))
        self.grow = nn.ModuleList(convolution(channels, channels) for _ in range(3))
        self.norm_out = nn.GroupNorm(max(1, channels // 32), channels)
        self.conv_out = convolution(channels, 3)

    def forward(self, noisy: Tensor, past: Tensor, actions: Tensor, sigma: float) -> Tensor:
        """The denoised frames (B, 3, H, W), quantised to 8 bits.

        noisy (B, 3, H, W), past (B, 12, H, W), actions (B, 4).
        """
        sigma = math.sqrt(sigma**2 + 0.3**2)
        c_in, c_skip = 1 / math.sqrt(sigma**2 + 0.25), 0.25 / (sigma**2 + 0.25)
        phase = 2 * math.pi * math.log(sigma) / 4 * self.frequencies
        fourier = torch.cat((phase.cos(), phase.sin()))
        condition = self.condition(fourier + self.action(actions).flatten(1))
        x = self._trunk(torch.cat((past / SIGMA_DATA, c_in * noisy), 1), condition)
        clean = c_skip * noisy + sigma * math.sqrt(c_skip) * x
        return ((clean.clamp(-1, 1) + 1) * 127.5).to(torch.uint8).float() / 127.5 - 1

    def _trunk(self, x: Tensor, condition: Tensor) -> Tensor:
        x, skips = self.conv_in(x), []
        for level, blocks in enumerate(self.down):
            x = self.shrink[level - 1](x) if level else x
            kept = [x]
            for block in stack(blocks):
                kept.append(x := block(x, condition))
            skips.append(kept)
        for block in self.middle:
            x = block(x, condition)
        for level, blocks in enumerate(self.up):
            x = self.grow[level - 1](F.interpolate(x, scale_factor=2.0)) if level else x
            for block, skip in zip(stack(blocks), reversed(skips[3 - level]), strict=True):
                x = block(torch.cat((x, skip), 1), condition)
        return self.conv_out(F.silu(self.norm_out(x)))


class DiamondRewardEnd(nn.Module):
    """The Atari reward/end model: 5,900,352 + 128 A parameters; 32 channels, an LSTM of 512."""

    def __init__(
        self, actions: int = 4, channels: int = 32, condition: int = 128, hidden: int = 512
    ):
        super().__init__()
        self.action = nn.Embedding(actions, condition)
        self.conv_in = convolution(6, channels)

        def pair(attention: bool = False) -> nn.ModuleList:
            return nn.ModuleList(
                DiamondBlock(channels, channels, condition, attention) for _ in range(2)
            )

        self.levels = nn.ModuleList([*(pair() for _ in range(4)), pair(attention=True)])
        self.shrink = nn.ModuleList(convolution(channels, channels, 2) for _ in range(3))
        self.lstm = nn.LSTM(channels * 8 * 8, hidden, batch_first=True)
        self.head = nn.Sequential(
            nn.Linear(hidden, hidden), nn.SiLU(), nn.Linear(hidden, 5, bias=False)
        )

    def forward(self, frame: Tensor, following: Tensor, action: Tensor, memory=None):
        """Logits (B, 5) of three reward signs and of going on or ending, and the LSTM's memory.

        Two frames (B, 3, H, W), action (B,) and the memory of the step before, None at the start.
        """
        x, condition = self.conv_in(torch.cat((frame, following), 1)), self.action(action)
        for level, blocks in enumerate(self.levels):
            x = self.shrink[level - 1](x) if 0 < level < 4 else x
            for block in stack(blocks):
                x = block(x, condition)
        out, memory = self.lstm(x.flatten(1)[:, None], memory)
        return self.head(out[:, 0]), memory


class SnakePixelUNet(nn.Module):
    """The U-Net of the Snake pixel-EDM system: 53,283,843 parameters."""

    def __init__(self, actions: int = 4, condition: int = 512):
        super().__init__()
        self.noise, self.action = (
            nn.Sequential(nn.Linear(inputs, condition), nn.SiLU(), nn.Linear(condition, condition))
            for inputs in (1, actions)
        )
        self.conv_in = convolution(15, 128)
        sizes = ((128, 256), (256, 512), (512, 512))
        self.down = nn.ModuleList(UNetBlock(i, o, condition) for i, o in sizes)
        self.shrink = nn.ModuleList(convolution(o, o, 2) for _, o in sizes)
        self.middle = nn.ModuleList(UNetBlock(512, 512, condition) for _ in range(2))
        self.attention = AttentionBlock(512, 8, nn.GroupNorm(32, 512))
        sizes = ((512, 512, 512), (512, 512, 256), (256, 256, 128))  # channels in, of the skip, out
        self.grow = nn.ModuleList(nn.ConvTranspose2d(i, i, 4, 2, 1) for i, _, _ in sizes)
        self.up = nn.ModuleList(UNetBlock(i + skip, o, condition) for i, skip, o in sizes)
        self.norm_out, self.conv_out = nn.GroupNorm(32, 128), convolution(128, 3)

    def forward(self, noisy: Tensor, past: Tensor, action: Tensor, sigma: float) -> Tensor:
        """The denoised frames (B, 3, H, W).

        noisy (B, 3, H, W), past (B, 12, H, W), action (B, A) one-hot, or zeros for none.
        """
        total = sigma**2 + SIGMA_DATA**2
        condition = self.noise(noisy.new_full((len(noisy), 1), math.log(sigma))) + self.action(
            action
        )
        x, skips = self.conv_in(torch.cat((past, noisy / math.sqrt(total)), 1)), []
        for block, shrink in zip(self.down, self.shrink, strict=True):
            skips.append(x := block(x, condition))
            x = shrink(x)
        x = self.middle[1](self.attention(self.middle[0](x, condition)), condition)
        for block, grow in zip(self.up, self.grow, strict=True):
            x = block(torch.cat((grow(x), skips.pop()), 1), condition)
        x = self.conv_out(F.silu(self.norm_out(x)))
        return SIGMA_DATA**2 / total * noisy + sigma * SIGMA_DATA / math.sqrt(total) * x


def stack(blocks: nn.Module) -> nn.ModuleList:
    """A level of a list of lists of blocks, for type checkers: nn.ModuleList holds any Module."""
    assert isinstance(blocks, nn.ModuleList)
    return blocks


def euler(levels: tuple[float, ...], noisy: Tensor, denoise) -> Tensor:
    """Euler steps down `levels`; `denoise(x, sigma)` estimates the clean frame."""
    for sigma, following in zip(levels, levels[1:], strict=False):
        clean = denoise(noisy, sigma)
        noisy = noisy + (noisy - clean) / sigma * (following - sigma)
    return noisy


def _draws(lanes: int, device: str) -> tuple[torch.Generator, Tensor]:
    """A generator and the past of B lanes as 12 channels, in the layout fastest on a CPU."""
    generator = torch.Generator(device).manual_seed(0)
    past = torch.randn(lanes, 12, 64, 64, generator=generator, device=device)
    return generator, past.to(memory_format=torch.channels_last)


def diamond_dreams(
    lanes: int, denoiser: DiamondDenoiser, outcome: DiamondRewardEnd, device: str = "cpu"
) -> Iterator[Tensor]:
    """Endless DIAMOND frames (B, 3, 64, 64): three denoiser calls and one reward/end call each."""
    (generator, past), memory = _draws(lanes, device), None
    actions = torch.zeros(lanes, 4, dtype=torch.int64, device=past.device)
    while True:
        noise = torch.randn(lanes, 3, 64, 64, generator=generator, device=past.device)
        frame = euler(
            DIAMOND_LEVELS, noise, lambda x, sigma, past=past: denoiser(x, past, actions, sigma)
        )
        logits, memory = outcome(past[:, 9:], frame, actions[:, -1], memory)
        torch.multinomial(logits[:, :3].softmax(1), 1, generator=generator)
        past = torch.cat((past[:, 3:], frame), 1)
        yield frame


def snake_dreams(
    lanes: int, network: SnakePixelUNet, guidance: float = 2.0, device: str = "cpu"
) -> Iterator[Tensor]:
    """Endless frames of the Snake pixel-EDM system: three steps, with and without the action."""
    generator, past = _draws(lanes, device)
    action = F.one_hot(torch.zeros(lanes, dtype=torch.int64, device=past.device), 4).float()

    def guided(x: Tensor, sigma: float) -> Tensor:
        free = network(x, past, torch.zeros_like(action), sigma)
        return free + guidance * (network(x, past, action, sigma) - free)

    while True:
        noise = 80.0 * torch.randn(lanes, 3, 64, 64, generator=generator, device=past.device)
        frame = euler(SNAKE_LEVELS, noise, guided).clamp(-1, 1)
        past = torch.cat((past[:, 3:], frame), 1)
        yield frame
