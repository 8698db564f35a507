"""Images for people: PNG files, strips, tiles, frames side by side. Films are in video_writers.

T frames, H x W pixels, uint8 RGB; enlarging repeats pixels, so a pixel game stays sharp.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from collectors.files import write_atomically

GAP = 2  # pixels of the world between two films side by side
GAP_COLOR = (40, 44, 62)
HEAD = 20  # pixels of the line above a strip's columns
GAIN = 2.0  # a difference of half the range is shown in full
DIMMEST, DIM = 22, 0.22  # grays of 22 to 78 where two frames agree
HOT = (255, 206, 120)  # where they differ
PAPER, INK = (18, 20, 32), (205, 212, 230)


def write_strip(
    path: str | Path,
    rows: Sequence[Sequence[np.ndarray] | np.ndarray],
    scale: int = 2,
    gap: int = 4,
    labels: Sequence[str] = (),
    heads: Sequence[str] = (),
) -> Path:
    """Write a PNG with one row of images for each sequence of (H, W, 3) uint8 frames.

    `labels` name the rows and `heads` the columns, whose images then have one width.
    """
    if not rows or not all(len(row) for row in rows):
        raise ValueError("a strip needs at least one row, and every row at least one frame")
    if labels and len(labels) != len(rows):
        raise ValueError(f"{len(labels)} labels for {len(rows)} rows of a strip")
    strips = [
        _join([enlarge(as_image(frame), scale) for frame in row], gap, axis=1) for row in rows
    ]
    if heads:
        width = scale * rows[0][0].shape[1]
        strips.insert(0, _join([label(text, HEAD, width) for text in heads], gap, axis=1))
        labels = ["", *labels] if labels else ()
    if labels:
        margin = max(_text_width(text) for text in labels) + 2 * gap
        strips = [
            _join([label(text, len(strip), margin), strip], 0, axis=1)
            for text, strip in zip(labels, strips, strict=True)
        ]
    body = _join(strips, gap, axis=0)
    image = np.full((body.shape[0] + 2 * gap, body.shape[1] + 2 * gap, 3), PAPER, np.uint8)
    image[gap : gap + body.shape[0], gap : gap + body.shape[1]] = body
    return write_png(path, image)


def side_by_side(*films: np.ndarray, gap: int = GAP) -> np.ndarray:
    """Frames (H, W, 3), or films (T, H, W, 3), in one; a shorter film waits on its last frame.

    Raises ValueError for a mixture of both and for a film without frames.
    """
    films = tuple(map(np.asarray, films))
    if {film.ndim for film in films} not in ({3}, {4}):
        shapes = " and ".join(str(film.shape) for film in films)
        raise ValueError(f"side_by_side takes frames or films, got shapes {shapes}")
    if films[0].ndim == 3:
        return _join([as_image(frame) for frame in films], gap, axis=1, filling=GAP_COLOR)
    if not all(len(film) for film in films):
        raise ValueError("side_by_side got a film without frames")
    length = max(len(film) for film in films)
    at = [[film[min(t, len(film) - 1)] for film in films] for t in range(length)]
    return np.stack([side_by_side(*frames, gap=gap) for frames in at])


def spread(frames: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the frames (T, H, W, C), spread evenly, as (count, H, W, 3)."""
    places = np.linspace(0, len(frames) - 1, min(count, len(frames))).round().astype(int)
    return to_rgb(frames[places])


def to_rgb(frames: np.ndarray) -> np.ndarray:
    """Frames (..., H, W, C) as images for people, (..., H, W, 3).

    Of stacked frames the newest; gray is repeated over the three channels.
    """
    if frames.shape[-1] % 3 == 0:
        return frames[..., -3:]
    return frames[..., -1:].repeat(3, -1)


def difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(..., H, W, 3) uint8 from two frames (..., H, W, C):
    a dim gray `b` where they agree, the brighter the less.
    """

    a, b = to_rgb(np.asarray(a)).astype(np.float32), to_rgb(np.asarray(b)).astype(np.float32)
    if a.shape != b.shape:
        raise ValueError(f"there is no difference between frames of shapes {a.shape} and {b.shape}")
    apart = (np.abs(a - b).max(-1, keepdims=True) * (GAIN / 255)).clip(0, 1)  # (..., H, W, 1)
    gray = DIMMEST + DIM * b.mean(-1, keepdims=True)
    return (gray + apart * (np.array(HOT, np.float32) - gray)).round().astype(np.uint8)


def tile(
    frames: np.ndarray, columns: int = 0, paper: tuple[int, ...] | int = 0, gap: int = 0
) -> np.ndarray:
    """Frames (B, H, W, C) in one image of rows of `columns`, `gap` pixels around each.

    The grid is nearly square where `columns` is 0; gaps and places without a frame have the color
    `paper`.
    """
    count, height, width, channels = frames.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    grid = np.full((rows * columns, height + gap, width + gap, channels), paper, frames.dtype)
    grid[:count, gap:, gap:] = frames
    image = from_tiles(grid.reshape(rows, columns, *grid.shape[1:]))
    full = np.full((image.shape[0] + gap, image.shape[1] + gap, channels), paper, frames.dtype)
    full[: image.shape[0], : image.shape[1]] = image
    return full


def to_tiles(frames: np.ndarray, size: int) -> np.ndarray:
    """Cut (B, R * size, C * size, 3) frames into (B, R, C, size, size, 3) tiles."""
    batch, height, width, channels = frames.shape
    if height % size or width % size:
        raise ValueError(
            f"a frame of {height}x{width} pixels cannot be cut into tiles of {size}x{size}"
        )
    cut = frames.reshape(batch, height // size, size, width // size, size, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5)


def from_tiles(tiles: np.ndarray) -> np.ndarray:
    """Put (R, C, h, w, channels) tiles together into one (R * h, C * w, channels) image."""
    rows, columns, height, width, channels = tiles.shape
    return tiles.transpose(0, 2, 1, 3, 4).reshape(rows * height, columns * width, channels)


def png(image: np.ndarray, scale: int = 1) -> bytes:
    """An image (H, W, 3) uint8, enlarged, as the bytes of a PNG file."""
    from PIL import Image

    packed = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(enlarge(as_image(image), scale))).save(packed, "PNG")
    return packed.getvalue()


def write_png(path: str | Path, image: np.ndarray, scale: int = 1) -> Path:
    """Write an image (H, W, 3) uint8, enlarged, as a PNG file; the folder is made."""
    return write_atomically(path, png(image, scale))


def enlarge(frame: np.ndarray, scale: int) -> np.ndarray:
    """(H, W, C) -> (scale * H, scale * W, C), each pixel repeated."""
    return frame if scale == 1 else np.repeat(np.repeat(frame, scale, axis=0), scale, axis=1)


def as_image(frame: np.ndarray) -> np.ndarray:
    """`frame`, which must be (H, W, 3) uint8; ValueError says what it is instead."""
    frame = np.asarray(frame)
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[-1] != 3 or not frame.size:
        raise ValueError(
            f"a frame is uint8 of shape (H, W, 3), got {frame.dtype} of shape {frame.shape}"
        )
    return frame


def _join(
    images: Sequence[np.ndarray], gap: int, axis: int, filling: tuple[int, int, int] = PAPER
) -> np.ndarray:
    """Images in a line along `axis`, `gap` pixels between;
    a lower one is centered, a narrower one starts left.
    """
    across = 1 - axis
    extent = max(image.shape[across] for image in images)
    shape = [0, 0, 3]
    shape[axis] = sum(image.shape[axis] for image in images) + gap * (len(images) - 1)
    shape[across] = extent
    canvas, at = np.full(shape, filling, np.uint8), 0
    for image in images:
        before = (extent - image.shape[across]) // 2 if axis == 1 else 0
        place = [slice(before, before + image.shape[across])] * 2
        place[axis] = slice(at, at + image.shape[axis])
        canvas[tuple(place)] = image
        at += image.shape[axis] + gap
    return canvas


def label(text: str, height: int, width: int) -> np.ndarray:
    """(height, width, 3): `text` in the middle of the height, at the left."""
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, height), PAPER)
    ImageDraw.Draw(image).text((4, height // 2), text, fill=INK, font=_font(), anchor="lm")
    return np.asarray(image)


def _text_width(text: str) -> int:
    return int(_font().getlength(text)) + 4


def _font():
    from PIL import ImageFont

    return ImageFont.load_default(14)
