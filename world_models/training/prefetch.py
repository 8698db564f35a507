"""Clips drawn ahead: a thread cuts those of the next updates while this one is computed."""

from __future__ import annotations

import copy
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

import numpy as np

Item = TypeVar("Item")


class Prefetcher(Generic[Item]):
    """Calls `draw(generator)` again and again, up to `ahead` times before `next` is called; items
    keep their order.

    `state` is the generator's before the next item that nobody has taken yet: a checkpoint that
    holds it goes on with that item, however many were drawn already. `waited` counts the
    seconds that `next` kept its caller waiting.
    """

    def __init__(
        self, draw: Callable[[np.random.Generator], Item], order: np.random.Generator, ahead: int
    ):
        self.draw, self.ahead, self.waited = draw, ahead, 0.0
        self.pool = ThreadPoolExecutor(1, "clips") if ahead else None
        self.restart(order.bit_generator.state, order)

    def restart(self, state: Mapping[str, Any], order: np.random.Generator | None = None) -> None:
        """Goes on from another state; what was drawn ahead is forgotten."""
        # a new generator: the thread may still be using the old one
        self.generator = copy.deepcopy(order or self.generator)
        self.state: Mapping[str, Any] = copy.deepcopy(state)
        self.generator.bit_generator.state = self.state
        self.drawn: deque[Future[tuple[Item, Mapping[str, Any]]]] = deque()

    def next(self) -> Item:
        """The next item; raises what `draw` raised."""
        started = time.perf_counter()
        if self.pool is None:
            item, self.state = self._drawn(self.generator)
        else:
            while len(self.drawn) <= self.ahead:
                self.drawn.append(self.pool.submit(self._drawn, self.generator))
            item, self.state = self.drawn.popleft().result()
        self.waited += time.perf_counter() - started
        return item

    def _drawn(self, generator: np.random.Generator) -> tuple[Item, Mapping[str, Any]]:
        return self.draw(generator), generator.bit_generator.state
