"""Plots and films of an evaluation: quality against horizon, and dreamed beside real frames.

H x W pixels, uint8 RGB.
"""

from pathlib import Path

import cv2
import imageio.v2 as imageio
import numpy as np

from collectors.media import to_rgb
from world_models.evaluation.evaluator import Runs

COLORS = ((60, 110, 220), (220, 120, 40), (60, 150, 80))
SIZE = 640, 400  # of a plot
INK, PAPER = (40, 40, 40), (255, 255, 255)


def line_plot(
    path: str | Path, curves: dict[str, list[float]], title: str, unit: str, along: str = "steps"
) -> None:
    """Writes a PNG with one line per curve, through points 1, 2, ... of an axis called `along`; nan
    where one is missing.
    """
    width, height = SIZE
    left, right, top, bottom = 70, width - 20, 40, height - 45
    values = np.concatenate([np.asarray(curve, float) for curve in curves.values()])
    low, high = np.nanmin(values), np.nanmax(values)
    high = high if high > low else low + 1
    steps = max(len(curve) for curve in curves.values())
    image = np.full((height, width, 3), PAPER, np.uint8)
    cv2.rectangle(image, (left, top), (right, bottom), INK, 1)
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
        _write(image, label, place, INK)
    for number, (name, curve) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        x = np.linspace(left, right, steps)[: len(curve)]
        y = bottom - (np.asarray(curve, float) - low) / (high - low) * (bottom - top)
        points = np.stack([x, y], 1)[np.isfinite(y)].round().astype(np.int32)
        cv2.polylines(image, [points], False, color, 2, cv2.LINE_AA)
        _write(image, name, (left + 10 + 190 * number, height - 8), color)
    imageio.imwrite(path, image)


def _write(
    image: np.ndarray, text: str, place: tuple[int, int], color: tuple[int, int, int]
) -> None:
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA)


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
    """Writes a PNG of films (T, H, W, C), one per row, at most `columns` frames spread over
    each.
    """
    picked = [
        to_rgb(film)[np.linspace(0, len(film) - 1, min(columns, len(film))).round().astype(int)]
        for film in rows
    ]
    strip = np.concatenate(
        [np.concatenate(list(np.pad(f, ((0, 0), (1, 1), (1, 1), (0, 0)))), 1) for f in picked], 0
    )
    imageio.imwrite(path, strip.repeat(scale, 0).repeat(scale, 1))


def write_plots(folder: Path, runs: Runs, figures: dict, fps: int) -> None:
    """Writes plots of quality against horizon, a strip, and films of the longest rollout and of the
    dreams that policies play.
    """
    for metric, unit in (("psnr", "dB"), ("ssim", "")):
        lines = {
            name: [np.nan if v is None else v for v in curve[metric]]
            for name, curve in figures["rollout"]["curves"].items()
        }
        line_plot(folder / f"{metric}.png", lines, f"{metric.upper()} against horizon", unit)
    row = int(runs.rollouts.real_running.sum(1).argmax())
    real, dreamed = runs.rollouts.real_frames[row].numpy(), runs.rollouts.frames[row].numpy()
    write_film(folder, "side_by_side", side_by_side(real, dreamed), fps)
    write_strip(folder / "strip.png", [real, dreamed])
    for name, run in runs.closed.items():
        film = run.frames.repeat(4, 1).repeat(4, 2)
        write_film(folder, f"dream_{name.replace(':', '_')}", film, fps)
