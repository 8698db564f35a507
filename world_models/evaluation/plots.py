"""Plots and films of an evaluation: quality against horizon, and dreamed beside real frames.

H x W pixels, uint8 RGB.
"""

from pathlib import Path

import cv2
import numpy as np

from collectors.media import spread, to_rgb, write_png, write_strip
from collectors.video_writers import write_both, write_comparison
from world_models.evaluation.evaluator import Runs

COLORS = ((60, 110, 220), (220, 120, 40), (60, 150, 80))
SIZE = 640, 400  # of a plot
INK, PAPER = (40, 40, 40), (255, 255, 255)


def line_plot(
    path: str | Path,
    curves: dict[str, list[float]],
    title: str,
    unit: str,
    along: str = "steps",
    bands: dict[str, list[list[float] | None]] | None = None,
) -> None:
    """Writes a PNG with one line per curve, through points 1, 2, ... of an axis called `along`; nan
    where one is missing. `bands` are intervals, by the name of their curve.
    """
    width, height = SIZE
    left, right, top, bottom = 70, width - 20, 40, height - 45
    intervals = {
        name: np.array([span or (np.nan, np.nan) for span in spans], float)
        for name, spans in (bands or {}).items()
    }
    lines = [np.asarray(curve, float) for curve in curves.values()]
    values = np.concatenate([*lines, *(spans.ravel() for spans in intervals.values())])
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
    scale = (left, right, top, bottom), (low, high), steps
    for number, (name, curve) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        shift = 3 * number  # an interval stands beside that of another curve
        _draw_curve(image, np.asarray(curve, float), intervals.get(name), scale, color, shift)
        _write(image, name, (left + 10 + 190 * number, height - 8), color)
    write_png(path, image)


def _draw_curve(
    image: np.ndarray,
    curve: np.ndarray,
    intervals: np.ndarray | None,
    scale: tuple[tuple[int, int, int, int], tuple[float, float], int],
    color: tuple[int, int, int],
    shift: int,
) -> None:
    """A line through (T,) values and a mark per interval (T, 2), nan where one is missing."""
    (left, right, top, bottom), (low, high), steps = scale
    x = np.linspace(left, right, max(steps, 2))[: len(curve)]
    rows = np.column_stack([curve, curve if intervals is None else intervals])
    rows = bottom - (rows - low) / (high - low) * (bottom - top)
    points = np.stack([x, rows[:, 0]], 1)[np.isfinite(rows[:, 0])].round().astype(np.int32)
    cv2.polylines(image, [points], False, color, 2, cv2.LINE_AA)
    if intervals is None:
        return
    for place, marks in zip(x, rows[:, 1:], strict=True):
        if np.isfinite(marks).all():
            first, last = ((round(place) + shift, round(mark)) for mark in marks)
            cv2.line(image, first, last, color, 1, cv2.LINE_AA)


def _write(
    image: np.ndarray, text: str, place: tuple[int, int], color: tuple[int, int, int]
) -> None:
    cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.45, color, 1, cv2.LINE_AA)


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
    write_comparison(folder / "side_by_side", real, dreamed, fps)
    write_strip(folder / "strip.png", [spread(real, 16), spread(dreamed, 16)])
    for name, run in runs.closed.items():
        write_both(folder / f"dream_{name.replace(':', '_')}", to_rgb(run.frames), fps)
