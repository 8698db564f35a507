"""The states of a token model's dream.

B lanes, K context frames, G x G codes per frame, H x W x C a frame.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class CodeWindow(NamedTuple):
    """The state: the codes of the last frames, and the actions between them."""

    codes: Tensor  # (B, K, G, G) int16, or int32 where there are more codes; oldest first
    actions: Tensor  # (B, K - 1, *row), encoded


class PixelWindow(NamedTuple):
    """The state where what is copied keeps its pixels."""

    codes: Tensor  # as in CodeWindow
    actions: Tensor
    frame: Tensor  # (B, H, W, C) uint8, the last one
