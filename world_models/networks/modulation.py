"""FiLM: feature-wise linear modulation (Perez et al. 2017, arXiv:1709.07871, eq. 1 and 2).

x (1 + scale) + shift, channel by channel, where scale and shift are a linear map of a condition:
noise level, action, past. All networks use it, each with the normalization of its own paper.
"""

from __future__ import annotations

from torch import Tensor, nn


def modulate(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """x (1 + scale) + shift; scale and shift broadcast to x."""
    return x * (1 + scale) + shift


class Film(nn.Module):
    """Modulation of feature maps by a condition of E channels, after `norm` if there is one."""

    def __init__(self, channels: int, condition: int, norm: nn.Module | None = None):
        super().__init__()
        self.norm = nn.Identity() if norm is None else norm
        self.linear = nn.Linear(condition, 2 * channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (B, D, H, W), condition (B, E) -> (B, D, H, W)."""
        scale, shift = self.linear(condition)[:, :, None, None].chunk(2, 1)
        return modulate(self.norm(x), scale, shift)


class TokenFilm(Film):
    """The same for tokens: x (B, N, D), condition (B, E) -> (B, N, D)."""

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.linear(condition)[:, None].chunk(2, 2)
        return modulate(self.norm(x), scale, shift)
