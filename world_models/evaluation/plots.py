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
    for number, (name, curve) in enumerate(curves.items()):
        color = COLORS[number % len(COLORS)]
        x = np.linspace(left, right, steps)[: len(curve)] if steps > 1 else np.array([left])
        for place, ends in zip(x, intervals.get(name, ()), strict=False):
            if np.isfinite(ends).all():
                marks = bottom - (ends - low) / (high - low) * (bottom - top)
                middle = round(place) + 3 * number  # beside the interval of another curve
                first, last = ((middle, round(mark)) for mark in marks)
                cv2.line(image, first, last, color, 1, cv2.LINE_AA)
        y = bottom - (np.asarray(curve, float) - low) / (high - low) * (bottom - top)
        points = np.stack([x, y], 1)[np.isfinite(y)].round().astype(np.int32)
        cv2.polylines(image, [points], False, color, 2, cv2.LINE_AA)
        _write(image, name, (left + 10 + 190 * number, height - 8), color)
    write_png(path, image)


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
