"""Trust: what its signals tell apart, how it is calibrated, and that a bundle keeps its scale."""

import numpy as np
import pytest
import torch
from conftest_models import FORCING, make_context, make_contexts, make_model

from world_models.bundles import BundleError
from world_models.bundles.bundle import load_bundle, save_bundle
from world_models.evaluation.metrics import auroc, calibration_error
from world_models.evaluation.rollouts import OneStep
from world_models.evaluation.trust_scores import TrustSignals, motion_figures
from world_models.models.trust_calibration import (
    DrawsCodes,
    MahalanobisDistance,
    TrustScale,
    fitted,
    load_scale,
    save_scale,
)
from world_models.noise import NoiseStream

LANES = torch.arange(4)


def stepped(model):
    """(state, action, frame, noise) of four dreams."""
    state, noise, action = (
        model.init(make_context(model, 4)),
        NoiseStream.from_seeds(LANES),
        LANES % 2,
    )
    return state, action, model.step(state, action, noise).frame, noise


def scale_of(model, weights=(1.0, 0.5, -0.3)) -> TrustScale:
    tokens = model.context_features(
        model.init(make_context(model, 64, seed=1)), torch.zeros(64, dtype=torch.int64)
    ).detach()
    return TrustScale(MahalanobisDistance.of(tokens), torch.tensor(weights))


def test_familiar_features_are_at_distance_one_and_others_farther():
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(6, 6, generator=generator)
    tokens = torch.einsum("ij,bjhw->bihw", mix, torch.randn(4000, 6, 2, 2, generator=generator))
    familiar = MahalanobisDistance.of(tokens[:2000])
    assert familiar(tokens[2000:]).square().mean() == pytest.approx(
        0.85, abs=0.15
    )  # shrinking makes it a little less than 1
    assert (
        familiar(tokens[2000:] + 3 * mix[:, 0, None, None]).mean()
        > 1.3 * familiar(tokens[2000:]).mean()
    )


@pytest.mark.parametrize("bias", [-2.0, 2.0])
def test_an_overconfident_head_is_calibrated_on_other_frames(bias):
    generator = torch.Generator().manual_seed(0)
    logit, distance = (
        torch.randn(8000, generator=generator),
        torch.rand(8000, generator=generator) + 0.5,
    )
    truth = (logit + bias - 2 * distance.log()).sigmoid()
    right = torch.rand(8000, generator=generator) < truth
    weights = fitted(3 * logit[:4000], distance[:4000], right[:4000])
    assert torch.allclose(weights, torch.tensor([1 / 3, 2.0, bias]), atol=0.45)
    scale = TrustScale(MahalanobisDistance(torch.zeros(1), torch.ones(1, 1)), weights)
    believed, rest = scale.combined(3 * logit[4000:], distance[4000:]), right[4000:]
    assert (
        calibration_error(believed, rest)
        < 0.03
        < calibration_error((3 * logit[4000:]).sigmoid(), rest)
    )
    assert auroc(1 - believed, ~rest) > auroc(-logit[4000:], ~rest)


def test_distance_never_speaks_for_a_frame():
    logit, distance = torch.zeros(200), torch.linspace(0.5, 2, 200)
    weights = fitted(logit, distance, distance > 1)
    assert weights[1] == 0 and torch.isfinite(weights).all()
    assert fitted(logit, distance, distance < 1)[1] > 1


def test_surprise_counts_where_it_tells_wrong_frames_and_never_speaks_for_one():
    generator = torch.Generator().manual_seed(1)
    logit, surprise = (torch.randn(4000, generator=generator) for _ in range(2))
    surprise, near = surprise.exp(), torch.ones(4000)
    wrong = torch.rand(4000, generator=generator) < (surprise.log() - logit).sigmoid()
    weights = fitted(logit, near, ~wrong, surprise)
    assert weights.shape == (4,) and weights[2] == pytest.approx(1, abs=0.25)
    scale = TrustScale(MahalanobisDistance(torch.zeros(1), torch.ones(1, 1)), weights)
    alone = TrustScale(scale.distance, fitted(logit, near, ~wrong))
    with_it, without = (one.combined(logit, near, surprise) for one in (scale, alone))
    assert auroc(1 - with_it, wrong) > auroc(1 - without, wrong) + 0.05
    assert scale.names[2] == "surprise" and "surprise" not in alone.names
    assert fitted(logit, near, wrong, surprise)[2] == 0


def test_where_nothing_was_wrong_the_head_is_nearly_left_alone():
    logit, one = torch.full((50,), 8.0), torch.ones(50)
    weights = fitted(logit, one, torch.ones(50, dtype=torch.bool))
    assert torch.isfinite(weights).all() and torch.allclose(
        weights, torch.tensor([1.0, 0.0, 0.0]), atol=0.1
    )


