"""Oracles for what networks must be able to do exactly: copy, move, warp, and see what is rare."""

import math

import pytest
import torch
from torch.nn import functional as F

from world_models.models.augment import rarity
from world_models.networks.copying import CopyOut, shifted, warped
from world_models.networks.grid import GridConfig, GridDenoiser, OutcomeHead

LAST = 3 * (torch.arange(2 * 3 * 16 * 16).reshape(2, 3, 16, 16) % 83) / 255 - 1


def copier(distances, flow=0.0) -> CopyOut:
    return CopyOut(8, 4, distances, flow).to(memory_format=torch.channels_last)


def test_a_frame_moved_by_whole_pixels_keeps_every_pixel_that_stays_in_sight():
    moved = shifted(LAST, 8, 0)
    assert torch.equal(moved[:, :, 8:], LAST[:, :, :8]) and torch.equal(
        moved[:, :, 0], LAST[:, :, 0]
    )
    moved = shifted(LAST, 0, -4)
    assert torch.equal(moved[..., :12], LAST[..., 4:]) and torch.equal(shifted(LAST, 0, 0), LAST)


def test_sources_are_the_unmoved_frame_once_and_four_moves_for_every_other_distance():
    assert copier((0,)).moves == [(0, 0)]
    assert copier((0, 8)).moves == [(-8, 0), (0, -8), (0, 0), (0, 8), (8, 0)]


@pytest.mark.parametrize(
    ("distances", "flow"), [((0,), 0.0), ((0, 8), 0.0), ((), 3.0), ((0,), 3.0)]
)
def test_a_patch_that_points_at_one_source_is_that_source(distances, flow):
    layer, painted = copier(distances, flow), torch.randn_like(LAST)
    tokens = torch.randn(2, 8, 4, 4)
    sources = [painted, *(shifted(LAST, *move) for move in layer.moves), *([LAST] if flow else [])]
    for index, source in enumerate(sources):
        torch.nn.init.zeros_(layer.source.bias)
        layer.source.bias.data[index] = 100.0
        assert torch.allclose(layer(tokens, painted, LAST), source, atol=1e-5)


def test_each_patch_chooses_for_itself():
    layer, painted, tokens = copier((0,)), torch.zeros_like(LAST), torch.zeros(2, 8, 4, 4)
    tokens[:, 0, 1, 2] = 50.0
    layer.source.weight.data[1, 0] = 50.0
    layer.source.bias.data[0] = 30.0
    out = layer(tokens, painted, LAST)
    assert torch.allclose(out[:, :, 4:8, 8:12], LAST[:, :, 4:8, 8:12], atol=1e-5)
    out[:, :, 4:8, 8:12] = 0
    assert out.abs().max() < 1e-5


def test_a_constant_flow_is_a_move_and_half_a_pixel_lies_halfway():
    flow = torch.zeros(2, 2, 4, 4)
    flow[:, 0] = 3.0  # x: read three pixels to the right
    assert torch.allclose(warped(LAST, flow, 4), shifted(LAST, 0, -3), atol=1e-4)
    flow[:, 0] = 0.5
    halfway = (LAST + shifted(LAST, 0, -1)) / 2
    assert torch.allclose(warped(LAST, flow, 4), halfway, atol=1e-4)


def test_the_whole_frame_can_move_as_one():
    layer = copier((0,), flow=8.0)
    layer.source.bias.data[2] = 30.0  # the warp
    layer.frame_flow.bias.data[0] = math.atanh(3 / 8)
    out = layer(torch.randn(2, 8, 4, 4), torch.zeros_like(LAST), LAST)
    assert torch.allclose(out, shifted(LAST, 0, -3), atol=1e-3)


def test_a_dream_that_stands_still_does_not_dissolve_as_training_may():
    layer = copier((0,), flow=8.0).eval()
    layer.source.bias.data[2] = 1.0  # the warp, nearly all
    layer.frame_flow.bias.data[:] = math.atanh(0.2 / 8)
    frame, tokens, painted = LAST, torch.zeros(2, 8, 4, 4), torch.zeros_like(LAST)
    for _ in range(40):
        frame = layer(tokens, painted, frame)
    assert torch.allclose(frame, LAST, atol=1e-4)
    assert (layer.train()(tokens, painted, LAST) - LAST).abs().max() > 0.02


@pytest.mark.parametrize("features", [0, 4])
def test_the_outcome_head_sees_single_pixels_nonlinearly_only_where_asked(features):
    head = OutcomeHead(GridConfig(8, 4, pixel_features=features), 3, 2)
    one, other, none = LAST, LAST.flip(2), torch.zeros_like(LAST)
    seen = [head.embed(head.pixels(frame)) for frame in (one + other, one, other, none)]
    assert torch.allclose(seen[0] + seen[3], seen[1] + seen[2], atol=1e-4) == (features == 0)


def test_the_denoiser_can_give_back_the_noisy_patch_itself():
    network = GridDenoiser(GridConfig(8, 4, 1, 1), 3, 3, 2, (4, 4))
    x, action = torch.randn(2, 3, 16, 16), torch.tensor([0, 1])
    features = network.encode(LAST, action)
    plain = network(x, torch.zeros(2), features)
    network.keep.bias.data.fill_(-0.7)
    assert torch.allclose(network(x, torch.zeros(2), features), plain - 0.7 * x, atol=1e-5)


def test_what_is_rare_in_a_frame_is_told_from_its_background():
    frames = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    frames[0, 4:8, 8:12] = 200  # one patch of sixteen
    frames[0, 12:16, :8, 1] = 90  # two alike
    expected = torch.full((4, 4), 1 / 13)
    expected[1, 2], expected[3, 0], expected[3, 1] = 1, 1 / 2, 1 / 2
    assert torch.allclose(rarity(frames, 4), expected.flatten()[None])


def test_pictures_with_the_same_pixels_in_other_places_are_told_apart():
    frames = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    frames[0, 0, 0], frames[0, 4 + 3, 4 + 3] = 255, 255
    assert torch.allclose(rarity(frames, 4), torch.tensor([[1.0, 1 / 2, 1 / 2, 1.0]]))


def test_mean_squared_error_finds_the_flow():
    layer = copier((), 4.0)
    smooth = F.interpolate(
        torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)),
        (16, 16),
        mode="bicubic",
    )
    target, tokens = shifted(smooth, 0, -2), torch.ones(1, 8, 4, 4)
    layer.source.bias.data[1] = 10.0
    optimizer = torch.optim.Adam(layer.patch_flow.parameters(), 0.05)
    for _ in range(60):
        loss = ((layer(tokens, smooth * 0, smooth) - target)[..., :12] ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.02 * ((smooth - target)[..., :12] ** 2).mean()
