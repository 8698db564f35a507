"""The pixel U-Net: its published size, and that reading the context once changes nothing."""

from dataclasses import replace

import pytest
import torch
from conftest_models import UNET, make_context, make_model
from torch import nn
from torch.nn import functional as F

from world_models.networks.unet import UNet, UNetConfig
from world_models.noise import NoiseStream
from world_models.protocols import SamplingOptions, WorldSpec
from world_models.training.presets.table import PRESETS

SNAKE = WorldSpec("snake", (64, 64, 3), ("up", "down", "left", "right"), (-1.0, 0.0, 1.0), 8, 1000)


def network(config=UNET, seed=0, **changes) -> UNet:
    torch.manual_seed(seed)
    config = replace(config, **changes)
    return (
        UNet(config, 3, 6, 2, (16 // config.patch,) * 2)
        .to(memory_format=torch.channels_last)
        .eval()
    )


def of_preset(name: str) -> UNet:
    model = PRESETS[name]().model
    grid = (64 // model.network.patch,) * 2
    with torch.device("meta"):
        return UNet(model.network, 3, 3 * model.context_length, len(SNAKE.action_names), grid)


def parameters(name: str) -> int:
    return sum(p.numel() for p in of_preset(name).parameters())


def test_the_reference_has_its_published_size_and_the_small_one_fits_a_bundle():
    assert abs(parameters("snake-unet-reference") / 53_283_843 - 1) < 0.01
    assert parameters("snake-unet") < 400_000


@pytest.mark.parametrize("name", ["snake-unet-reference", "snake-unet", "snake-unet-diamond"])
def test_attention_is_at_eight_by_eight(name):
    net, shapes = of_preset(name), []
    net.attention.register_forward_hook(lambda module, inputs, out: shapes.append(out.shape[2:]))
    with torch.device("meta"):
        features = net.encode(torch.randn(1, 12, 64, 64), torch.zeros(1, dtype=torch.int64))
        out = net(torch.randn(1, 3, 64, 64), torch.zeros(1), features)
    assert shapes == [(8, 8)] and out.shape == (1, 3, 64, 64)


def test_what_is_read_once_is_what_one_convolution_over_context_and_frame_reads():
    net = network()
    frames, x = torch.randn(2, 6, 16, 16), torch.randn(2, 3, 16, 16)
    whole = nn.Conv2d(9, UNET.base, 3, padding=1)
    whole.weight.data = torch.cat((net.conv_context.weight, net.conv_noisy.weight), 1).data
    whole.bias.data = net.conv_context.bias.data
    first, _ = net.encode(frames, torch.tensor([0, 1])).rest
    assert torch.allclose(first + net.conv_noisy(x), whole(torch.cat((frames, x), 1)), atol=1e-5)


def test_a_step_reads_the_context_once_however_many_times_it_denoises():
    model, calls = make_model("unet", guidance=1.0), []
    for part in (model.network.conv_context, model.network.action, model.network.conv_noisy):
        part.register_forward_hook(lambda module, inputs, out: calls.append(module))
    model.step(
        model.init(make_context(model, 1)),
        torch.tensor([0]),
        NoiseStream.from_seeds(torch.tensor([1])),
        SamplingOptions(steps=5),
    )
    counts = [calls.count(part) for part in (model.network.conv_context, model.network.action)]
    assert counts == [1, 1] and calls.count(model.network.conv_noisy) == 5


@pytest.mark.parametrize(
    "changes", [{"patch": 1}, {"patch": 2}, {"patch": 4}, {"stem": 2, "patch": 8}]
)
def test_a_mark_in_a_token_shows_in_the_frame(changes):
    net = network(**changes)
    x, t = torch.randn(1, 3, 16, 16), torch.zeros(1)
    features = net.encode(torch.randn(1, 6, 16, 16), torch.tensor([0]))
    plain, tokens = net(x, t, features), features.tokens.clone()
    tokens[:, :, 0, 0] += 3.0
    assert (net(x, t, features._replace(tokens=tokens)) - plain).abs().amax() > 1e-3


def test_the_noise_level_matters():
    net, x = network(), torch.randn(2, 3, 16, 16)
    features = net.encode(torch.randn(2, 6, 16, 16), torch.tensor([0, 1]))
    assert not torch.allclose(
        net(x, torch.tensor([0.1, 0.1]), features), net(x, torch.tensor([0.1, 0.9]), features)
    )


def test_folding_pixels_is_undone():
    net = network(stem=2, patch=8)
    x = torch.randn(1, 3, 16, 16)
    assert torch.equal(F.pixel_shuffle(net.folded(x), 2), x)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"patch": 3}, r"no level; with stem 1 they are \[1, 2, 4\]"),
        ({"groups": 3}, "groups"),
        ({"heads": 3}, "heads"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_when_the_config_is_built(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(UNET, **changes)


def test_frames_that_cannot_be_halved_are_refused():
    with pytest.raises(ValueError, match="12x12 pixels cannot be halved down to cells of 8"):
        UNet(UNetConfig(), 3, 3, 2, (3, 3))
