import numpy as np
import pytest

from agents.evaluation.seed_intervals import (
    mean_interval,
    mean_spread,
    ratio_interval,
    spread_shares,
    t_quantile,
)

THREE = np.array([[1.0, 2.0, 3.0]])


def test_the_interval_over_three_seeds_is_that_of_a_t_test_by_hand():
    # mean 2, standard deviation 1, standard error 1 / sqrt(3), t of 2 degrees of freedom 4.3027
    low, high = mean_interval(THREE)
    assert low == pytest.approx(2 - 4.3027 / 3**0.5) and high == pytest.approx(2 + 4.3027 / 3**0.5)


def test_a_single_run_has_no_interval():
    assert mean_interval(np.array([[5.0]])) is None
    assert ratio_interval(np.array([[5.0]]), np.array([[4.0]])) is None
    assert spread_shares(np.array([[5.0]]), 1.0) is None


@pytest.mark.parametrize(
    ("freedom", "point"), [(1, 12.706), (2, 4.303), (30, 2.0423), (31, 2.0395), (120, 1.9799)]
)
def test_quantiles_of_t_are_those_of_tables(freedom, point):
    assert t_quantile(freedom) == pytest.approx(point, abs=6e-4)


def test_world_models_count_as_a_unit_of_their_own():
    # two models 4 apart, three seeds that change nothing: 2 and 6, one degree of freedom
    runs = np.array([[2.0] * 3, [6.0] * 3])
    assert mean_spread(runs) == (pytest.approx(4.0), 1)
    low, high = mean_interval(runs)
    assert (low + high) / 2 == pytest.approx(4) and high - 4 == pytest.approx(12.7062 * 2)


def test_seeds_that_all_models_share_are_not_averaged_away_by_more_models():
    shared = np.array([1.0, 2.0, 3.0])
    one, four = mean_spread(shared[None]), mean_spread(np.stack([shared] * 4))
    assert four.variance == pytest.approx(one.variance) and four.freedom == 2


def test_the_interval_of_a_ratio_is_the_ratios_that_a_t_test_does_not_reject():
    top, bottom = np.array([[4.0, 5.0, 7.0]]), np.array([[5.0, 5.5, 6.5]])
    for ratio in ratio_interval(top, bottom):
        rest = (top - ratio * bottom)[0]
        statistic = rest.mean() / (rest.std(ddof=1) / 3**0.5)
        assert abs(statistic) == pytest.approx(4.3027, rel=1e-4)


def test_equal_runs_have_the_ratio_one_exactly():
    assert ratio_interval(THREE + 10, THREE + 10) == pytest.approx((1, 1))


def test_a_ratio_over_what_may_be_zero_has_no_interval():
    assert ratio_interval(THREE, np.array([[-1.0, 0.5, 1.5]])) is None


def test_paired_models_and_seeds_with_one_real_training_per_seed():
    real = np.array([[10.0, 12.0, 14.0]])
    dreams = np.concatenate([real * 0.9, real * 1.1])
    low, high = ratio_interval(dreams, real)
    assert low < 1 < high
    assert ratio_interval(real * 0.9, real) == pytest.approx((0.9, 0.9))


def test_shares_of_the_spread_are_those_of_hand_computed_variances():
    # within models: variances 2 and 2, of them 0.5 from games; means 1 and 5: variance 8, less
    # half of what is neither the model's nor the seed's, here nothing
    shares = spread_shares(np.array([[0.0, 2.0], [4.0, 6.0]]), 0.5)
    total = 8 + 1.5 + 0.5
    assert shares == pytest.approx(
        {"world_models": 8 / total, "ppo_seeds": 1.5 / total, "games": 0.5 / total}
    )
    # residuals 0.5, -0.5, -0.5, 0.5: their variance 1, half of it less than 4.5 between means
    shares = spread_shares(np.array([[0.0, 2.0], [2.0, 6.0]]), 0.0)
    assert shares == pytest.approx({"world_models": 4 / 9, "ppo_seeds": 5 / 9, "games": 0})


def test_what_a_seed_does_in_every_world_model_hides_no_difference_between_them():
    generator = np.random.default_rng(0)
    models, seeds, rest = (generator.normal(size=(500, *s)) for s in ((3, 1), (1, 3), (3, 3)))
    for weight in (0, 3):  # variance of a seed in all models: none, and nine times the models'
        runs = models + weight * seeds + rest
        between = [
            shares["world_models"] * one.var(1, ddof=1).mean() / (1 - shares["world_models"])
            for one in runs
            if (shares := spread_shares(one, 0.0)) is not None
        ]
        assert 0.8 < np.mean(between) < 1.5  # 1, and some more: it is never below 0


def test_a_kind_that_there_is_one_of_has_no_share():
    assert spread_shares(THREE, 0.25) == {"world_models": None, "ppo_seeds": 0.75, "games": 0.25}
    assert spread_shares(THREE.T, 0.25) == {
        "world_models": 0.75,
        "ppo_seeds": None,
        "games": 0.25,
    }
