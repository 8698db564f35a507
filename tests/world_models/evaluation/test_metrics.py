"""Every figure against a number worked out by hand or by definition."""

import math

import pytest
import torch

from world_models.evaluation import metrics


def frames(*values: int) -> torch.Tensor:
    return torch.stack([torch.full((16, 16, 3), value, dtype=torch.uint8) for value in values])


def noise(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(
        0, 256, (count, 16, 16, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def test_psnr_is_the_closed_form_of_a_constant_error_and_caps_equal_frames():
    found = metrics.psnr(frames(10, 10), frames(20, 10))
    assert found.tolist() == pytest.approx(
        [20 * math.log10(255 / 10), metrics.IDENTICAL_PSNR], abs=1e-4
    )


def test_one_count_in_one_pixel_is_worse_than_equal():
    x, y = torch.zeros(2, 1, 64, 64, 3, dtype=torch.uint8)
    y[0, 0, 0, 0] = 1
    assert 88 < float(metrics.psnr(x, y)) < metrics.IDENTICAL_PSNR


def test_ssim_is_one_for_equal_frames_and_the_luminance_term_for_flat_ones():
    assert metrics.ssim(noise(3), noise(3)).tolist() == pytest.approx([1, 1, 1], abs=1e-4)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 120 + c1) / (100**2 + 120**2 + c1)
    assert float(metrics.ssim(frames(100), frames(120))) == pytest.approx(expected, abs=1e-3)


def test_ssim_of_unrelated_noise_is_near_zero():
    assert abs(float(metrics.ssim(noise(8, 1), noise(8, 2)).mean())) < 0.05


def test_exact_needs_every_pixel():
    other = noise(2)
    other[1, 3, 3, 0] ^= 1
    assert metrics.exact(noise(2), other).tolist() == [True, False]


def test_frames_of_different_shapes_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"\(1, 16, 16, 3\).*\(2, 16, 16, 3\)"):
        metrics.psnr(frames(1), frames(1, 2))


def test_ssim_says_when_frames_are_smaller_than_its_window():
    with pytest.raises(ValueError, match="at least 11 pixels"):
        metrics.ssim(torch.zeros(1, 8, 8, 3), torch.zeros(1, 8, 8, 3))


def test_class_scores_count_hits_claims_and_support():
    predicted = torch.tensor([True, True, False, False, True])
    actual = torch.tensor([True, False, True, False, True])
    assert metrics.class_score(predicted, actual) == (
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
        3,
    )


def test_a_class_that_never_occurs_has_no_recall_and_an_unclaimed_absent_one_no_score():
    nothing = torch.zeros(3, dtype=torch.bool)
    assert metrics.class_score(nothing, nothing) == (None, None, None, 0)
    assert metrics.class_score(~nothing, nothing) == (0.0, None, 0.0, 0)


def test_classification_scores_each_reward_value():
    table = metrics.classification(
        torch.tensor([-1.0, 0, 1, 1]), torch.tensor([-1.0, 0, 0, 1]), (-1.0, 0.0, 1.0)
    )
    assert [table[key]["f1"] for key in ("-1", "0", "1")] == pytest.approx([1, 2 / 3, 2 / 3])


def test_calibration_error_is_the_gap_between_confidence_and_accuracy():
    correct = torch.tensor([True, False, False, False])
    assert metrics.calibration_error(torch.full((4,), 0.75), correct) == pytest.approx(0.5)
    assert metrics.calibration_error(torch.full((4,), 0.25), correct) == pytest.approx(0)
    assert metrics.calibration_error(torch.ones(3), torch.ones(3, dtype=torch.bool)) == 0


def test_auroc_is_one_half_for_ties_and_none_for_one_class():
    label = torch.tensor([True, True, False, False])
    assert metrics.auroc(torch.tensor([4.0, 3, 2, 1]), label) == 1
    assert metrics.auroc(torch.tensor([1.0, 2, 3, 4]), label) == 0
    assert metrics.auroc(torch.ones(4), label) == 0.5
    assert metrics.auroc(torch.tensor([1.0, 3, 2, 0]), label) == 0.75
    assert metrics.auroc(torch.ones(4), torch.ones(4, dtype=torch.bool)) is None


def test_spearman_sees_order_only():
    x = torch.tensor([1.0, 2, 3, 4])
    assert metrics.spearman(x, x**3) == pytest.approx(1)
    assert metrics.spearman(x, -x.exp()) == pytest.approx(-1)


def test_uniformity_accepts_the_uniform_and_refuses_the_skewed():
    values = torch.rand(4000, generator=torch.Generator().manual_seed(0))
    assert metrics.uniformity_p(values) > 0.01
    assert metrics.uniformity_p(values**1.2) < 1e-4
    assert metrics.uniformity_p(values[:50]) is None


def test_uniformity_p_is_the_survival_function_of_chi_square():
    two_bins = torch.cat(
        [torch.full((60,), 0.1), torch.full((40,), 0.9)]
    )  # chi-square 4 with 1 degree of freedom
    assert metrics.uniformity_p(two_bins, bins=2) == pytest.approx(
        math.erfc(math.sqrt(4 / 2)), rel=1e-6
    )


def test_kid_says_why_it_is_left_out():
    assert "too few" in metrics.kid(noise(1), {"value": noise(1)})["omitted"]


def test_an_interval_of_few_samples_is_that_of_a_t_test_and_of_one_there_is_none():
    low, high = metrics.interval(torch.tensor([1.0, 2.0, 3.0]))
    assert (low, high) == pytest.approx((2 - 4.3027 / 3**0.5, 2 + 4.3027 / 3**0.5))
    assert metrics.interval(torch.tensor([1.0])) is None
