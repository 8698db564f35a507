"""Risk and coverage: how many of the frames that are trusted are wrong, as fewer are trusted.

N frames (Geifman & El-Yaniv 2017, arXiv:1705.08500; AURC: Geifman et al. 2019, arXiv:1805.08206).
"""

from typing import Any

import numpy as np

from world_models.evaluation.estimates import bootstrap_interval, estimate

COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def risks(trust: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """(..., N) the share of wrong ones among the k most trusted, k = 1 to N.

    trust (..., N), wrong (..., N) bool or loss. Frames of equal trust share their mean loss, so
    that their order, which trust does not give, changes nothing.
    """
    order = np.argsort(-trust, -1, kind="stable")
    sorted_trust = np.take_along_axis(trust, order, -1)
    loss = _tied_mean(sorted_trust, np.take_along_axis(wrong.astype(float), order, -1))
    return np.cumsum(loss, -1) / np.arange(1, trust.shape[-1] + 1)


def aurc(trust: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """The area (...) under the risk-coverage curve, the mean of `risks`; 0 is best, the share of
    wrong frames is what trust without information gives.
    """
    return risks(trust, wrong).mean(-1)


def best_aurc(wrong: np.ndarray) -> float:
    """The least area that N frames allow: all right ones are trusted more than all wrong ones."""
    return float(aurc(-wrong.astype(float), wrong))


def risk_figures(
    trust: np.ndarray, correct: np.ndarray, generator: np.random.Generator
) -> dict[str, Any]:
    """{"aurc", "aurc_best", "aurc_uninformed", "risk_coverage"} of N frames, (N,) each."""
    wrong = ~correct
    interval = bootstrap_interval(
        lambda rows: aurc(trust[rows], wrong[rows]), len(trust), generator
    )
    curve = risks(trust, wrong)
    picks = {share: max(round(share * len(trust)), 1) - 1 for share in COVERAGES}
    return {
        "aurc": estimate(float(aurc(trust, wrong)), interval, len(trust)),
        "aurc_best": best_aurc(wrong),
        "aurc_uninformed": float(wrong.mean()),
        "risk_coverage": {f"{share:g}": float(curve[pick]) for share, pick in picks.items()},
    }


def _tied_mean(values: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """Losses (..., N) with the mean of its run of equal values (..., N) in the place of each."""
    flat, loss = values.reshape(-1, values.shape[-1]), losses.reshape(-1, losses.shape[-1])
    starts = np.ones(flat.shape, bool)
    starts[:, 1:] = flat[:, 1:] != flat[:, :-1]
    number = np.cumsum(starts.reshape(-1)) - 1  # a run ends with its row
    mean = np.bincount(number, loss.reshape(-1)) / np.bincount(number)
    return mean[number].reshape(losses.shape)
