"""Rankings whose figures are known by hand."""

import numpy as np
import pytest

from world_models.evaluation.rank_statistics import (
    kendall,
    mmrv,
    rank_figures,
    ranks,
    spearman,
)


def test_equal_values_share_their_rank():
    assert ranks([3, 1, 3, 2]).tolist() == [2.5, 0, 2.5, 1]


def test_the_same_order_correlates_fully_and_the_opposite_one_not_at_all():
    for statistic in (spearman, kendall):
        assert statistic([1, 2, 3, 9], [10, 20, 30, 31]) == pytest.approx(1)
        assert statistic([1, 2, 3, 9], [4, 3, 2, 1]) == pytest.approx(-1)
        assert np.isnan(statistic([1, 2, 3], [5, 5, 5]))


def test_kendall_counts_pairs_and_ties():
    assert kendall([1, 2, 3, 4], [2, 1, 3, 4]) == pytest.approx(4 / 6)  # one pair of six is swapped
    # 5 pairs agree, one is tied in the second: tau-b = 5 / sqrt(6 * 5)
    assert kendall([1, 2, 3, 4], [1, 2, 2, 4]) == pytest.approx(5 / np.sqrt(30))


def test_the_rank_violation_of_a_known_permutation():
    real = [0.0, 1.0, 3.0, 10.0]
    assert mmrv(real, [5, 6, 7, 8]) == 0
    # the middle two are swapped: each is on the wrong side of the other, 2 of a range of 10
    assert mmrv(real, [0, 3, 1, 10]) == pytest.approx((0 + 0.2 + 0.2 + 0) / 4)
    # all reversed: every policy is on the wrong side of the farthest one
    assert mmrv(real, [4, 3, 2, 1]) == pytest.approx((1.0 + 0.9 + 0.7 + 1.0) / 4)
    assert np.isnan(mmrv([2, 2], [1, 2]))


def test_rankings_of_different_policies_are_refused():
    with pytest.raises(ValueError, match="same policies, but there are 2 and 3"):
        spearman([1, 2], [1, 2, 3])


def test_intervals_hold_the_figure_and_narrow_with_more_episodes():
    generator = np.random.default_rng(0)

    def figures(episodes):
        real, dream = (
            [generator.normal(level, 2, episodes) for level in range(8)] for _ in range(2)
        )
        return rank_figures(real, dream, np.random.default_rng(1))

    few, many = figures(8), figures(400)
    for name in ("spearman", "kendall", "mmrv"):
        low, high = many[name]["interval"]
        assert low <= many[name]["value"] <= high and many[name]["samples"] == 8
        assert high - low < np.ptp(few[name]["interval"])
    assert many["spearman"]["value"] > 0.9 and many["mmrv"]["value"] < 0.05
