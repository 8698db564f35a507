"""Closed forms: for Gaussian data the best network is known, and so is where every sampler must
arrive.
"""

from dataclasses import replace

import pytest
import torch
from conftest_models import GRID

from tests.oracles import GAUSSIAN_MEAN, GAUSSIAN_STD, GaussianNetwork, gaussian_data
from world_models.diffusion.guidance import guide
from world_models.diffusion.objectives import (
    DDPM,
    EDM,
    OBJECTIVES,
    EquilibriumMatching,
    FlowMatching,
    Regression,
)
from world_models.diffusion.samplers import SAMPLERS, Ancestral, Descent, Direct, Euler, Heun
from world_models.models.diffusion import DiffusionConfig
from world_models.noise import Draws, NoiseStream
from world_models.protocols import Features

EQM = EquilibriumMatching
PATHS = {
    "edm": EDM(sigma_min=0.02, sigma_max=40.0),
    "edm without preconditioning": EDM(sigma_min=0.02, sigma_max=40.0, precondition=False),
    "ddpm of the noise": DDPM(prediction="noise", clamp=False),
    "ddpm of v": DDPM(prediction="v", clamp=False),
    "ddpm to the frame": DDPM(prediction="frame", clamp=False),
    "flow": FlowMatching(),
    "flow to the frame, shifted": FlowMatching(prediction="frame", shift=3.0),
}
FIELDS = {
    "the paper's": EQM(),
    "linear": EQM("linear", multiplier=1.0),
    "truncated": EQM("truncated", a=0.5, multiplier=2.0),
    "piecewise": EQM("piecewise", a=0.3, b=2.0, multiplier=1.0),
}
REGRESSIONS = {error: Regression(error) for error in ("mse", "huber", "bce")}
ALL = {
    **PATHS,
    **{f"eqm, {k}": v for k, v in FIELDS.items()},
    **{f"regression, {k}": v for k, v in REGRESSIONS.items()},
}
NOTHING = Features(torch.zeros(0), torch.zeros(0))


def sampled(sampler, objective, lanes=200, size=8):
    draws = Draws(NoiseStream.from_seeds(torch.arange(lanes)), (3, size, size))
    return sampler(objective, GaussianNetwork(objective), draws, NOTHING)


def assert_gaussian(x, std=GAUSSIAN_STD, tolerance=0.02):
    assert (x.mean((0, 2, 3)) - GAUSSIAN_MEAN.flatten()).abs().max() < tolerance
    assert (x.std((0, 2, 3)) - std.flatten()).abs().max() < tolerance


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize(
    "sampler", [Euler(120), Heun(40), Ancestral(300), Ancestral(120, eta=0.5)], ids=str
)
def test_every_path_sampler_brings_noise_to_the_data_distribution(name, sampler):
    assert_gaussian(sampled(sampler, PATHS[name]))


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize("method", ["gd", "nag", "nesterov"])
def test_descent_brings_noise_to_the_data_distribution(name, method):
    field = FIELDS[name]
    rate = field.stride * (0.05 if method == "nesterov" else 0.07)
    sampler = Descent(150, method, rate, momentum=0.3, threshold=0.0)
    assert_gaussian(sampled(sampler, field, lanes=4, size=48), tolerance=0.04)


@pytest.mark.parametrize("energy", ["dot", "l2"])
def test_with_an_energy_the_field_of_equilibrium_matching_is_its_gradient(energy):
    objective, x = EQM(energy=energy), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    weight = torch.randn(48, 48, dtype=torch.float64) / 7

    def network(x, t, features):
        return torch.tanh(x.flatten(1) @ weight).view_as(x)

    def energy_at(x):
        f = network(x, None, None)
        return ((x * f) if energy == "dot" else f.square() / 2).flatten(1).sum(1)

    found = objective.field(network, x, NOTHING)
    with torch.inference_mode():
        assert torch.equal(objective.field(network, x.clone(), NOTHING), found)
    push = torch.randn_like(x)
    slope = (energy_at(x + 1e-6 * push) - energy_at(x - 1e-6 * push)) / 2e-6
    assert torch.allclose((found * push).flatten(1).sum(1), slope, rtol=1e-5)


@pytest.mark.parametrize("name", REGRESSIONS)
def test_regression_is_the_mean_of_the_data(name):
    assert_gaussian(sampled(Direct(), REGRESSIONS[name]), std=0 * GAUSSIAN_STD, tolerance=1e-4)


@pytest.mark.parametrize("name", PATHS)
def test_the_error_of_heun_falls_faster_than_that_of_euler(name):
    objective, network = PATHS[name], GaussianNetwork(PATHS[name])
    draws = Draws(NoiseStream.from_seeds(torch.arange(50)), (3, 4, 4))
    start = objective.levels(1)[0]
    alpha, sigma = objective.alpha(start), objective.sigma(start)
    lanes = (sigma * draws(0) - alpha * GAUSSIAN_MEAN) / (
        alpha**2 * GAUSSIAN_STD**2 + sigma**2
    ).sqrt()
    exact = GAUSSIAN_MEAN + GAUSSIAN_STD * lanes  # where the flow of the ODE ends
    euler, coarse, fine = (
        (s(objective, network, draws, NOTHING) - exact).abs().mean()
        for s in (Euler(79), Heun(20), Heun(40))
    )
    assert fine < coarse / 2.5 and fine < euler / 2


