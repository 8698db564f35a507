"""The states of a token model's dream.

B lanes, K context frames, G x G codes per frame, H x W x C a frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from world_models.networks.masked_tokens import MovedFrame
from world_models.networks.scroll import Scroll
from world_models.protocols import Context


class CodeWindow(NamedTuple):
    """The state: the codes of the last frames, and the actions between them."""

    codes: Tensor  # (B, K, G, G) int16, or int32 where there are more codes; oldest first
    actions: Tensor  # (B, K - 1, *row), encoded


class PixelWindow(NamedTuple):
    """The state where what is copied keeps its pixels."""

    codes: Tensor  # as in CodeWindow
    actions: Tensor
    frame: Tensor  # (B, H, W, C) uint8, the last one


class ScrollWindow(NamedTuple):
    """The state where the whole frame scrolls."""

    codes: Tensor  # as in CodeWindow
    actions: Tensor
    frame: Tensor  # (B, H, W, C) uint8, the last one
    moves: Tensor  # (B, K - 1) int64, how the frames scrolled, as `Scroll.moves`


TokenWindow = CodeWindow | PixelWindow | ScrollWindow


def first_window(
    context: Context, codes: Tensor, scroll: Scroll | None, copy_pixels: bool
) -> TokenWindow:
    """The state after a context whose frames have these codes (B, K, G, G)."""
    frames, actions = context
    if scroll is not None:
        return ScrollWindow(codes, actions, frames[:, -1], scroll.past_moves(frames))
    return PixelWindow(codes, actions, frames[:, -1]) if copy_pixels else CodeWindow(codes, actions)


def next_window(
    state: TokenWindow, codes: Tensor, actions: Tensor, frame: Tensor, moved: MovedFrame | None
) -> TokenWindow:
    """The state after a step, of the kind of the one before."""
    if isinstance(state, ScrollWindow):
        assert moved is not None
        moves = torch.cat((state.moves[:, 1:], moved.move[:, None]), 1)
        return ScrollWindow(codes, actions, frame, moves)
    if isinstance(state, PixelWindow):
        return PixelWindow(codes, actions, frame)
    return CodeWindow(codes, actions)
