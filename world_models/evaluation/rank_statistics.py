"""How well one list of numbers ranks what another one measures: Spearman, Kendall, MMRV.

P policies, E episodes of each, R resamples. All functions work on the last axis.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from world_models.evaluation.estimates import CHUNK, RESAMPLES, central, estimate

Array = np.ndarray


def ranks(values: Sequence[float] | Array) -> Array:
    """(..., P) ranks from 0; equal values share their mean rank."""
    array = np.asarray(values, dtype=float)
    below = (array[..., None, :] < array[..., :, None]).sum(-1)
    equal = (array[..., None, :] == array[..., :, None]).sum(-1)
    return below + (equal - 1) / 2


def spearman(first: Sequence[float] | Array, second: Sequence[float] | Array) -> Array:
    """The rank correlation (...) in [-1, 1] of two (..., P); nan if either does not vary.

    Raises ValueError for different lengths.
    """
    a, b = _paired(first, second)
    a, b = (ranks(values) - (values.shape[-1] - 1) / 2 for values in (a, b))
    return _quotient((a * b).sum(-1), np.sqrt((a * a).sum(-1) * (b * b).sum(-1)))


def kendall(first: Sequence[float] | Array, second: Sequence[float] | Array) -> Array:
    """Kendall's tau-b (...) in [-1, 1] of two (..., P): pairs in the same order less pairs in
    opposite order, ties accounted for (Kendall 1945, "The treatment of ties in ranking problems");
    nan if either does not vary.
    """
    a, b = _paired(first, second)
    a, b = (np.sign(values[..., :, None] - values[..., None, :]) for values in (a, b))
    pairs = (-2, -1)
    return _quotient((a * b).sum(pairs), np.sqrt((a * a).sum(pairs) * (b * b).sum(pairs)))


def mmrv(real: Sequence[float] | Array, predicted: Sequence[float] | Array) -> Array:
    """Mean maximum rank violation (...) in [0, 1] of two (..., P), 0 is best (SIMPLER, Li et al.
    2024, arXiv:2405.05941, section IV): for each policy the largest real difference to one that is
    ranked on its wrong side, on average.

    SIMPLER's real performance is a success rate. Returns have any scale, so differences are given
    as shares of the range of the real returns; nan where these do not vary.
    """
    a, b = _paired(real, predicted)
    difference = a[..., :, None] - a[..., None, :]
    above = b[..., :, None] - b[..., None, :]
    violated = (difference < 0) != (above < 0)
    worst = (np.abs(difference) * violated).max(-1)
    return _quotient(worst.mean(-1), a.max(-1) - a.min(-1))


def rank_figures(
    real: Sequence[Array], dreamed: Sequence[Array], generator: np.random.Generator
) -> dict[str, Any]:
    """{"spearman", "kendall", "mmrv"} of P policies, each an estimate.

    real, dreamed: for each policy the returns (E,) of its episodes. The intervals come from
    resampling the episodes of every policy, for their luck is what makes mean returns uncertain.
    """
    means = [np.array([values.mean() for values in side]) for side in (real, dreamed)]
    again = [np.stack([_resampled(v, generator) for v in side], -1) for side in (real, dreamed)]
    statistics = {"spearman": spearman, "kendall": kendall, "mmrv": mmrv}
    return {
        name: estimate(float(statistic(*means)), central(statistic(*again)), len(real))
        for name, statistic in statistics.items()
    }


def _resampled(values: Array, generator: np.random.Generator) -> Array:
    """(R,) means of samples with replacement of (E,) values."""
    parts = [
        values[generator.integers(len(values), size=(CHUNK, len(values)))].mean(1)
        for _ in range(RESAMPLES // CHUNK)
    ]
    return np.concatenate(parts)


def _paired(first: Sequence[float] | Array, second: Sequence[float] | Array) -> tuple[Array, Array]:
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape:
        raise ValueError(
            f"two rankings are of the same policies, but there are {a.shape[-1]} and {b.shape[-1]}"
        )
    return a, b


def _quotient(above: Array, below: Array) -> Array:
    """above / below, nan where there is nothing to divide by."""
    return np.where(below > 0, above / np.where(below > 0, below, 1), np.nan)
