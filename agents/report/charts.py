"""Charts as inline SVG: a few lines of text that follow the page's colors, light or dark.

Coordinates are those of a phone's width (360 units), so that letters are readable there.
"""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 360, 170, 34, 8, 18, 26


class Line(NamedTuple):
    """A curve of points (x, y); those whose y is None or not finite are left out.

    `style` is a class of the page's CSS.
    """

    name: str
    points: Sequence[tuple[float, float | None]]
    style: str = "c0"


class Axis(NamedTuple):
    """From `low` to `high`, perhaps in powers of ten, with the title at its end."""

    low: float
    high: float
    title: str = ""
    log: bool = False

    def place(self, value: float, start: float, end: float) -> float:
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return start + (value - low) / ((high - low) or 1) * (end - start)

    def ticks(self) -> list[float]:
        if self.log:
            powers = range(
                math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1
            )
            return [10.0**p for p in powers][:: max(1, len(powers) // 4)]
        step = _step((self.high - self.low) / 4)
        first = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(first, math.floor(self.high / step + 1e-9) + 1)]


def line_chart(
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    marks: Sequence[tuple[float, str]] = (),
    extra: str = "",
) -> str:
    """Curves over two axes with a legend; `marks` are labelled vertical lines, `extra` is SVG."""
    body = _frame(x, y) + "".join(_mark(place, word, x) for place, word in marks)
    for line in lines:
        points = [
            (px(x, a), py(y, b)) for a, b in line.points if b is not None and math.isfinite(b)
        ]
        if len(points) == 1:
            body += (
                f'<circle class="{line.style} dot" cx="{points[0][0]:.1f}" '
                f'cy="{points[0][1]:.1f}" r="3"/>'
            )
        elif points:
            body += (
                f'<path class="{line.style} line" '
                f'd="M{" L".join(f"{a:.1f} {b:.1f}" for a, b in points)}"/>'
            )
    return svg(body + extra, "; ".join(line.name for line in lines)) + legend(
        [(line.name, line.style) for line in lines]
    )


def dot_chart(
    dots: Sequence[tuple[str, Sequence[tuple[float, float, float]], str]], x: Axis, y: Axis
) -> str:
    """Named sets of dots (x, y, radius, in units) against the diagonal."""
    body = _frame(x, y)
    corners = (px(x, x.low), py(y, y.low), px(x, x.high), py(y, y.high))
    body += '<line class="ideal" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>'.format(*corners)
    for _, points, style in dots:
        path = " L".join(f"{px(x, a):.1f} {py(y, b):.1f}" for a, b, _ in points)
        body += f'<path class="{style} line thin" d="M{path}"/>' if len(points) > 1 else ""
        body += "".join(
            f'<circle class="{style} dot" cx="{px(x, a):.1f}" cy="{py(y, b):.1f}" r="{r:.1f}"/>'
            for a, b, r in points
        )
    return svg(body, "reliability") + legend([(name, style) for name, _, style in dots])


def svg(body: str, title: str, height: int = HEIGHT) -> str:
    """A chart that fills its box's width."""
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">{body}</svg>'
    )


def legend(names: Sequence[tuple[str, str]]) -> str:
    """What the colors mean."""
    spans = "".join(f'<span class="{style}"><i></i>{escape(name)}</span>' for name, style in names)
    return f'<p class="legend">{spans}</p>'


def px(axis: Axis, value: float) -> float:
    """The x of a value."""
    return axis.place(value, LEFT, WIDTH - RIGHT)


def py(axis: Axis, value: float) -> float:
    """The y of a value."""
    return axis.place(value, HEIGHT - BOTTOM, TOP)


def number(value: float) -> str:
    """A number as a person reads it."""
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4g}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e")


def _frame(x: Axis, y: Axis) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    rows = "".join(
        f'<line class="grid" x1="{LEFT}" y1="{py(y, t):.1f}" x2="{right}" y2="{py(y, t):.1f}"/>'
        f'<text class="tick" x="{LEFT - 4}" y="{py(y, t) + 3:.1f}" '
        f'text-anchor="end">{number(t)}</text>'
        for t in y.ticks()
    )
    columns = "".join(
        f'<text class="tick" x="{px(x, t):.1f}" y="{bottom + 12}" '
        f'text-anchor="middle">{number(t)}</text>'
        for t in x.ticks()
    )
    titles = (
        f'<text class="axis" x="{right}" y="{HEIGHT - 3}" '
        f'text-anchor="end">{escape(x.title)}</text>'
    )
    titles += f'<text class="axis" x="{LEFT}" y="{TOP - 8}">{escape(y.title)}</text>'
    return (
        f'{rows}{columns}<line class="base" x1="{LEFT}" y1="{bottom}" x2="{right}" '
        f'y2="{bottom}"/>{titles}'
    )


def _mark(place: float, word: str, x: Axis) -> str:
    at = px(x, place)
    side, shift = ("end", -4) if at > WIDTH * 0.7 else ("start", 4)
    text = (
        f'<text class="word" x="{at + shift:.1f}" y="{TOP + 14}" '
        f'text-anchor="{side}">{escape(word)}</text>'
    )
    return (
        f'<line class="mark" x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{HEIGHT - BOTTOM}"/>{text}'
    )


def _step(rough: float) -> float:
    """The next of 1, 2, 5, 10, ... times a power of ten."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough * 0.999)
