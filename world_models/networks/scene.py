"""A scene: sprites at places between pixels, in front of a background of patches of the data.

What a frame shows becomes a few numbers and codes, and these become the frame again. How far a
sprite moves, and where it is put, are entries of dictionaries too: the moves and places that occur
in the data. A state of entries cannot wander off as one of predicted numbers does: a ball that
flies on repeats its move exactly.

B frames, P sprites of S x S pixels, C colors, A changing patches, N patches in the dictionary, M
moves and U places along an axis, H x W pixels per frame.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.networks.patch_dictionary import cut_patches
from world_models.networks.sprite_detector import SpriteDetector
from world_models.networks.sprite_images import PARTS, fitted, margin, rendered, window_index

MOVE_TOLERANCE = 0.047  # pixels between a move and its entry
PLACE_TOLERANCE = 0.25  # pixels between a place and its entry
LEAST_SEEN = 0.25  # of its usual mass, from which a sprite is there
OCCLUDED = 0.05  # of contrast: where so much of another sprite is, nothing is known of this one
COVERED = 0.004  # opacity from which a pixel is not background
AROUND = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))  # a patch and those next to it


class SceneSizes(NamedTuple):
    """Sizes that data decide."""

    sprites: int
    sprite_size: int
    moves: int
    places: int
    patches: int
    changing: int


class Scene(nn.Module):
    """What is fixed of a game's frames, all of it read from data: see `scene_fit`."""

    background: Tensor  # (C, H, W) in [-1, 1]
    area: Tensor  # (P, H, W), 1 where a sprite can be seen
    images: Tensor  # (P, 1 + C, S * R, S * R): opacity, and that times the colors
    contrast: Tensor  # (P, S * R, S * R): the same in the detector's maps
    mass: Tensor  # (P,) what is usually found of a sprite
    moves: Tensor  # (P, 2, M) pixels per step, ascending
    places: Tensor  # (P, 2, U) pixels, ascending
    patches: Tensor  # (N, p * p * C) gray levels
    changing: Tensor  # (A,) int64, numbers of patches in reading order
    neighbors: Tensor  # (A, 5) int64: which of these lie `AROUND` each, A for none

    def __init__(self, sizes: SceneSizes, patch: int, shape: tuple[int, int, int]):
        """shape: (H, W, C) of a frame."""
        super().__init__()
        height, width, colors = shape
        count, side = sizes.sprites, sizes.sprite_size * PARTS
        self.sizes, self.patch, self.shape = sizes, patch, (height, width)
        self.detector = SpriteDetector(count, sizes.sprite_size, shape)
        self.register_buffer("background", torch.zeros(colors, height, width))
        self.register_buffer("area", torch.ones(count, height, width))
        self.register_buffer("images", torch.zeros(count, 1 + colors, side, side))
        self.register_buffer("contrast", torch.zeros(count, side, side))
        self.register_buffer("mass", torch.ones(count))
        self.register_buffer("moves", torch.zeros(count, 2, sizes.moves))
        self.register_buffer("places", torch.zeros(count, 2, sizes.places))
        self.register_buffer("patches", torch.zeros(sizes.patches, patch * patch * colors))
        self.register_buffer("changing", torch.zeros(sizes.changing, dtype=torch.int64))
        near = torch.full((sizes.changing, len(AROUND)), sizes.changing)
        self.register_buffer("neighbors", near)

    # ------------------------------------------------------------------ from frames

    def locate(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Frames x (B, C, H, W) in [-1, 1] -> centers (B, P, 2), row and column of the whole sprite
        in pixels, also where a part of it is hidden; and whether it is there (B, P) bool.
        """
        maps = self.maps(x)
        center, mass = centroids(maps, self.sizes.sprite_size)
        there = mass > LEAST_SEEN * self.mass
        others = maps.sum(1, keepdim=True) - maps
        known = self.area * (others < OCCLUDED)
        images = self.contrast.expand(len(x), -1, -1, -1).flatten(0, 1)
        flat = maps.flatten(0, 1), known.flatten(0, 1)
        exact = fitted(flat[0], flat[1], images, center.flatten(0, 1)).view_as(center)
        center = torch.where(there[..., None], exact, center)
        return center, there

    def maps(self, x: Tensor) -> Tensor:
        """Frames x (B, C, H, W) -> how much of each sprite is where, (B, P, H, W); linear in the
        share of a pixel that it covers.
        """
        return self.detector.raw_contrast(x).clamp(min=0) * self.area

    def without_sprites(self, x: Tensor, center: Tensor, there: Tensor) -> Tensor:
        """Frames x (B, C, H, W) with the background where a sprite is or could be by a pixel."""
        covered = F.max_pool2d(self.opacity(center, there), 3, 1, 1) > COVERED
        return torch.where(covered[:, None], self.background, x)

    def opacity(self, center: Tensor, there: Tensor) -> Tensor:
        """(B, H, W): that of the most opaque sprite at each pixel."""
        black = self.background.new_zeros(len(center), 1, *self.shape)
        layers = self.images[:, :1].repeat(1, 2, 1, 1)  # white sprites, so to say
        return self._composited(black, center, there, layers)[:, 0]

    def codes_of(self, clean: Tensor) -> Tensor:
        """Codes (B, A) int64 of the changing patches of frames (B, C, H, W) without sprites."""
        tiles = cut_patches(clean.permute(0, 2, 3, 1), self.patch).flatten(1, 2)
        tiles = tiles[:, self.changing] * 127.5 + 127.5
        distance = self.patches.square().sum(1) - 2 * (tiles @ self.patches.T)
        return distance.argmin(-1)

    def move_codes(self, moved: Tensor) -> Tensor:
        """Moves (..., P, 2) in pixels -> their entries, int64; M where there is none."""
        return nearest(self.moves, moved, MOVE_TOLERANCE)

    def place_codes(self, center: Tensor) -> Tensor:
        """Centers (..., P, 2) -> the entries of their places, int64; U where there is none."""
        return nearest(self.places, center, PLACE_TOLERANCE)

    # ------------------------------------------------------------------ to frames

    def draw(self, center: Tensor, there: Tensor, codes: Tensor) -> Tensor:
        """Frames (B, C, H, W) in [-1, 1] of sprites at centers (B, P, 2), where they are there
        (B, P), over the patches of these codes (B, A).
        """
        return self._composited(self._backgrounds(codes), center, there, self.images)

    def _backgrounds(self, codes: Tensor) -> Tensor:
        """(B, C, H, W)."""
        size, (height, width) = self.patch, self.shape
        tiles = cut_patches(self.background.permute(1, 2, 0)[None], size).flatten(1, 2)
        tiles = tiles.repeat(len(codes), 1, 1)
        tiles[:, self.changing] = F.embedding(codes, self.patches) * (2 / 255) - 1
        grid = tiles.reshape(len(codes), height // size, width // size, size, size, -1)
        return grid.transpose(2, 3).flatten(3, 4).flatten(1, 2).permute(0, 3, 1, 2)

    def _composited(self, frame: Tensor, center: Tensor, there: Tensor, layers: Tensor) -> Tensor:
        """Sprites (P, 1 + C, ...) over the frame (B, C, H, W), the first one topmost."""
        first, windows = rendered(layers, center)
        count = windows.shape[-1]
        windows = windows * there[..., None, None, None]
        rows, columns = window_index(first, count, self.shape)
        area = margin(self.area, count)
        canvas = margin(frame, count).permute(0, 2, 3, 1).contiguous()
        lanes = torch.arange(len(frame), device=frame.device)[:, None, None]
        for j in reversed(range(self.sizes.sprites)):
            place = (lanes, rows[:, j], columns[:, j])
            image = (windows[:, j] * area[j][place[1:]][:, None]).permute(0, 2, 3, 1)
            canvas[place] = canvas[place] * (1 - image[..., :1]) + image[..., 1:]
        inside = slice(count, -count)
        return canvas[:, inside, inside].permute(0, 3, 1, 2)


def centroids(maps: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Maps (B, P, H, W) -> centroids (B, P, 2), row and column, of the windows of size x size
    pixels with the largest sums, and these sums (B, P).
    """
    columns = maps.shape[3] - size + 1
    # differences of running sums: eight times as fast as pooling on a CPU
    sums = F.pad(maps, (1, 0, 1, 0)).cumsum(2).cumsum(3)
    sums = sums[:, :, size:] - sums[:, :, :-size]
    sums = sums[..., size:] - sums[..., :-size]
    best = sums.flatten(2).argmax(2)  # (B, P)
    span = torch.arange(size, device=maps.device)
    rows, columns = (best // columns)[..., None] + span, (best % columns)[..., None] + span
    index = (rows[..., :, None] * maps.shape[3] + columns[..., None, :]).flatten(2)
    window = maps.flatten(2).gather(2, index).unflatten(2, (size, size))
    mass = window.sum((2, 3))
    center = torch.stack(((window.sum(3) * rows).sum(2), (window.sum(2) * columns).sum(2)), 2)
    return center / mass.clamp(min=1e-3)[..., None], mass


def neighbors_of(changing: Tensor, columns: int) -> Tensor:
    """(A, 5) int64: which of the changing patches (A,), numbers in a grid of so many columns, lie
    `AROUND` each; A for none.
    """
    known = {int(place): i for i, place in enumerate(changing)}
    rows = []
    for place in changing.tolist():
        row, column = divmod(place, columns)
        near = [(row + down, column + right) for down, right in AROUND]
        numbers = [r * columns + c if 0 <= c < columns else -1 for r, c in near]
        rows.append([known.get(number, len(known)) for number in numbers])
    return torch.tensor(rows)


def nearest(entries: Tensor, values: Tensor, tolerance: float) -> Tensor:
    """Values (..., P, 2) -> the number of the nearest of the entries (P, 2, M), int64; M where it
    is further off than the tolerance.
    """
    distance = (values[..., None] - entries).abs()
    least, code = distance.min(-1)
    return torch.where(least <= tolerance, code, entries.shape[-1])
