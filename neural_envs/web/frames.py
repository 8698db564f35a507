"""Frames as the page gets them: PNG in text, and all views of one step in one binary message.

The binary message is the length of its header (4 bytes, little endian), the header (JSON, UTF-8),
then the frames of the views that the header lists, one after the other, as raw RGBA: H x W x 4
uint8 each.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from collectors import media


class View(NamedTuple):
    """One image on the page."""

    name: str  # "dream", "real", "difference", ...
    frame: np.ndarray  # (H, W, 3) uint8


def pack_views(header: Mapping[str, Any], views: Sequence[View]) -> bytes:
    """The binary message of the views; `header` gets their names and sizes under "views"."""
    rows = [
        {"name": view.name, "width": view.frame.shape[1], "height": view.frame.shape[0]}
        for view in views
    ]
    text = json.dumps({**header, "views": rows}, separators=(",", ":")).encode()
    pixels = (rgba(view.frame).tobytes() for view in views)
    return b"".join([struct.pack("<I", len(text)), text, *pixels])


def unpack_views(data: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Inverse of `pack_views`: the header, and the frames (H, W, 4) uint8."""
    (length,) = struct.unpack_from("<I", data)
    header, offset, frames = json.loads(data[4 : 4 + length]), 4 + length, []
    for row in header["views"]:
        shape = row["height"], row["width"], 4
        size = row["height"] * row["width"] * 4
        frames.append(np.frombuffer(data, np.uint8, size, offset).reshape(shape))
        offset += size
    return header, frames


def rgba(frame: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W, 4), opaque."""
    return np.dstack([frame, np.full(frame.shape[:2], 255, np.uint8)])


def png(frame: np.ndarray) -> str:
    """(H, W, 3) uint8 -> PNG in base64."""
    return base64.b64encode(media.png(frame)).decode()
