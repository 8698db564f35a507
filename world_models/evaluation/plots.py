"""Pictures of an evaluation: quality against horizon, and dreamed beside real films.

H x W pixels, uint8 RGB.
"""

from pathlib import Path

import cv2
import imageio.v2 as imageio
import numpy as np

from collectors.media import to_rgb

COLOURS = ((60, 110, 220), (220, 120, 40), (60, 150, 80))
SIZE = 640, 400  # of a plot
INK, PAPER = (40, 40, 40), (255, 255, 255)


def line_plot(
    path: str | Path, curves: dict[str, list[float]], title: str, unit: str, along: str = "steps"
) -> None:
    """Writes a PNG with one line a curve; points are 1, 2, ...

    along an axis called `along`; missing ones are nan.
    """
    width, height = SIZE
    left, right, top, bottom = 70, width - 20, 40, height - 45
    values = np.concatenate([np.asarray(curve, float) for curve in curves.values()])
    low, high = np.nanmin(values), np.nanmax(values)
    high = high if high > low else low + 1
    steps = max(len(curve) for curve in curves.values())
    picture = np.full((height, width, 3), PAPER, np.uint8)
    cv2.rectangle(picture, (left, top), (right, bottom), INK, 1)
    labels = {
        title: (left, 26),
        unit: (5, 26),
        f"{high:.3g}": (8, top + 5),
        f"{low:.3g}": (8, bottom),
    }
    for label, place in {
        **labels,
        "1": (left, bottom + 18),
        f"{steps} {along}": (right - 75, bottom + 18),
    }.items():
        _write(picture, label, place, INK)
    for number, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[number % len(COLOURS)]
        x = np.linspace(left, right, steps)[: len(curve)]
        y = bottom - (np.asarray(curve, float) - low) / (high - low) * (bottom - top)
        points = np.stack([x, y], 1)[np.isfinite(y)].round().astype(np.int32)
        cv2.polylines(picture, [points], False, colour, 2, cv2.LINE_AA)
        _write(picture, name, (left + 10 + 190 * number, height - 8), colour)
    imageio.imwrite(path, picture)


def _write(
    picture: np.ndarray, text: str, place: tuple[int, int], colour: tuple[int, int, int]
) -> None:
    cv2.putText(picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, colour, 1, cv2.LINE_AA)


def side_by_side(real: np.ndarray, dreamed: np.ndarray, scale: int = 4) -> np.ndarray:
    """Real | dreamed | difference, (T, scale*H, 3*scale*W + gaps, 3), from films (T, H, W, C)."""
    real, dreamed = to_rgb(real), to_rgb(dreamed)
    difference = np.abs(real.astype(np.int16) - dreamed).astype(np.uint8)
    gap = np.full((*real.shape[:2], 2, 3), 255, np.uint8)
    film = np.concatenate([real, gap, dreamed, gap, difference], 2)
    return film.repeat(scale, 1).repeat(scale, 2)


def write_film(folder: Path, name: str, film: np.ndarray, fps: int) -> None:
    """Writes `name`.mp4 (H.264) and `name`.gif of a film (T, H, W, C)."""
    film = to_rgb(film)
    imageio.mimwrite(folder / f"{name}.mp4", list(film), fps=fps, macro_block_size=4)
    imageio.mimwrite(folder / f"{name}.gif", list(film), duration=1000 / fps, loop=0)


def write_strip(path: Path, rows: list[np.ndarray], columns: int = 16, scale: int = 2) -> None:
    """Writes a PNG of films (T, H, W, C), one a row, at most `columns` frames spread over each."""
    picked = [
        to_rgb(film)[np.linspace(0, len(film) - 1, min(columns, len(film))).round().astype(int)]
        for film in rows
    ]
    strip = np.concatenate(
        [np.concatenate(list(np.pad(f, ((0, 0), (1, 1), (1, 1), (0, 0)))), 1) for f in picked], 0
    )
    imageio.imwrite(path, strip.repeat(scale, 0).repeat(scale, 1))
