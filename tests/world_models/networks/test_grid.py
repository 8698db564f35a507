"""The grid network: what its head and its denoiser can do."""

import copy

import pytest
import torch

from world_models.networks.blocks import PatchEmbed
from world_models.networks.grid import GridConfig, GridDenoiser, OutcomeHead

LAST = 3 * (torch.arange(2 * 3 * 16 * 16).reshape(2, 3, 16, 16) % 83) / 255 - 1


@pytest.mark.parametrize("features", [0, 4])
def test_the_outcome_head_sees_single_pixels_nonlinearly_only_where_asked(features):
    head = OutcomeHead(GridConfig(8, 4, pixel_features=features), 3, 2)
    one, other, none = LAST, LAST.flip(2), torch.zeros_like(LAST)
    embedded = [head.embed(head.pixels(frame)) for frame in (one + other, one, other, none)]
    assert torch.allclose(embedded[0] + embedded[3], embedded[1] + embedded[2], atol=1e-4) == (
        features == 0
    )


@pytest.mark.parametrize(("patch", "channels"), [(4, 3), (4, 16), (4, 24), (8, 8), (8, 24)])
def test_patches_are_embedded_alike_in_float32_and_in_bfloat16(patch, channels):
    embed, x = PatchEmbed(channels, 32, patch), torch.randn(4, channels, 64, 64)
    with torch.no_grad():
        expected = embed(x)
        half = copy.deepcopy(embed).to(torch.bfloat16)(x.to(torch.bfloat16)).float()
        with torch.autocast("cpu", torch.bfloat16):
            automatic = embed(x).float()
    assert (automatic - expected).norm() < 0.02 * expected.norm()
    assert (half - expected).norm() < 0.02 * expected.norm()


def test_the_denoiser_can_give_back_the_noisy_patch_itself():
    network = GridDenoiser(GridConfig(8, 4, 1, 1), 3, 3, 2, (4, 4))
    x, action = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    features = network.encode(LAST, action)
    plain = network(x, torch.zeros(2), features)
    network.keep.bias.data.fill_(-0.7)
    assert torch.allclose(network(x, torch.zeros(2), features), plain - 0.7 * x, atol=1e-5)
