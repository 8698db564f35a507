"""Frames from elsewhere in the one shape of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from collectors.dataset.dataset import DatasetError
from collectors.untrusted_files import check_size
from collectors.worlds.any_game_images import MOST_SIDE, PATCH, height_and_width, resized

MOST_EPISODE_BYTES = 2**31  # an episode is kept as a whole


CHANNELS = {"rgb": 3, "gray": 1}


def frame_shape(found: Sequence[int], size: str, name: str, color: str = "") -> list[int]:
    """The shape (H, W, C) that frames of shape `found` have in the dataset: resized to `size`, a
    side or HEIGHTxWIDTH, or as they are where it is empty; in this `color`, by default in rgb
    where they are resized. Raises DatasetError where a model cannot cut them, AnyGameError for a
    size that is none.
    """
    if size:
        return [*height_and_width(size), CHANNELS[color or "rgb"]]
    shape = [*found[:2], CHANNELS[color]] if color else list(found)
    fits = len(shape) == 3 and shape[2] in (1, 3) and not (shape[0] % PATCH or shape[1] % PATCH)
    if not fits or max(shape) > MOST_SIDE:
        other = len(shape) != 3 or shape[2] not in (1, 3)
        raise DatasetError(
            f"{name} has images of shape {tuple(found)}, not of (height, width, 3) with sides that "
            f"{PATCH} divides, up to {MOST_SIDE}; resize them with --size 64"
            + (", or take them as gray with --color gray" if other else "")
        )
    return shape


def fitted(frame: np.ndarray, shape: Sequence[int], size: str, color: str = "") -> np.ndarray:
    """A frame (H, W) or (H, W, C) uint8 in this shape, or as it is where there is neither `size`
    nor `color`, or where it has other sides and is not to be resized.
    """
    same_size = list(frame.shape[:2]) == list(shape[:2])
    changes = bool(size) or (bool(color) and same_size)
    return resized(frame, (shape[0], shape[1], shape[2])) if changes else np.asarray(frame)


def stacked(frames: Iterable[np.ndarray], shape: Sequence[int], name: str) -> np.ndarray:
    """Frames (T, H, W, C) uint8 of the shape that `frame_shape` gave. Raises DatasetError for a
    frame of another one, and DamagedFileError for more than an episode can hold.
    """
    found: list[np.ndarray] = []
    for frame in frames:
        if frame.dtype != np.uint8 or list(frame.shape) != list(shape):
            raise DatasetError(
                f"{name}: frame {len(found)} of a game is {frame.dtype}{frame.shape}, not uint8"
                f"{tuple(shape)} as the first one of all; resize them with --size 64"
            )
        found.append(frame)
        check_size(f"a game of {name}", len(found) * frame.nbytes, MOST_EPISODE_BYTES)
    return np.stack(found) if found else np.empty((0, *shape), np.uint8)
