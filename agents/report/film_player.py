"""Films on the page: all frames as one image, which a few lines of script play on canvases.

R rows (films that run together), T columns (their frames), H x W pixels, uint8 RGB. Without script
the image itself is shown: a strip of frames.
"""

import base64
import io
import json
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, features

from agents.report.charts import BOTTOM, HEIGHT, LEFT, TOP, Axis, Line, line_chart
from agents.report.from_dataset import DIVERGED, Clip
from collectors.media import write_strip

LARGE = 150_000  # bytes from which an image is compressed with loss
MOST_PIXELS = 16_000  # in a row: what browsers draw without trouble


class Row(NamedTuple):
    """A film: its caption, its frames (T, H, W, 3) and the frame in which the game was over."""

    name: str
    frames: np.ndarray
    end: int | None = None


def player(rows: Sequence[Row], fps: int, **options) -> str:
    """The films of `rows` side by side.

    `options` are for the script: `difference` (a third pane, of the first two), `diverged` (the
    frame from which a red border is drawn), `words` (a caption per frame), `columns`.
    """
    length = min(MOST_PIXELS // rows[0].frames.shape[2], max(len(row.frames) for row in rows))
    sheet = np.concatenate([np.concatenate(list(_padded(row.frames, length)), 1) for row in rows])
    about = {
        "frames": length,
        "fps": fps,
        "names": [row.name for row in rows],
        "ends": [row.end for row in rows],
    }
    about["size"] = rows[0].frames.shape[1:3]
    data = escape(json.dumps({**about, **options}))
    alt = escape(f"frames of {', '.join(row.name for row in rows)}")
    strip = f'<div class="sheet"><img src="{data_uri(sheet)}" alt="{alt}"></div>'
    return f'<div class="player" data-player="{data}">{strip}</div>'


def data_uri(image: np.ndarray) -> str:
    """(H, W, 3) as PNG; where that is large, as WebP, or JPEG where Pillow has no WebP."""
    pixels, packed = Image.fromarray(image), io.BytesIO()
    pixels.save(packed, "PNG", optimize=True)
    kind = "png"
    if packed.tell() > LARGE:
        kind, packed = ("webp" if features.check("webp") else "jpeg"), io.BytesIO()
        pixels.save(packed, kind.upper(), quality=86)
    return f"data:image/{kind};base64,{base64.b64encode(packed.getvalue()).decode()}"


def clip(number: int, found: Clip, fps: int, folder: Path) -> str:
    """A dream beside its recording and a chart of their difference; writes the strip as a PNG."""
    shown = np.unique(np.linspace(0, len(found.dream) - 1, 12).round().astype(int))
    strips = [[film[step] for step in shown] for film in (found.dream, found.real)]
    write_strip(folder / f"clip_{number}.png", strips, 2, labels=["dream", "real"])
    words = ["start", *(f"{step}: {name}" for step, name in enumerate(found.actions, 1))]
    rows = [Row("dream", found.dream), Row("real", found.real)]
    if found.diverged is None:
        result = f'<p class="result good">The same to the end: {len(found.actions)} steps.</p>'
    else:
        after = f"{found.diverged} step{'s' * (found.diverged > 1)}"
        result = f'<p class="result">They diverge after <b>{after}</b>: {escape(found.why)}.</p>'
    course = _course(found, folder)
    shown_player = player(rows, fps, difference=True, diverged=found.diverged, words=words)
    return f'<article class="card clip">{shown_player}{result}{course}</article>'


def _course(found: Clip, folder: Path) -> str:
    """Share of visibly different pixels and trust, step by step."""
    steps = len(found.actions)
    top = max(2.0, 100 * float(found.different.max()))
    different = [(step, 100 * float(share)) for step, share in enumerate(found.different)]
    trust = [(step, top * float(value)) for step, value in enumerate(found.trust, 1)]
    lines = [
        Line("pixels that differ, %", different, "c1"),
        Line("trust (top is 1)", trust, "c2 dashed"),
    ]
    marks = [] if found.diverged is None else [(found.diverged, "they diverge")]
    cursor = f'<line class="cursor" x1="{LEFT}" x2="{LEFT}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
    return line_chart(lines, Axis(0, max(steps, 1), "steps"), Axis(0, top, "%"), marks, cursor)


def _padded(frames: np.ndarray, length: int) -> np.ndarray:
    """A film of `length` frames: cut, or waiting on its last one."""
    return frames[np.minimum(np.arange(length), len(frames) - 1)]


def explanation() -> str:
    """What diverging means, for the page."""
    return (
        f"more than {100 * DIVERGED:g} % of the pixels are visibly different, or a reward or a "
        "termination is"
    )
