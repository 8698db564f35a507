"""A scene read from recorded frames: background, sprites, and dictionaries of moves and patches.

T frames in a part, P sprites of S x S pixels, C colors, A changing patches, N patches, H x W pixels
per frame.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from collectors.progress import progress
from world_models import frames as pixels
from world_models.networks.patch_dictionary import cut_patches
from world_models.networks.scene import (
    PLACE_TOLERANCE,
    Scene,
    SceneSizes,
    centroids,
    neighbors_of,
)
from world_models.networks.sprite_images import fitted, margin, solved, window_index
from world_models.protocols import TrainingFrames, WorldSpec

# parts of the data from which images, and moves, are read; what has no entry is never dreamed
IMAGE_PARTS, MOVE_PARTS = 12, 400
FRAMES_OF_BACKGROUND = 1000
AT_ONCE = 64  # frames
CHANGED, FAINT = 0.2, 0.03  # of contrast: so much changes in a sprite's area, and at its edge
WHOLE = 0.02  # share by which the mass of a sprite that is wholly seen differs from the usual one
ROUNDS = 4  # of solving an image and finding it again
WINDOWS = 600  # from which an image is solved
FARTHEST_MOVE = 4.0  # pixels per step along an axis; what is further off was put there
SPACING = 0.045  # pixels round an entry of a dictionary of moves that are the same move
MOST_ENTRIES = 192  # of a dictionary of moves or places
LEAST_COUNT = 12  # occurrences of a move, a place or a patch that is no accident


def fit_scene(
    frames: TrainingFrames, spec: WorldSpec, sprites: int, size: int, patch: int
) -> Scene:
    """The scene of all frames of the training episodes."""
    some = torch.from_numpy(np.concatenate(list(spread(frames, IMAGE_PARTS))))
    scene = Scene(SceneSizes(sprites, size, 0, 0, 0, 0), patch, spec.frame_shape)
    step = max(1, len(some) // FRAMES_OF_BACKGROUND)
    median = some[::step].float().median(0).values
    scene.background.copy_(pixels.to_float(median))
    scene.detector.background.copy_(scene.background)
    scene.area.copy_(areas(scene, some))
    fit_images(scene, some)
    return with_dictionaries(scene, spread(frames, MOVE_PARTS), spec)


def spread(frames: TrainingFrames, count: int) -> Iterator[np.ndarray]:
    """`count` of the parts of all frames or some more, or all if there are fewer, evenly spread:
    counted first, as all of them may not fit into memory.
    """
    step = max(1, sum(1 for _ in frames()) // count)
    yield from islice(frames(), 0, None, step)


def batches(frames: Tensor) -> Iterator[Tensor]:
    """Frames (T, H, W, C) uint8 in parts (B, C, H, W) in [-1, 1]."""
    for part in frames.split(AT_ONCE):
        yield pixels.stack(part[:, None])


def areas(scene: Scene, some: Tensor) -> Tensor:
    """(P, H, W), 1 where a sprite comes: the pixels that change in its contrast, as far as they are
    connected with the one that does so most often. A score in a sprite's color stands apart.
    """
    low, high, often = (torch.full_like(scene.area, value) for value in (9.0, -9.0, 0.0))
    for x in batches(some[::2]):
        maps = scene.detector.raw_contrast(x).clamp(min=0)
        low, high = torch.minimum(low, maps.amin(0)), torch.maximum(high, maps.amax(0))
        often += (maps[1:] - maps[:-1]).abs().sum(0)
    changing = (high - low > CHANGED).float()
    seed = (often == often.amax((1, 2), keepdim=True)).float()
    cross = torch.tensor([[0.0, 1, 0], [1, 1, 1], [0, 1, 0]]).expand(len(seed), 1, 3, 3)
    while True:
        grown = (F.conv2d(seed[None], cross, padding=1, groups=len(seed))[0] > 0) * changing
        if torch.equal(grown, seed):
            return F.max_pool2d(grown, 3, 1, 1) * (high - low > FAINT)
        seed = grown


def fit_images(scene: Scene, some: Tensor) -> None:
    """Solves the sprites' images from frames in which they are seen alone and whole."""
    found = [centroids(scene.maps(x), scene.sizes.sprite_size) for x in batches(some)]
    center, mass = (torch.cat(column) for column in zip(*found, strict=True))
    scene.mass.copy_(mass.median(0).values)
    for j in range(len(scene.mass)):
        whole = (mass[:, j] / scene.mass[j] - 1).abs() < WHOLE
        rows = whole.nonzero()[:, 0]
        rows = rows[:: max(1, len(rows) // WINDOWS)]
        if len(rows):
            _fit_image(scene, some[rows], center[rows, j], j)


def _fit_image(scene: Scene, frames: Tensor, center: Tensor, j: int) -> None:
    """The image of sprite j from frames (N, H, W, C) uint8, with centers (N, 2)."""
    x, size = pixels.stack(frames[:, None]), scene.sizes.sprite_size
    maps = scene.maps(x)[:, j : j + 1]
    planes = torch.cat((maps, (x - scene.background) * scene.area[j]), 1)
    count = size + 2
    first = (center - count / 2 + 0.5).round()
    rows, columns = window_index(first[:, None].long(), count, scene.shape)
    lanes = torch.arange(len(x))[:, None, None, None]
    windows = margin(planes, count).permute(0, 2, 3, 1)[lanes, rows, columns]
    windows = windows[:, 0].permute(0, 3, 1, 2)  # (N, 1 + C, n, n)
    weights = scene.area[j].expand(len(x), -1, -1)
    # a centroid is off by hundredths of a pixel where an edge lies inside one; an image is not
    solution = solved(windows, center, first, size)
    for _ in range(ROUNDS):
        image = solution[:1].expand(len(x), -1, -1)
        center = fitted(maps[:, 0], weights, image, center)
        solution = solved(windows, center, first, size)
    contrast, change = solution[0], solution[1:]
    opacity = (contrast / contrast.quantile(0.99)).clamp(0, 1)
    under = (scene.background * scene.area[j]).sum((1, 2)) / scene.area[j].sum()
    color = (change * opacity).sum((1, 2)) / opacity.square().sum() + under
    scene.contrast[j] = contrast
    scene.images[j] = torch.cat((opacity[None], opacity * color[:, None, None].clamp(-1, 1)))


def with_dictionaries(scene: Scene, parts: Iterable[np.ndarray], spec: WorldSpec) -> Scene:
    """The scene with the moves, the places and the patches of these frames."""
    moved: list[Tensor] = []
    put: list[Tensor] = []
    tiles: Counter[tuple[int, bytes]] = Counter()
    for part in progress(parts, MOVE_PARTS, desc="read the scene"):
        center = []
        for x in batches(torch.from_numpy(part)):
            found, there = scene.locate(x)
            count_tiles(scene, scene.without_sprites(x, found, there), tiles)
            center.append(torch.where(there[..., None], found, torch.nan))
        path = torch.cat(center)
        change = path[1:] - path[:-1]
        near = (change.abs() < FARTHEST_MOVE).all(2, keepdim=True)
        moved.append(torch.where(near, change, torch.nan))
        put.append(torch.where(near, torch.nan, path[1:]))
    moves = entries(torch.cat(moved), SPACING)
    places = entries(torch.cat(put), PLACE_TOLERANCE)
    changing, patches = changing_patches(scene, tiles)
    sizes = (moves.shape[2], places.shape[2], len(patches), len(changing))
    other = Scene(SceneSizes(*scene.sizes[:2], *sizes), scene.patch, spec.frame_shape)
    own = {"moves": moves, "places": places, "changing": changing, "patches": patches}
    own["neighbors"] = neighbors_of(changing, scene.shape[1] // scene.patch)
    other.load_state_dict({**scene.state_dict(), **own})
    return other


def changing_patches(scene: Scene, tiles: Counter[tuple[int, bytes]]) -> tuple[Tensor, Tensor]:
    """Where patches change often, numbers (A,) in reading order, and the dictionary (N, p * p * C)
    of what is seen there, from the counts of `count_tiles`.
    """
    usual = cut_patches(pixels.to_uint8(scene.background[None]), scene.patch).flatten(1, 2)[0]
    often = [key for key, count in tiles.most_common() if count >= LEAST_COUNT]
    changing = torch.tensor(sorted({place for place, _ in often}) or [0])
    kept = sorted(
        {tile for _, tile in often} | {tile.numpy().tobytes() for tile in usual[changing]}
    )
    patches = np.stack([np.frombuffer(tile, np.uint8) for tile in kept])
    return changing, torch.from_numpy(patches).float()


def count_tiles(scene: Scene, clean: Tensor, tiles: Counter[tuple[int, bytes]]) -> None:
    """Counts the patches of frames (B, C, H, W) without sprites that are not the background's, by
    their place (a number in reading order) and their gray levels.
    """
    gray = pixels.to_uint8(torch.cat((clean, scene.background[None])))
    cut = cut_patches(gray, scene.patch).flatten(1, 2)  # (B + 1, G * G, p * p * C)
    other = (cut[:-1] != cut[-1]).any(2)
    for place in other.any(0).nonzero()[:, 0].tolist():
        changed = cut[:-1, place][other[:, place]]
        found, counts = np.unique(changed.numpy(), axis=0, return_counts=True)
        rows = zip(found, counts, strict=True)
        tiles.update({(place, tile.tobytes()): int(count) for tile, count in rows})


def entries(values: Tensor, spacing: float) -> Tensor:
    """Values (T, P, 2), nan for none -> the dictionaries (P, 2, M) of all sprites and axes, each
    ascending; one with fewer entries repeats its last.
    """
    found = [
        [dictionary(values[:, j, axis], spacing) for axis in (0, 1)] for j in range(values.shape[1])
    ]
    most = max(len(row) for pair in found for row in pair)
    filled = [[F.pad(row, (0, most - len(row)), value=float(row[-1])) for row in p] for p in found]
    return torch.stack([torch.stack(pair) for pair in filled])


def dictionary(values: Tensor, spacing: float) -> Tensor:
    """The values (T,), nan for none, that occur often: the fullest bin with those round it is an
    entry at their mean, then the fullest of what is left.
    """
    rest, found = values[~values.isnan()].double(), []
    while len(rest) and len(found) < MOST_ENTRIES:
        bins = (rest / (spacing / 2)).round().long()
        low = int(bins.min())
        counts = torch.bincount(bins - low).double()
        middle = float(counts.argmax() + low) * spacing / 2
        near = (rest - middle).abs() <= spacing
        for _ in range(3):  # of mean shift
            near = (rest - middle).abs() <= spacing
            middle = float(rest[near].mean())
        if int(near.sum()) < LEAST_COUNT and found:
            break
        found.append(middle)
        rest = rest[~near]
    return torch.tensor(sorted(found) or [0.0], dtype=torch.float32)
