"""Closed forms: for Gaussian data the best denoiser is known, and so is where its sampler must arrive."""

import torch

from world_models.objectives import EDM
from world_models.samplers import Euler, guide

MEAN, STD = 0.3, 0.5


class GaussianNetwork:
    """The F of eq. 7 whose D is the exact posterior mean for x0 ~ N(MEAN, STD^2)."""

    def __init__(self, objective: EDM):
        self.objective = objective

    def __call__(self, x, t, features):
        sigma = (4 * t).exp()[:, None, None, None]
        total = sigma**2 + self.objective.sigma_data**2
        noisy = x * total.sqrt()
        denoised = MEAN + STD**2 / (STD**2 + sigma**2) * (noisy - MEAN)
        skip, out = self.objective.sigma_data**2 / total, sigma * self.objective.sigma_data / total.sqrt()
        return (denoised - skip * noisy) / out


def test_denoise_with_the_exact_network_is_the_posterior_mean():
    objective = EDM()
    x, t = torch.randn(4, 1, 2, 2), torch.tensor([0.1, 0.5, 2.0, 8.0])
    expected = MEAN + STD**2 / (STD**2 + t[:, None, None, None] ** 2) * (x - MEAN)
    assert torch.allclose(objective.denoise(GaussianNetwork(objective), x, t, None), expected, atol=1e-5)


def test_many_euler_steps_bring_noise_to_the_data_distribution():
    objective = EDM(sigma_min=0.02, sigma_max=40.0)
    noise = torch.randn(20_000, 1, 1, 1, generator=torch.Generator().manual_seed(0))
    x = Euler(objective, 200)(GaussianNetwork(objective), noise, None)
    assert abs(x.mean() - MEAN) < 0.02 and abs(x.std() - STD) < 0.02


def test_one_euler_step_is_one_denoising_call_at_the_highest_level():
    objective = EDM(sigma_max=10.0)
    noise = torch.randn(3, 1, 2, 2)
    expected = objective.denoise(GaussianNetwork(objective), noise * 10.0, torch.full((3,), 10.0), None)
    assert torch.allclose(Euler(objective, 1)(GaussianNetwork(objective), noise, None), expected, atol=1e-5)


def test_levels_decrease_from_the_highest_to_clean():
    levels = EDM().levels(5)
    assert len(levels) == 6 and (levels[:-1] > levels[1:]).all() and levels[-1] == 0
    assert torch.isclose(levels[0], torch.tensor(6.0)) and torch.isclose(levels[4], torch.tensor(0.4))


def test_the_loss_of_the_exact_denoiser_is_below_that_of_a_wrong_one():
    objective, generator = EDM(), torch.Generator().manual_seed(0)
    x0 = MEAN + STD * torch.randn(5000, 1, 1, 1, generator=generator)
    t, noise = objective.sample_t((5000,), generator), torch.randn(5000, 1, 1, 1, generator=generator)
    best = objective.loss(GaussianNetwork(objective), x0, t, noise, None).mean()
    worse = objective.loss(lambda *a: GaussianNetwork(objective)(*a) + 0.3, x0, t, noise, None).mean()
    assert abs((worse - best) - 0.09) < 0.03  # the weight 1 / c_out^2 makes an error of F count as itself


def test_guidance_of_scale_one_is_the_network_itself():
    network = torch.nn.Identity()
    assert guide(network, 1.0, 4) is network


def test_guidance_extrapolates_from_the_unconditional_answer():
    class Network(torch.nn.Module):
        def encode(self, frames, action):
            return action.float()[:, None, None, None]

        def forward(self, x, t, features):
            return x * 0 + features

    guided = guide(Network(), 3.0, 4)
    x = torch.zeros(2, 1, 1, 1)
    features = guided.encode(x, torch.tensor([0, 1]))
    assert guided(x, torch.ones(2), features).flatten().tolist() == [4 + 3 * (0 - 4), 4 + 3 * (1 - 4)]
