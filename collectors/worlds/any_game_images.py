"""The images of any game: what in an observation is one, and how it becomes a frame.

An image is (H, W), or has 1 or 3 channels along its last or its first axis. Along the shorter of
these axes it may also have those of several frames, the newest one last: three channels per frame
where they are a multiple of three, else one. So (3, H, W) is one image in color, never three gray
ones, and (H, W, 4) four gray ones. N frames.
"""

from __future__ import annotations

from typing import NamedTuple

import gymnasium
import numpy as np
from gymnasium import spaces

from collectors.extras import optional

SMALLEST_IMAGE = 16  # a smaller array is a coded observation
PATCH = 4  # world models cut frames into patches of this side
LEAST_SIDE, MOST_SIDE = 8, 128


class AnyGameError(gymnasium.error.Error, ValueError):
    """A game that cannot be collected; the message says why."""


class GameNotInstalled(AnyGameError, gymnasium.error.DependencyNotInstalled):
    """A game whose package is not installed; the message has the command for it."""


class Source(NamedTuple):
    """Where the image of a step is: in what `render()` gives, or in the observation."""

    renders: bool
    key: str = ""  # of a Dict observation

    def of(self, observation) -> np.ndarray:
        """The image (H, W), (H, W, 1) or (H, W, 3) of an observation."""
        return newest(np.asarray(observation[self.key] if self.key else observation))


# how a key is given, where a game is
GAME_KEY = "--options key={0}, in play, serve, ppo, transfer and evaluate by --real-options key={0}"


def image_source(space: spaces.Space, key: str, name: str, by: str = GAME_KEY) -> Source | None:
    """Where an observation of the space has its image; None where it has none.

    Raises AnyGameError for a `key` that is none, and where several keys of a Dict have images;
    `by` is how a key is given.
    """
    if isinstance(space, spaces.Dict):
        images = [part for part, own in space.items() if is_image(own)]
        if key and key not in images:
            raise AnyGameError(f"{name} has no image {key!r}; there are {images or 'none'}")
        if len(images) > 1 and not key:
            raise AnyGameError(
                f"{name} has several images; choose one of {images} by " + by.format(images[0])
            )
        chosen = key or (images[0] if images else "")
        return Source(False, chosen) if chosen else None
    if key:
        raise AnyGameError(f"{name} has no observation by keys, so no {key!r}: leave out key")
    return Source(False) if is_image(space) else None


def is_image(space: spaces.Space) -> bool:
    """Whether the observations of a space are images or stacks of them, also (N, *image)."""
    if not isinstance(space, spaces.Box) or space.dtype != np.uint8:
        return False
    shape = space.shape[1:] if len(space.shape) == 4 else space.shape
    if len(shape) == 2:
        return min(shape) >= SMALLEST_IMAGE
    return len(shape) == 3 and _channels(shape) is not None


def newest(found: np.ndarray) -> np.ndarray:
    """The image (H, W), (H, W, 1) or (H, W, 3) in an observation of a space of `is_image`."""
    found = found[-1] if found.ndim == 4 else found
    axis = _channels(found.shape) if found.ndim == 3 else None
    if axis is None:
        return found
    image = np.moveaxis(found, axis, 2)
    return image[..., -3:] if image.shape[2] % 3 == 0 else image[..., -1:]


def _channels(shape: tuple[int, ...]) -> int | None:
    """Which axis of an image of three axes has its channels, 0 or 2; None where it is no image."""
    last = shape[2] in (1, 3) or shape[2] < shape[0]
    pixels = shape[:2] if last else shape[1:]
    return (2 if last else 0) if min(pixels) >= SMALLEST_IMAGE else None


def height_and_width(size: int | str) -> tuple[int, int]:
    """The sides that `size`, a side or "HEIGHTxWIDTH", means. Raises AnyGameError."""
    text = str(size).lower()
    words = text.split("x") if "x" in text else [text, text]
    if len(words) != 2 or not all(word.strip().isdecimal() for word in words):
        raise AnyGameError(f"size is a side or HEIGHTxWIDTH in pixels, as 64 or 96x128; got {size}")
    height, width = map(int, words)
    for side in (height, width):
        if side % PATCH or not LEAST_SIDE <= side <= MOST_SIDE:
            raise AnyGameError(
                f"size is at least {LEAST_SIDE} pixels, at most {MOST_SIDE}, and a multiple of "
                f"{PATCH} in both directions; got {size}"
            )
    return height, width


def resized(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """(H, W), (H, W, 1) or (H, W, 3) uint8 -> an image of this shape, of 1 or 3 channels;
    larger images are averaged over areas.
    """
    height, width, channels = shape
    image = np.asarray(image, np.uint8)
    image = image.reshape(*image.shape[:2], -1)
    cv2 = optional("cv2")
    if channels == 1 and image.shape[2] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None]
    elif channels == 3 and image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    shrinks = image.shape[0] >= height and image.shape[1] >= width
    method = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    scaled = cv2.resize(image, (width, height), interpolation=method)
    return np.ascontiguousarray(scaled.reshape(shape))
