"""Risk and coverage of rankers that are perfect, empty, or known by hand; estimates."""

import numpy as np
import pytest

from world_models.evaluation.estimates import bootstrap_interval, estimate, mean_estimate
from world_models.evaluation.risk_coverage import aurc, best_aurc, risk_figures, risks

WRONG = np.array([True, False, False, True, False])


def test_a_perfect_ranker_takes_no_risk_until_only_wrong_frames_are_left():
    trust = np.where(WRONG, 0.1, 0.9)
    assert risks(trust, WRONG).tolist() == [0, 0, 0, 1 / 4, 2 / 5]
    assert aurc(trust, WRONG) == best_aurc(WRONG) == pytest.approx((1 / 4 + 2 / 5) / 5)


def test_the_worst_ranker_trusts_wrong_frames_first():
    assert risks(WRONG.astype(float), WRONG).tolist() == [1, 1, 2 / 3, 2 / 4, 2 / 5]


def test_trust_that_says_nothing_has_the_risk_of_all_frames_at_every_coverage():
    assert risks(np.full(5, 0.7), WRONG) == pytest.approx(np.full(5, 0.4))


def test_rows_of_a_batch_do_not_meet():
    trust = np.array([[0.5, 0.5, 0.1], [0.1, 0.5, 0.5]])
    wrong = np.array([[True, False, True], [True, False, False]])
    both = risks(trust, wrong)
    assert both[0].tolist() == risks(trust[0], wrong[0]).tolist()
    assert both[1].tolist() == risks(trust[1], wrong[1]).tolist() == [0, 0, 1 / 3]


def test_the_figures_lie_between_the_best_and_no_information():
    generator = np.random.default_rng(0)
    correct = generator.random(400) < 0.7
    trust = correct + generator.normal(0, 0.7, 400)
    figures = risk_figures(trust, correct, generator)
    low, high = figures["aurc"]["interval"]
    assert low < figures["aurc"]["value"] < high
    assert figures["aurc_best"] < figures["aurc"]["value"] < figures["aurc_uninformed"]
    assert figures["risk_coverage"]["1"] == figures["aurc_uninformed"] == (~correct).mean()
    assert figures["aurc"]["samples"] == 400


def test_an_estimate_is_none_where_there_is_nothing_to_count():
    generator = np.random.default_rng(0)
    assert mean_estimate(np.zeros(0), generator) == estimate(None, None, 0)
    assert mean_estimate(np.array([2.0]), generator) == estimate(2.0, None, 1)
    assert estimate(float("nan"), [0.0, 1.0], 3)["value"] is None
    assert bootstrap_interval(lambda rows: np.full(len(rows), np.nan), 5, generator) is None


def test_the_interval_of_a_mean_is_that_of_its_standard_error():
    values = np.random.default_rng(0).normal(0, 1, 400)
    low, high = mean_estimate(values, np.random.default_rng(1))["interval"]
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)
