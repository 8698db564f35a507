"""Intervals over training runs: of means and of ratios, and where the spread of runs comes from.

Two agents that were trained alike but for their seed differ more than two games of one agent do, so
the run is the unit, not the game. M world models, S PPO seeds, E games; one model or one seed is 1.
"""

from typing import NamedTuple

import numpy as np

from world_models.evaluation.estimates import t_quantile

Interval = tuple[float, float]


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
    by_model, by_seed = runs.mean(1), runs.mean(0)
    own = [float(means.var(ddof=1)) / len(means) for means in (by_model, by_seed) if len(means) > 1]
    freedom = min(count for count in (models, seeds) if count > 1) - 1
    if len(own) == 1:
        return Spread(own[0], freedom)
    return Spread(max(*own, sum(own) - _rest(runs) / (models * seeds)), freedom)


def _rest(runs: np.ndarray) -> float:
    """The variance of (M, S) runs that is neither the model's nor the seed's, of several each."""
    models, seeds = runs.shape
    rest = runs - runs.mean(1, keepdims=True) - runs.mean(0) + runs.mean()
    return float((rest**2).sum()) / ((models - 1) * (seeds - 1))


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

    `games` is the variance of a run's mean that comes from its games. What a seed does in every
    model alike is no difference between models. With one seed the luck of a model's one PPO run
    counts as the model's. None for a single run and where nothing varies; "world_models" is None
    where there is one.
    """
    models, seeds = runs.shape
    within = float(runs.var(1, ddof=1).mean()) if seeds > 1 else games
    between = float(runs.mean(1).var(ddof=1)) if models > 1 else 0.0
    between -= _rest(runs) / seeds if models > 1 and seeds > 1 else games * (models > 1)
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
