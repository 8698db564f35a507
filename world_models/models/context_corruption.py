"""Context codes as a dream might have them wrong: single codes replaced, and whole things erased.

A small thing, as the player, is lost in a dream from time to time. A model that was only trained on
games, where it is always there, never brings it back; one that was trained on frames from which it
was erased does. It must be erased as dreams do it: what is around it scrolls on over its place. Of
codes from elsewhere a network learns to find the seam, and dreams have none.

B clips, K context frames, G x G codes per frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from world_models.models.token_scroll import rarity
from world_models.networks.scroll import whole_patches

if TYPE_CHECKING:
    from world_models.models.tokens import TokensModel

LARGEST_BOX = 5  # places along each axis
LEAST_OFFSET, OFFSETS = 3, 4  # places from where the codes of an erased box come
SCROLLED_OVER = 0.75  # share of boxes that are erased as in a dream, where the network scrolls


def corrupt(
    model: TokensModel,
    codes: Tensor,
    last: Tensor | None,
    moves: Tensor | None,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Context codes (B, K, G, G) as a dream might have them wrong, and the share (B,) of single
    codes that was replaced. A dream is not told of what was erased. `last`: their last frame
    (B, H, W, C) uint8, by which things are erased; `moves`: how the frames scrolled (B, K - 1).
    """
    if model.config.erased and last is not None:
        codes = erase(model, codes, last, moves, generator)
    return replace_codes(model, codes, generator)


def replace_codes(
    model: TokensModel, codes: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Some codes replaced by one of the same place in another clip, or in half of the cases by one
    with nearly its values; see `corrupt`.
    """
    count, config, device = len(codes), model.config, codes.device
    share = torch.rand(count, generator=generator) * config.corruption
    share = torch.where(torch.rand(count, generator=generator) < config.corrupted, share, 0.0)
    chance, limit = torch.rand(codes.shape, generator=generator), share[:, None, None, None]
    other = codes.roll(1, 0)  # of the next clip
    near = model.tokenizer.nearby(codes, generator)
    replaced = torch.where((chance < limit / 2).to(device), near, other)
    return torch.where((chance < limit).to(device), replaced, codes), share.to(device)


def erase(
    model: TokensModel,
    codes: Tensor,
    last: Tensor,
    moves: Tensor | None,
    generator: torch.Generator,
) -> Tensor:
    """Codes (B, K, G, G) of which a share `model.config.erased` of clips lost a box of places, in
    the last frame and in some or all before it. Boxes lie where colors of the `last` frame
    (B, H, W, C) uint8 are rare, and get what scrolls there from the frame before, by the `moves`
    (B, K - 1) of the frames, or the codes from a few places beside them.
    """
    (count, frames), device = codes.shape[:2], codes.device
    box = boxes(rarity(last, model.patch).cpu(), generator).to(device)
    first = torch.randint(frames, (count,), generator=generator)  # the first erased frame
    late = torch.arange(frames) >= first[:, None]
    erased = torch.rand(count, generator=generator) < model.config.erased
    where = (late & erased[:, None]).to(device)[:, :, None, None] & box[:, None]
    changed = torch.where(where, from_beside(codes, generator), codes)
    scrolls = erased & (torch.rand(count, generator=generator) < SCROLLED_OVER)
    if moves is None or not scrolls.any():
        return changed
    rows = scrolls.nonzero()[:, 0].to(device)
    own = torch.cat((changed[rows, :1], codes[rows, 1:]), 1)  # nothing scrolls into the first frame
    return changed.index_copy(0, rows, scrolled_over(model, own, where[rows], moves[rows]))


@torch.no_grad()
def scrolled_over(model: TokensModel, codes: Tensor, where: Tensor, moves: Tensor) -> Tensor:
    """Codes (B, K, G, G) that have, in the places `where` (B, K, G, G) bool of every frame but the
    first, what the frame before shows there once it is moved by `moves` (B, K - 1).
    """
    scroll, patch = model.network.scroll, model.patch
    assert scroll is not None
    shown = model.decode_codes(codes.flatten(0, 1)).unflatten(0, codes.shape[:2])
    frame, *frames = shown.unbind(1)
    changed = [codes[:, 0]]
    for k, after in enumerate(frames, 1):
        moved, known = scroll.moved(frame, moves[:, k - 1])
        taken = where[:, k] & whole_patches(known, patch)
        pixels = taken.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[..., None]
        frame = torch.where(pixels, moved, after)
        changed.append(torch.where(taken, model.encode_frames(frame).long(), codes[:, k]))
    return torch.stack(changed, 1)


def boxes(rare: Tensor, generator: torch.Generator) -> Tensor:
    """A box of places of each frame (B, G, G) bool, about a place drawn by its weight `rare`
    (B, G, G).
    """
    count, *shape = rare.shape
    center = torch.multinomial(rare.flatten(1), 1, generator=generator)[:, 0]
    inside = torch.ones(count, *shape, dtype=torch.bool)
    middles = (center // shape[1], center % shape[1])
    for axis, (middle, size) in enumerate(zip(middles, shape, strict=True), 1):
        length = torch.randint(1, LARGEST_BOX + 1, (count,), generator=generator)
        start = middle - (torch.rand(count, generator=generator) * length).long()
        place = torch.arange(size)
        along = (place >= start[:, None]) & (place < (start + length)[:, None])  # (B, G)
        inside &= along[:, :, None] if axis == 1 else along[:, None]
    return inside


def from_beside(codes: Tensor, generator: torch.Generator) -> Tensor:
    """Codes (B, K, G, G), each from a few places to the left, the right, above or below."""
    offset = LEAST_OFFSET + int(torch.randint(OFFSETS, (), generator=generator))
    axis = 2 + int(torch.randint(2, (), generator=generator))
    sign = 1 - 2 * int(torch.randint(2, (), generator=generator))
    return codes.roll(sign * offset, axis)
