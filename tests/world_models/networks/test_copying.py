"""Oracles for what copying must be able to do exactly: copy, move and warp."""

import math

import pytest
import torch
from torch.nn import functional as F

from world_models.networks.copying import CopyOut, shifted, warped

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
    layer, decoded = copier(distances, flow), torch.randn_like(LAST)
    tokens = torch.randn(2, 8, 4, 4)
    sources = [decoded, *(shifted(LAST, *move) for move in layer.moves), *([LAST] if flow else [])]
    for index, source in enumerate(sources):
        torch.nn.init.zeros_(layer.source.bias)
        layer.source.bias.data[index] = 100.0
        assert torch.allclose(layer(tokens, decoded, LAST), source, atol=1e-5)


def test_each_patch_chooses_for_itself():
    layer, decoded, tokens = copier((0,)), torch.zeros_like(LAST), torch.zeros(2, 8, 4, 4)
    tokens[:, 0, 1, 2] = 50.0
    layer.source.weight.data[1, 0] = 50.0
    layer.source.bias.data[0] = 30.0
    out = layer(tokens, decoded, LAST)
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
    frame, tokens, decoded = LAST, torch.zeros(2, 8, 4, 4), torch.zeros_like(LAST)
    for _ in range(40):
        frame = layer(tokens, decoded, frame)
    assert torch.allclose(frame, LAST, atol=1e-4)
    assert (layer.train()(tokens, decoded, LAST) - LAST).abs().max() > 0.02


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
