"""Frames from elsewhere in the one shape of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from collectors.dataset.dataset import DatasetError
from collectors.interchange.writing import PATCH
from collectors.untrusted_files import check_size
from collectors.worlds.any_game_images import resized

MOST_EPISODE_BYTES = 2**31  # an episode is kept as a whole


def frame_shape(found: Sequence[int], size: int, name: str) -> list[int]:
    """The shape (H, W, C) that frames of shape `found` have in the dataset: resized to (size, size,
    3), or as they are where `size` is 0. Raises DatasetError where a model cannot cut them.
    """
    shape = [size, size, 3] if size else list(found)
    if len(shape) != 3 or shape[0] != shape[1] or shape[0] % PATCH or shape[2] != 3:
        raise DatasetError(
            f"{name} has images of shape {tuple(found)}, not of (side, side, 3) with a side that "
            f"{PATCH} divides; resize them with --size 64"
        )
    return shape


def fitted(frame: np.ndarray, size: int) -> np.ndarray:
    """A frame (H, W) or (H, W, C) uint8 as (size, size, 3), or as it is where `size` is 0."""
    return resized(frame, (size, size, 3)) if size else np.asarray(frame)


def stacked(frames: Iterable[np.ndarray], shape: Sequence[int], name: str) -> np.ndarray:
    """Frames (T, H, W, C) uint8 of the shape that `frame_shape` gave. Raises DatasetError for a
    frame of another one, and DamagedFileError for more than an episode can hold.
    """
    found: list[np.ndarray] = []
    for frame in frames:
        if frame.dtype != np.uint8 or list(frame.shape) != list(shape):
            raise DatasetError(
                f"{name}: frame {len(found)} of a game is {frame.dtype}{frame.shape}, not uint8"
                f"{tuple(shape)} as the first one of all"
            )
        found.append(frame)
        check_size(f"a game of {name}", len(found) * frame.nbytes, MOST_EPISODE_BYTES)
    return np.stack(found) if found else np.empty((0, *shape), np.uint8)
