"""One progress bar for all long work: rate and time left on a terminal, a line per minute in pipes
and logs.

Work in several phases has one bar over all of them, see `OverallProgress`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

from tqdm import tqdm

EVERY = 60.0  # seconds between two lines of a log


class OverallProgress:
    """A bar over phases, whose loops move it instead of showing bars of their own.

    `weights`: name -> about how much work a phase is, in any unit. In it, `progress` shows nothing;
    each of a phase's `loops` moves the bar by its share, and so does a bar of phases within it.

        with OverallProgress({"games": 9, "plots": 1}) as overall:
            overall.phase("games", loops=2)
    """

    def __init__(self, weights: Mapping[str, float]):
        self.weights, self.done, self.share, self.reached = weights, 0.0, 0.0, 0.0
        self._token: Token | None = None

    def __enter__(self) -> OverallProgress:
        layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
        total, outer = sum(self.weights.values()), _OVERALL.get()
        bar = _bar(None, total, bar_format=layout) if outer is None else _Loop(outer, None, total)
        self._bar: tqdm = bar
        self._token = _OVERALL.set(self)
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self._reach(sum(self.weights.values()))
        if self._token is not None:
            _OVERALL.reset(self._token)
        self._bar.close()

    def phase(self, name: str, loops: int = 1) -> None:
        """Begin a phase of `weights`; everything before it counts as done."""
        names = list(self.weights)
        self._reach(sum(self.weights[one] for one in names[: names.index(name)]))
        self.share = self.weights[name] / loops
        self.done = self.reached + self.weights[name]
        self._bar.set_description(name)

    def advance(self, part: float) -> None:
        """A part of one loop is done, as a share of it; never beyond the end of the phase."""
        self._reach(min(self.reached + part * self.share, self.done))

    def _reach(self, place: float) -> None:
        if place > self.reached:
            self._bar.update(place - self.reached)
            self.reached = place


_OVERALL: ContextVar[OverallProgress | None] = ContextVar("overall", default=None)


class _Silent(tqdm):
    """A bar that draws nothing, and calls `moved` with what is done."""

    def __init__(self, iterable: Iterable | None, total: float | None):
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        super().__init__(iterable, total=total, disable=True)

    def __iter__(self) -> Iterator:
        for item in self.iterable:
            yield item
            self.update()

    def update(self, n: float | None = 1) -> None:
        self.moved(n or 0)

    def moved(self, count: float) -> None:
        """So many more units are done."""
        raise NotImplementedError


class _Loop(_Silent):
    """It moves an overall bar."""

    def __init__(self, overall: OverallProgress, iterable: Iterable | None, total: float | None):
        super().__init__(iterable, total)
        self.overall = overall

    def moved(self, count: float) -> None:
        if self.total:
            self.overall.advance(count / self.total)


class _Lines(_Silent):
    """It writes a line for a log, at most one per `EVERY` seconds."""

    def __init__(
        self,
        iterable: Iterable | None,
        total: float | None,
        desc: str = "",
        initial: float = 0,
        **_: Any,
    ):
        super().__init__(iterable, total)
        self.desc, self.initial, self.count = desc, initial, 0.0
        self.begun = self.last = time.perf_counter()

    def moved(self, count: float) -> None:
        self.count += count
        now = time.perf_counter()
        if now - self.last >= EVERY:
            self.last = now
            log(self.line(now - self.begun))

    def line(self, seconds: float) -> str:
        """What is done after so many seconds, and how long the rest takes at that rate."""
        name, since = self.desc.removesuffix(": "), self.format_interval(seconds)
        if not (self.total and self.count):
            return f"{name}: {self.count:g} done, {since} so far"
        done = self.initial + self.count
        left = self.format_interval(seconds * max(0.0, self.total - done) / self.count)
        return f"{name}: {done / self.total:.0%} done, {since} so far, about {left} left"


def progress(
    iterable: Iterable | None = None,
    total: int | None = None,
    desc: str = "",
    unit: str = "it",
    initial: float = 0,
) -> tqdm:
    """A tqdm bar over `iterable`, or a manual one of `total` units (``bar.update(n)``); off a
    terminal a line per minute. `initial` units were done before, and tell no rate.
    """
    overall = _OVERALL.get()
    if overall is not None:
        loop = _Loop(overall, iterable, total)
        loop.moved(initial)
        return loop
    return _bar(iterable, total=total, desc=desc, unit=unit, initial=initial)


def on_terminal() -> bool:
    """Whether stderr is a terminal, on which bars are drawn."""
    return hasattr(sys.stderr, "isatty") and sys.stderr.isatty()


def note(text: str) -> None:
    """A line on stderr, above a bar that is being drawn."""
    if on_terminal():
        tqdm.write(text, file=sys.stderr)
    else:
        print(text, file=sys.stderr, flush=True)


def log(text: str) -> None:
    """A line on stderr where no bar is drawn: what a bar would show."""
    if not on_terminal():
        note(text)


def counted(number: int, thing: str) -> str:
    """A number and what it counts, as "1 bundle" and "2 bundles"."""
    return f"{number} {thing}{'s' * (number != 1)}"


def duration(seconds: float) -> str:
    """Seconds as people say them: "40 s", "12 min", "3.5 h"."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def starting(text: str) -> Iterator[None]:
    """A text on the terminal while something is loaded that takes seconds; then it is gone."""
    if not on_terminal():
        yield
        return
    print(text, end="", file=sys.stderr, flush=True)
    try:
        yield
    finally:
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _bar(iterable: Iterable | None, total: float | None, **options: Any) -> tqdm:
    if not on_terminal():
        return _Lines(iterable, total, **options)
    return tqdm(
        iterable, total=total, dynamic_ncols=True, smoothing=0.1, file=sys.stderr, **options
    )
