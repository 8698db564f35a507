"""Intervals over training runs: of means and of ratios, and where the spread of runs comes from.

Two agents that were trained alike but for their seed differ more than two games of one agent do, so
the run is the unit, not the game. M world models, S PPO seeds, E games; one model or one seed is 1.
"""

from typing import NamedTuple

import numpy as np

Interval = tuple[float, float]
# the 97.5 % points of Student's t for 1 to 30 degrees of freedom
_T = (
    *(12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281),
    *(2.2010, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098, 2.1009, 2.0930, 2.0860),
    *(2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423),
)


def t_quantile(freedom: int) -> float:
    """The 97.5 % point of Student's t for 1 degree of freedom or more, to 1e-3."""
    if freedom <= len(_T):
        return _T[freedom - 1]
    z = 1.959964  # of the normal distribution, to which t tends (Abramowitz & Stegun, 26.7.5)
    first, second = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96
    return z + first / freedom + second / freedom**2


class Spread(NamedTuple):
    """The variance of a mean over runs, and its degrees of freedom."""

    variance: float
    freedom: int


def mean_spread(runs: np.ndarray) -> Spread | None:
    """The spread of the mean of (M, S) runs; None for a single run.

    World models and PPO seeds are crossed, and both count: the variance of the mean is the sum of
    the two, less what is counted twice, and never below either alone. The degrees of freedom are
    those of the smaller kind.
    """
    models, seeds = runs.shape
    if models == 1 and seeds == 1:
        return None
    grand = runs.mean()
    by_model, by_seed = runs.mean(1), runs.mean(0)
    own = [float(means.var(ddof=1)) / len(means) for means in (by_model, by_seed) if len(means) > 1]
    freedom = min(count for count in (models, seeds) if count > 1) - 1
    if len(own) == 1:
        return Spread(own[0], freedom)
    rest = runs - by_model[:, None] - by_seed + grand
    twice = float((rest**2).sum()) / ((models - 1) * (seeds - 1) * models * seeds)
    return Spread(max(*own, sum(own) - twice), freedom)


def mean_interval(runs: np.ndarray) -> Interval | None:
    """The 95 % t interval of the mean of (M, S) runs; None for a single run."""
    spread = mean_spread(runs)
    if spread is None:
        return None
    mean, reach = float(runs.mean()), t_quantile(spread.freedom) * spread.variance**0.5
    return mean - reach, mean + reach


def ratio_interval(top: np.ndarray, bottom: np.ndarray) -> Interval | None:
    """The 95 % interval of mean(top) / mean(bottom), paired (M, S) and (M, S) or (1, S) runs.

    All ratios that a t test does not reject (Fieller 1954), where the two have as many runs; else
    each counts with the t of its own degrees of freedom. None for a single run, and where the
    interval has no end because `bottom` may be zero.
    """
    spread = mean_spread(top)
    if spread is None:
        return None
    below = mean_spread(bottom) or Spread(0.0, spread.freedom)
    wide, narrow = t_quantile(spread.freedom), t_quantile(below.freedom)
    over, under = float(top.mean()), float(bottom.mean())
    a = under**2 - narrow**2 * below.variance
    b = over * under - wide * narrow * _covariance(top, bottom)
    c = over**2 - wide**2 * spread.variance
    if a <= 0:
        return None
    reach = max(b**2 - a * c, 0.0) ** 0.5
    return (b - reach) / a, (b + reach) / a


def _covariance(top: np.ndarray, bottom: np.ndarray) -> float:
    """The covariance of the two means, by world model where both have several, else by seed."""
    axis = 1 if len(top) > 1 and len(bottom) > 1 else 0
    pair = top.mean(axis), bottom.mean(axis)
    return float(np.cov(*pair)[0, 1]) / len(pair[0]) if len(pair[0]) > 1 else 0.0


def spread_shares(runs: np.ndarray, games: float) -> dict[str, float | None] | None:
    """Which share of the variance of (M, S) runs' means is between world models, between PPO seeds
    of one world model, and of the games that were played to measure them.

    `games` is the variance of a run's mean that comes from its games. None for a single run and
    where nothing varies; "world_models" is None where there is one.
    """
    models, seeds = runs.shape
    within = float(runs.var(1, ddof=1).mean()) if seeds > 1 else games
    between = float(runs.mean(1).var(ddof=1)) - within / seeds if models > 1 else 0.0
    parts = {
        "world_models": max(between, 0.0),
        "ppo_seeds": max(within - games, 0.0),
        "games": min(games, within),
    }
    total = sum(parts.values())
    if models * seeds == 1 or not total:
        return None
    shares: dict[str, float | None] = {name: part / total for name, part in parts.items()}
    if models == 1:
        shares["world_models"] = None
    if seeds == 1:
        shares["ppo_seeds"] = None
    return shares
