"""Dream over real: two samples and the ratio of their means, each with a 95 % bootstrap interval.

L lanes, one number each: a lane is the unit, because the steps of one game resemble each other.
"""

from typing import Any

import numpy as np

from world_models.evaluation.estimates import (
    CHUNK,
    FEWEST,
    RESAMPLES,
    central,
    estimate,
    mean_estimate,
)


def compared(dream: np.ndarray, real: np.ndarray, generator: np.random.Generator) -> dict[str, Any]:
    """{"value", "interval", "samples", "dream", "real"}: the ratio of two means first.

    dream (L,) and real (M,) are not paired; numbers that are not finite are left out. There is no
    ratio where the real mean may be zero by its interval, or a side has fewer than two numbers.
    """
    top, bottom = (values[np.isfinite(values)] for values in (dream, real))
    means = {"dream": mean_estimate(top, generator), "real": mean_estimate(bottom, generator)}
    ratio, interval = None, None
    if len(top) >= FEWEST and _apart_from_zero(means["real"]):
        ratio, interval = top.mean() / bottom.mean(), ratio_interval(top, bottom, generator)
    return {**estimate(ratio, interval, min(len(top), len(bottom))), **means}


def _apart_from_zero(found: dict[str, Any]) -> bool:
    low, high = found["interval"] or (0.0, 0.0)
    return low > 0 or high < 0


def ratio_interval(
    top: np.ndarray, bottom: np.ndarray, generator: np.random.Generator
) -> list[float] | None:
    """The interval of mean(top) / mean(bottom), both resampled; None of a single number."""
    if min(len(top), len(bottom)) < 2:
        return None
    pairs = [
        [_resampled(values, generator) for values in (top, bottom)]
        for _ in range(RESAMPLES // CHUNK)
    ]
    with np.errstate(divide="ignore", invalid="ignore"):
        return central(np.concatenate([one / other for one, other in pairs]))


def _resampled(values: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """(CHUNK,) means of values drawn with replacement."""
    return values[generator.integers(len(values), size=(CHUNK, len(values)))].mean(-1)
