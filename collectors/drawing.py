"""Pixel helpers that the games and the contact sheet share. Images are (H, W, 3) uint8."""

import struct
import zlib
from pathlib import Path

import numpy as np


def to_tiles(frames: np.ndarray, size: int) -> np.ndarray:
    """Cuts (B, R * size, C * size, 3) frames into (B, R, C, size, size, 3) tiles."""
    batch, height, width, channels = frames.shape
    if height % size or width % size:
        raise ValueError(
            f"a frame of {height}x{width} pixels cannot be cut into tiles of {size}x{size}"
        )
    cut = frames.reshape(batch, height // size, size, width // size, size, channels)
    return cut.transpose(0, 1, 3, 2, 4, 5)


def from_tiles(tiles: np.ndarray) -> np.ndarray:
    """Puts (R, C, size, size, 3) tiles together into one (R * size, C * size, 3) image."""
    rows, columns, size, _, channels = tiles.shape
    return tiles.transpose(0, 2, 1, 3, 4).reshape(rows * size, columns * size, channels)


def upscale(image: np.ndarray, factor: int) -> np.ndarray:
    """Enlarges an image by repeating pixels."""
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def image_grid(
    images: list[np.ndarray], columns: int, gap: int = 2, colour: int = 90
) -> np.ndarray:
    """Lays equally large images out in rows of `columns`, `gap` grey pixels apart."""
    height, width, channels = images[0].shape
    rows = -(-len(images) // columns)
    sheet = np.full(
        (rows * (height + gap) + gap, columns * (width + gap) + gap, channels), colour, np.uint8
    )
    for index, image in enumerate(images):
        top, left = (
            gap + (index // columns) * (height + gap),
            gap + (index % columns) * (width + gap),
        )
        sheet[top : top + height, left : left + width] = image
    return sheet


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Writes an (H, W, 3) uint8 image as a PNG file."""
    height, width, _ = image.shape

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    rows = np.concatenate(
        [np.zeros((height, 1), np.uint8), image.reshape(height, width * 3)], axis=1
    )  # filter 0
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = (
        chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
        + chunk(b"IEND", b"")
    )
    Path(path).write_bytes(b"\x89PNG\r\n\x1a\n" + body)
