"""Pictures as the page gets them: PNG in text, and all panes of a moment in one binary message.

The binary message is the length of its header (4 bytes, little endian), the header (JSON, UTF-8),
then the panes that the header lists, one after the other, as raw RGBA: H x W x 4 uint8 each.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from collectors import media


def pack_picture(header: Mapping[str, Any], panes: Sequence[np.ndarray]) -> bytes:
    """The binary message of panes (H, W, 3) uint8; `header` gets their sizes under "panes"."""
    sizes = [[pane.shape[1], pane.shape[0]] for pane in panes]
    text = json.dumps({**header, "panes": sizes}, separators=(",", ":")).encode()
    return b"".join([struct.pack("<I", len(text)), text, *(rgba(pane).tobytes() for pane in panes)])


def unpack_picture(data: bytes) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Inverse of `pack_picture`: the header, and the panes (H, W, 4) uint8."""
    (length,) = struct.unpack_from("<I", data)
    header, at, panes = json.loads(data[4 : 4 + length]), 4 + length, []
    for width, height in header["panes"]:
        panes.append(
            np.frombuffer(data, np.uint8, width * height * 4, at).reshape(height, width, 4)
        )
        at += width * height * 4
    return header, panes


def rgba(pane: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (H, W, 4), opaque."""
    return np.dstack([pane, np.full(pane.shape[:2], 255, np.uint8)])


def png(frame: np.ndarray) -> str:
    """(H, W, 3) uint8 -> PNG in base64."""
    return base64.b64encode(media.png(frame)).decode()
