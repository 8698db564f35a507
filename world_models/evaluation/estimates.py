"""Figures with their sample count and a 95 % bootstrap interval, as evaluation.json writes them.

N samples. The interval is the central 95 % of what resampling the samples with replacement gives
(Efron & Tibshirani 1993, chapter 13). Resampling says nothing of a share that was never, or always,
met: there it is Wilson's.
"""

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import Any

import numpy as np

RESAMPLES = 2_000
FEWEST = 2  # samples that an interval needs
CHUNK = 100  # resamples at a time, which bounds the memory
Z = NormalDist().inv_cdf(0.975)
# the 97.5 % points of Student's t for 1 to 30 degrees of freedom
_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


def estimate(value: float | None, interval: list[float] | None, samples: int) -> dict[str, Any]:
    """One figure for JSON; a value that is not a number is None, and so is its interval."""
    known = value is not None and np.isfinite(value)
    return {
        "value": float(value) if known and value is not None else None,
        "interval": interval if known else None,
        "samples": int(samples),
    }


def mean_estimate(values: np.ndarray, generator: np.random.Generator) -> dict[str, Any]:
    """The mean of (N,) values; None of nothing."""
    values = np.asarray(values, np.float64)
    if not len(values):
        return estimate(None, None, 0)
    interval = bootstrap_interval(lambda rows: values[rows].mean(-1), len(values), generator)
    return estimate(values.mean(), interval, len(values))


def share_estimate(values: np.ndarray, generator: np.random.Generator) -> dict[str, Any]:
    """The mean of (N,) samples that are met or not, in [0, 1]; None of nothing. Two games that both
    ended well do not show that all do: where all are 0, or all are 1, it has a `share_interval`.
    """
    found = mean_estimate(values, generator)
    if found["samples"] >= FEWEST and found["value"] in (0.0, 1.0):
        found["interval"] = list(share_interval(found["value"], found["samples"]))
    return found


def share_interval(share: float, samples: int) -> tuple[float, float]:
    """The interval of a share in [0, 1] of `samples` (Wilson 1927)."""
    squared = Z * Z / samples
    middle = (share + squared / 2) / (1 + squared)
    reach = Z / (1 + squared) * math.sqrt(share * (1 - share) / samples + squared / samples / 4)
    return max(0.0, min(share, middle - reach)), min(1.0, max(share, middle + reach))


def t_quantile(freedom: int) -> float:
    """The 97.5 % point of Student's t for 1 degree of freedom or more, to 1e-3."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = 1.959964  # of the normal distribution, to which t tends (Abramowitz & Stegun, 26.7.5)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


def bootstrap_interval(
    statistic: Callable[[np.ndarray], np.ndarray], samples: int, generator: np.random.Generator
) -> list[float] | None:
    """The interval of a statistic of `samples` samples; None for fewer than `FEWEST`.

    `statistic` takes picks (R, N) int64, numbers of samples, and returns (R,) values, of which
    those that are not numbers are left out.
    """
    if samples < FEWEST:
        return None
    return central(
        np.concatenate(
            [
                statistic(generator.integers(samples, size=(CHUNK, samples)))
                for _ in range(RESAMPLES // CHUNK)
            ]
        )
    )


def central(values: np.ndarray) -> list[float] | None:
    """[low, high] of the central 95 % of the numbers among (R,) values; None without any."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return [float(low), float(high)]
