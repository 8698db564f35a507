"""One progress bar for all long work: rate and time left on a terminal,
silence in pipes and logs.

Work in several phases has one bar over all of them, see `OverallProgress`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sized
from contextvars import ContextVar, Token
from typing import Any

from tqdm import tqdm


class OverallProgress:
    """A bar over phases, whose loops move it instead of showing bars of their own.

    `weights`: name -> about how much work a phase is, in any unit. In it, `progress` shows nothing;
    each of a phase's `loops` moves the bar by its share.

        with OverallProgress({"games": 9, "plots": 1}) as overall:
            overall.phase("games", loops=2)
    """

    def __init__(self, weights: Mapping[str, float]):
        self.weights, self.done, self.share, self.reached = weights, 0.0, 0.0, 0.0
        self._token: Token | None = None

    def __enter__(self) -> OverallProgress:
        layout = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
        self._bar = _bar(None, total=sum(self.weights.values()), bar_format=layout)
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


class _Loop(tqdm):
    """A silent bar that moves an overall one."""

    def __init__(self, overall: OverallProgress, iterable: Iterable | None, total: float | None):
        if total is None and isinstance(iterable, Sized):
            total = len(iterable)
        self.overall, self.count = overall, total or 0
        super().__init__(iterable, total=total, disable=True)

    def __iter__(self) -> Iterator:
        for item in self.iterable:
            yield item
            self.update()

    def update(self, n: float | None = 1) -> None:
        if self.count:
            self.overall.advance((n or 0) / self.count)


def progress(
    iterable: Iterable | None = None, total: int | None = None, desc: str = "", unit: str = "it"
) -> tqdm:
    """A tqdm bar over `iterable`, or a manual one
    of `total` units (``bar.update(n)``); silent off a terminal.
    """
    overall = _OVERALL.get()
    if overall is not None:
        return _Loop(overall, iterable, total)
    return _bar(iterable, total=total, desc=desc, unit=unit)


def _bar(iterable: Iterable | None, **options: Any) -> tqdm:
    silent = not (hasattr(sys.stderr, "isatty") and sys.stderr.isatty())
    return tqdm(
        iterable, dynamic_ncols=True, smoothing=0.1, file=sys.stderr, disable=silent, **options
    )