@pytest.mark.parametrize(
    "name", ["chance", "diffusion", "regression", "joint", "forcing", "pixel", "latent", "tokens"]
)
def test_signals_are_numbers_for_every_kind_of_model(name):
    model = make_model(name)
    assert (model.feature_width is None) == (name in FORCING)
    state, action, frame, noise = stepped(model)
    distance = scale_of(model).distance if model.feature_width else None
    found = TrustSignals(model, distance)(state, action, frame, noise)
    assert ("surprise" in found) == isinstance(model, DrawsCodes) == (name == "tokens")
    assert {"disagreement"} <= set(found) and ("gradient_norm" in found) == (name == "joint")
    assert all(value.shape == (4,) and torch.isfinite(value).all() for value in found.values())
    assert (found["disagreement"] > 0).any() == (name not in ("regression", "pixel"))


@pytest.mark.parametrize(
    "name", ["chance", "diffusion-guided", "joint", "pixel", "latent", "tokens"]
)
def test_a_bundle_keeps_its_scale_and_its_dreams_are_trusted_by_it(tmp_path, name):
    model = make_model(name)
    save_bundle(tmp_path, model, make_contexts(model), {}, {})
    plain = load_bundle(tmp_path).model
    save_scale(tmp_path, scale_of(plain, (2.0, 1.0, -1.0)))
    scaled = load_bundle(tmp_path).model
    assert set(scaled.state_dict()) == set(plain.state_dict())
    one, two = (
        (m.step(m.init(make_context(m, 4)), LANES % 2, NoiseStream.from_seeds(LANES)))
        for m in (plain, scaled)
    )
    assert torch.equal(one.frame, two.frame) and not torch.allclose(one.trust, two.trust)
    tokens = plain.context_features(plain.init(make_context(plain, 4)), LANES % 2).detach()
    expected = scaled.trust_scale(one.trust.logit(), tokens)
    assert (
        torch.allclose(two.trust, expected, atol=1e-4)
        and ((two.trust >= 0) & (two.trust <= 1)).all()
    )


def test_a_model_of_probabilities_trusts_less_what_it_held_improbable(tmp_path):
    model = make_model("tokens")
    save_bundle(tmp_path, model, make_contexts(model), {}, {})
    save_scale(tmp_path, scale_of(model, (1.0, 0.0, 2.0, -1.0)))
    model = load_bundle(tmp_path).model
    state, noise = model.init(make_context(model, 4)), NoiseStream.from_seeds(LANES)
    one = model.step(state, LANES % 2, noise)
    own = model.with_trust_scale(None).step(state, LANES % 2, noise).trust.logit()
    features = model.encode_state(state, LANES % 2)
    surprise = model.decide_codes(features, noise).surprise
    assert (surprise > 0).all()
    expected = (own - 2 * (surprise + 0.01).log() - 1).sigmoid()
    assert torch.allclose(one.trust, expected, atol=1e-4)
    with pytest.raises(ValueError, match="shapes"):
        load_scale(tmp_path, 16)


def test_a_damaged_scale_is_named(tmp_path):
    model = make_model("chance")
    save_bundle(tmp_path, model, make_contexts(model), {}, {})
    assert load_scale(tmp_path, 16) is None
    np.savez(tmp_path / "trust.npz", centre=np.zeros(3), whitening=np.eye(3), weights=np.zeros(3))
    with pytest.raises(
        BundleError, match=r"trust.npz is damaged: .*do not fit features of 16 channels"
    ):
        load_bundle(tmp_path)


def test_a_frame_is_wrong_by_how_much_there_was_to_get_right():
    nothing = torch.zeros(4)
    psnr, copied = torch.tensor([20.0, 24.0, 39.0, 41.0]), torch.tensor([10.0, 22.0, 60.0, 60.0])
    run = OneStep(
        {"psnr": psnr}, {"psnr": copied}, nothing, nothing, nothing,
        torch.tensor([0.9, 0.2, 0.1, 0.8]), nothing, nothing, None, None, None,
        {"distance": torch.tensor([4.0, 3.0, 2.0, 1.0])},
    )  # fmt: skip
    figures = motion_figures(run)
    # twice as near as a copy is right at 20 dB, 24 dB beside a copy of 22 dB is not, nor is 39 dB
    # where nothing moved
    assert figures["wrong"] == 2 and figures["samples"] == 4 and figures["auroc"] == 1
    assert figures["auroc_distance"] == 0.5 and figures["auroc_stillness"] == 0.625
