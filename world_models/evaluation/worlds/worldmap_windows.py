"""Windows over the world map: what two of them share, and how alike they are there.

N frames, H x W x C each. A shift (rows, columns) is how far the window moved.
"""

import numpy as np

from world_models.evaluation.metrics import IDENTICAL_PSNR


def shown(last: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Frames (N, H, W, C) after windows moved by (N, 2) whole pixels;
    what comes into sight is the edge's last row.
    """
    height, width = last.shape[1:3]
    rows = np.clip(np.arange(height) + shift[:, :1], 0, height - 1)[:, :, None]  # (N, H, 1)
    columns = np.clip(np.arange(width) + shift[:, 1:], 0, width - 1)[:, None]  # (N, 1, W)
    return last[np.arange(len(last))[:, None, None], rows, columns]


def window(top: np.ndarray, bottom: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(N, H, W) bool: the pixels of a window that others show too, which lie up to `top` (N, 2)
    pixels before it and `bottom` (N, 2) behind (negative). One window that moved by s: window(s, s,
    size).
    """
    axes = []
    for axis, cells in enumerate(size):
        cell = np.arange(cells)
        before, behind = np.maximum(top[:, axis], 0), np.minimum(bottom[:, axis], 0)
        axes.append((cell < cells - before[:, None]) & (cell >= -behind[:, None]))
    return axes[0][:, :, None] & axes[1][:, None, :]


def masked_psnr(frames: np.ndarray, target: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N,) dB on the pixels of a mask (N, H, W); nan where it is empty."""
    square = np.square(frames.astype(np.float32) - target).mean(-1)  # (N, H, W)
    count = mask.sum((1, 2))
    error = (square * mask).sum((1, 2)) / np.maximum(count, 1)
    found = np.where(error > 0, 10 * np.log10(255.0**2 / np.maximum(error, 1e-12)), IDENTICAL_PSNR)
    return np.where(count > 0, found, np.nan)
