"""Counting shapes in frames: connected pixels of a mask, in many frames at once.

N frames, H x W pixels, S shapes.
"""

from typing import NamedTuple

import cv2
import numpy as np


class Shapes(NamedTuple):
    """Connected pixels (8 neighbors), (S,) each."""

    frame: np.ndarray  # int64: which frame they are in
    area: np.ndarray  # int64: pixels
    mass: np.ndarray  # float64: sum of the weights of their pixels

    def counts(self, frames: int, chosen: np.ndarray, times: np.ndarray | None = None):
        """(N,) int64 shapes of the mask `chosen` (S,) per frame, each counted `times` (S,)."""
        weights = np.ones(len(chosen)) if times is None else times
        found = np.bincount(self.frame[chosen], weights[chosen], minlength=frames)
        return found.astype(np.int64)


def find_shapes(mask: np.ndarray, weights: np.ndarray | None = None) -> Shapes:
    """The shapes of masks (N, H, W) bool; `weights` (N, H, W) are by default 1 per pixel."""
    count, height, width = mask.shape
    tall = np.zeros((count, height + 1, width), np.uint8)  # an empty row parts the frames
    tall[:, :height] = mask
    _, labels, stats, _ = cv2.connectedComponentsWithStats(tall.reshape(-1, width), connectivity=8)
    area, top = stats[1:, cv2.CC_STAT_AREA], stats[1:, cv2.CC_STAT_TOP]
    mass = area.astype(np.float64)
    if weights is not None:
        own = labels.reshape(tall.shape)[:, :height]
        mass = np.bincount(own.ravel(), weights.ravel(), minlength=len(stats))[1:]
    return Shapes(top.astype(np.int64) // (height + 1), area.astype(np.int64), mass)
