"""95 % intervals of figures whose counts are in the file beside them.

Samples count as independent; those of one dream are not quite, so these intervals are narrow.
"""

import math

from world_models.evaluation.estimates import Z, share_interval

Interval = tuple[float, float]


def f1_interval(f1: float, counted: int) -> Interval:
    """Of an F1 in `counted` hits, misses and false alarms.

    With p the share of hits among them, F1 is 2p / (1 + p), which grows with p.
    """
    low, high = share_interval(f1 / (2 - f1), counted)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def auroc_interval(auroc: float, wrong: int, right: int) -> Interval:
    """Of an AUROC of `wrong` against `right` samples (Hanley & McNeil 1982)."""
    both_above, one_above_both = auroc / (2 - auroc), 2 * auroc**2 / (1 + auroc)
    variance = auroc * (1 - auroc)
    variance += (wrong - 1) * (both_above - auroc**2) + (right - 1) * (one_above_both - auroc**2)
    reach = Z * math.sqrt(max(variance, 0.0) / (wrong * right))
    return max(0.0, auroc - reach), min(1.0, auroc + reach)