def test_ancestral_steps_without_fresh_noise_are_those_of_euler():
    for objective in PATHS.values():
        plain, still = (
            sampled(Euler(7), objective, 20),
            sampled(Ancestral(7, eta=0.0), objective, 20),
        )
        assert torch.allclose(plain, still, atol=1e-4)


@pytest.mark.parametrize("name", [*PATHS, *(f"eqm, {k}" for k in FIELDS)])
def test_the_exact_network_estimates_the_posterior_mean(name):
    objective, t = (
        ALL[name],
        torch.tensor([0.1, 0.15, 0.2]) * (400 if isinstance(ALL[name], DDPM) else 1),
    )
    x0, noise = (
        gaussian_data(3, 64),
        torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)),
    )
    x = objective.noised(x0, t, noise)
    alpha, sigma = objective.alpha(t)[:, None, None, None], objective.sigma(t)[:, None, None, None]
    gain = alpha * GAUSSIAN_STD**2 / (alpha**2 * GAUSSIAN_STD**2 + sigma**2)
    expected = GAUSSIAN_MEAN + gain * (x - alpha * GAUSSIAN_MEAN)
    found = objective.denoise(GaussianNetwork(objective), x, t, NOTHING)
    tolerance = (
        0.04 if isinstance(objective, EQM) else 1e-3
    )  # the field has to guess t from the frame
    assert (found - expected).abs().mean() < tolerance


@pytest.mark.parametrize("name", ALL)
def test_no_answer_has_a_lower_loss_than_the_exact_network(name):
    objective, generator = ALL[name], torch.Generator().manual_seed(0)
    x0 = gaussian_data(96, 16)
    t, noise = objective.sample_t((96,), generator), torch.randn(x0.shape, generator=generator)
    network, losses = GaussianNetwork(objective), []
    for change in (0.0, 0.2, -0.2):
        answer = lambda *a, change=change: network(*a) + change  # noqa: E731
        losses.append(objective.loss(answer, x0, t, noise, NOTHING).mean())
    assert losses[0] < losses[1] and losses[0] < losses[2]


@pytest.mark.parametrize("name", ALL)
def test_a_training_step_shows_a_frame_like_the_data(name):
    objective, x0 = ALL[name], gaussian_data(8, 32)
    error, predicted = objective.learn(
        GaussianNetwork(objective), x0, NOTHING, torch.Generator().manual_seed(0)
    )
    assert error.shape == predicted.shape == x0.shape and error.isfinite().all()
    spread = GAUSSIAN_STD.mean() if isinstance(objective, Regression) else 0.3
    assert (predicted - x0).abs().mean() < spread


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_levels_decrease_from_noise_to_clean(name, steps):
    objective = PATHS[name]
    levels = objective.levels(steps)
    assert len(levels) == steps + 1 and (levels[:-1] > levels[1:]).all() and levels[-1] == 0
    assert objective.sigma(levels[-1]) == 0 and torch.isclose(
        objective.alpha(levels[-1]), torch.tensor(1.0)
    )
    assert objective.alpha(levels[0]) / objective.sigma(levels[0]) < 0.03


def test_levels_of_the_papers():
    edm, flow = EDM().levels(5), FlowMatching(shift=3.0).levels(4)
    assert torch.isclose(edm[0], torch.tensor(6.0)) and torch.isclose(edm[4], torch.tensor(0.4))
    assert torch.allclose(flow, torch.tensor([1, 0.9, 0.75, 0.5, 0]))
    betas = 1 - (
        DDPM().alpha_bar(torch.arange(1.0, 401)) / DDPM().alpha_bar(torch.arange(0.0, 400))
    )
    assert (
        torch.isclose(betas[-1], torch.tensor(0.999))
        and (betas[:-1] < 0.8).all()
        and (betas > 0).all()
    )


def test_levels_may_differ_from_frame_to_frame_of_a_clip():
    x0, t = torch.randn(2, 5, 3, 4, 4), torch.rand(2, 5) * 0.8 + 0.1
    noise = torch.randn_like(x0)
    for objective in (EDM(), FlowMatching(), DDPM(clamp=False), EQM()):
        noised = objective.noised(x0, t, noise)
        one = objective.noised(x0[:, 2], t[:, 2], noise[:, 2])
        assert torch.allclose(noised[:, 2], one)
        assert objective.loss(lambda x, t, f: 0 * x, x0, t, noise, NOTHING).shape == x0.shape


def test_schedules_of_equilibrium_matching_end_at_rest():
    gamma = torch.tensor([0.0, 0.4, 0.8, 0.9, 1.0])
    assert torch.allclose(EQM().magnitude(gamma), torch.tensor([4, 4, 4, 2, 0.0]), atol=1e-5)
    assert torch.allclose(EQM("linear", multiplier=1.0).magnitude(gamma), 1 - gamma)
    bent = EQM("piecewise", a=0.4, b=2.0, multiplier=1.0).magnitude(gamma)
    assert torch.allclose(bent, torch.tensor([2, 1, 1 / 3, 1 / 6, 0]), atol=1e-5)


@pytest.mark.parametrize("method", ["gd", "nag", "nesterov"])
def test_a_sample_at_rest_stays_and_does_not_wake_the_others(method):
    goal = torch.tensor([0.0, 3.0])[:, None]  # the first sample is to stay where it begins
    calls = []

    def field(x, t, features):
        calls.append(x)
        return 4 * (x - start - goal)

    draws = Draws(NoiseStream.from_seeds(torch.arange(2)), (5,))
    start = draws(0)
    x = Descent(60, method, 0.05, threshold=0.4)(EQM(), field, draws, NOTHING)
    assert torch.equal(x[0], start[0]) and len(calls) == 60
    assert (x[1] - start[1] - 3).abs().max() <= 0.4 / 4 / (0.6 if method == "nesterov" else 1) and (
        x[1] != start[1]
    ).all()
    assert torch.equal(
        x[1], Descent(90, method, 0.05, threshold=0.4)(EQM(), field, draws, NOTHING)[1]
    )  # for good


def test_motion_counts_more_where_something_moves_and_one_on_average():
    last = torch.zeros(2, 3, 16, 16)
    x0 = last.clone().repeat(1, 2, 1, 1)  # two frames ahead
    x0[0, 3, 8, 8] = 0.5  # one color of one pixel of the second
    weight = Regression(motion_weight=5.0, motion_radius=1).motion(x0, last)
    assert torch.allclose(weight.mean((1, 2, 3)), torch.ones(2)) and (weight[1] == 1).all()
    heavy = weight[0] > 1.5
    assert heavy[3:, 7:10, 7:10].all() and heavy.sum() == 27
    assert torch.allclose(weight[0][heavy] / weight[0].min(), torch.tensor(6.0))


FITTING = {
    (o, s)
    for s, sampler in SAMPLERS.items()
    for o, kind in OBJECTIVES.items()
    if kind in sampler.objectives
}


@pytest.mark.parametrize(("objective", "sampler"), [(o, s) for o in OBJECTIVES for s in SAMPLERS])
def test_what_does_not_fit_is_refused_with_a_word_on_what_does(objective, sampler):
    parts = {"network": GRID, "objective": OBJECTIVES[objective](), "sampler": SAMPLERS[sampler]()}
    if (objective, sampler) in FITTING:
        assert DiffusionConfig(**parts).sampler == parts["sampler"]
        return
    with pytest.raises(ValueError, match="is sampled by") as refusal:
        DiffusionConfig(**parts)
    named = str(refusal.value).partition("is sampled by ")[2].split(", ")
    assert named == [s for s in SAMPLERS if (objective, s) in FITTING] and named


def test_every_objective_has_a_sampler_and_every_sampler_an_objective():
    assert {o for o, _ in FITTING} == set(OBJECTIVES) and {s for _, s in FITTING} == set(SAMPLERS)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Euler(0), "at least one step"),
        (lambda: replace(Direct(), steps=2), "one call"),
        (lambda: Descent(method="newton"), "gd,nag,nesterov"),
        (lambda: DDPM(prediction="x"), "noise,v,frame"),
        (lambda: DDPM(timesteps=1), "two timesteps"),
        (lambda: FlowMatching(prediction="noise"), "velocity,frame"),
        (lambda: FlowMatching(times="normal"), "logit-normal"),
        (lambda: EQM("quadratic"), "linear,truncated,piecewise"),
        (lambda: EQM(a=1.0), "0 < a < 1"),
        (lambda: Regression("l1"), "mse,huber,bce"),
    ],
)
def test_a_wrong_setting_is_refused_with_what_would_be_right(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_guidance_needs_a_network_with_a_null_action():
    class Deaf(type(GRID)):
        null_action = False

    with pytest.raises(ValueError, match=r"null action \(grid.*for Deaf it is 1"):
        DiffusionConfig(network=Deaf(), guidance=2.0)
    assert DiffusionConfig(network=Deaf()).guidance == 1


def test_guidance_of_scale_one_is_the_network_itself():
    network = torch.nn.Identity()
    assert guide(network, 1.0, 4) is network


def test_guidance_extrapolates_from_the_unconditional_answer():
    class Network(torch.nn.Module):
        def encode(self, frames, action):
            tokens = action.float()[:, None, None, None]
            return Features(tokens, frames, (2 * tokens,))

        def forward(self, x, t, features):
            return x * 0 + features.tokens + features.rest[0]

    guided = guide(Network(), 3.0, 4)
    x = torch.zeros(2, 1, 1, 1)
    features = guided.encode(x, torch.tensor([0, 1]))
    assert guided(x, torch.ones(2), features).flatten().tolist() == [
        3 * (4 + 3 * (0 - 4)),
        3 * (4 + 3 * (1 - 4)),
    ]
