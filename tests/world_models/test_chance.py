"""Chance variables with a place and without, one and several, feeding any decoder."""

from dataclasses import replace

import pytest
import torch
from conftest_models import CONFIGS, SPEC, make_context, make_model

from world_models import frames as pixels
from world_models.models.chance import ChanceConfig
from world_models.models.chance_variables import ChanceSettings, Chosen
from world_models.models.next_frame import Step
from world_models.models.table import build_model
from world_models.networks.grid import GridConfig
from world_models.noise import NoiseStream
from world_models.protocols import Context

WITH_CODES = [name for name, config in CONFIGS.items() if "codes" in name]


def features_of(model, lanes=2):
    context = pixels.stack(make_context(model, lanes).frames)
    return model.encode(context, torch.zeros(lanes, dtype=torch.int64))


def step_to(target):
    none = torch.zeros(len(target), dtype=torch.int64)
    return Step(target, none, target, none, none.bool())


@pytest.mark.parametrize("name", WITH_CODES)
def test_every_category_of_a_code_changes_every_token_alike(name):
    model = make_model(name)
    tokens = features_of(model, 1).tokens
    drawn = model.chance.draw(tokens, NoiseStream.from_seeds(torch.arange(1)))
    effects = []
    for category in range(model.config.chance.categories):
        codes = torch.zeros_like(drawn.codes)
        codes[:, :, category] = 1
        moved = model.chance.condition_on(drawn._replace(codes=codes), tokens) - tokens
        base = (
            model.chance.condition_on(drawn._replace(codes=torch.zeros_like(codes)), tokens)
            - tokens
        )
        effects.append((moved - base)[0])
        assert torch.allclose(effects[-1], effects[-1][:, :1, :1].expand_as(effects[-1]), atol=1e-5)
    assert all((effects[i] - effects[j]).abs().max() > 1e-3 for i in range(3) for j in range(i))


@pytest.mark.parametrize("name", WITH_CODES)
def test_the_frames_loss_leads_a_gradient_to_the_posterior_of_the_codes(name):
    model = make_model(name).train()
    features, target = (
        features_of(model),
        pixels.stack(make_context(model, 2, seed=4).frames[:, -1:]),
    )
    terms, _ = model.losses(step_to(target), features, torch.Generator().manual_seed(0))
    terms["frame"].sum().backward()
    assert model.chance.code_posterior[2].out.weight.grad.abs().sum() > 0
    assert (
        model.chance.code_embed.weight.grad.abs().sum() > 0
        and model.chance.code_prior[1].out.weight.grad is None
    )


def test_variables_draw_apart_from_each_other_and_lane_by_lane():
    model = make_model("chance-places-and-codes")
    tokens, noise = features_of(model, 64).tokens, NoiseStream.from_seeds(torch.arange(64))
    drawn = model.chance.draw(tokens * 0, noise)
    assert drawn.places.shape == (64, 2, 16) and drawn.codes.shape == (64, 1, 3)
    assert all(torch.equal(part.sum(2), torch.ones(part.shape[:2])) for part in drawn)
    assert not torch.equal(drawn.places[:, 0], drawn.places[:, 1])
    alone = model.chance.draw(tokens[5:6] * 0, NoiseStream.from_seeds(torch.tensor([5])))
    assert torch.equal(alone.places[0], drawn.places[5]) and torch.equal(
        alone.codes[0], drawn.codes[5]
    )


def test_under_guidance_both_halves_see_the_same_choice():
    model = make_model("edm-codes")
    tokens = features_of(model).tokens
    drawn = model.chance.draw(tokens, NoiseStream.from_seeds(torch.arange(2)))
    both = model.chance.condition_on(drawn, torch.cat((tokens, 2 * tokens)))
    once = model.chance.condition_on(drawn, tokens)
    assert torch.allclose(both[:2], once, atol=1e-6) and torch.allclose(
        both[2:], once + tokens, atol=1e-5
    )


def test_a_coin_that_colours_the_whole_frame_is_learned_by_a_code():
    """Half of the frames turn white and half black, whatever the action: dreams are one or the
    other, not grey.
    """
    torch.manual_seed(0)
    settings = ChanceSettings(variables=0, codes=1, categories=2)
    model = build_model(
        SPEC, ChanceConfig(grid=GridConfig(16, 4, 1, 1), chance=settings, change_weight=0.0)
    )
    optimizer, generator = (
        torch.optim.AdamW(model.parameters(), 3e-3),
        torch.Generator().manual_seed(0),
    )
    context, action = torch.zeros(32, 3, 16, 16), torch.zeros(32, dtype=torch.int64)
    for _ in range(80):
        target = (
            (torch.rand(32, 1, 1, 1, generator=generator) < 0.5)
            .float()
            .mul(1.6)
            .sub(0.8)
            .expand(32, 3, 16, 16)
        )
        terms, _ = model.losses(step_to(target), model.encode(context, action), generator)
        optimizer.zero_grad()
        sum(value.mean() for value in terms.values()).backward()
        optimizer.step()
    frames = torch.full((64, 1, 16, 16, 3), 128, dtype=torch.uint8)
    state = model.eval().init(Context(frames, torch.zeros(64, 0, dtype=torch.int64)))
    dreamed = model.step(
        state, torch.zeros(64, dtype=torch.int64), NoiseStream.from_seeds(torch.arange(64))
    ).frame
    levels = dreamed.float().mean((1, 2, 3))
    assert ((levels < 60) | (levels > 195)).all() and 0.2 < (levels > 128).float().mean() < 0.8


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="at least one variable or code"):
        build_model(SPEC, replace(CONFIGS["chance"], chance=ChanceSettings(variables=0)))
    with pytest.raises(ValueError, match="two categories"):
        ChanceSettings(codes=1, categories=1)
    with pytest.raises(ValueError, match="0 to 63"):
        ChanceSettings(variables=60, codes=4)


def test_without_codes_nothing_but_places_is_painted():
    model = make_model("chance")
    assert not any(name.startswith("chance.code") for name in model.state_dict())
    tokens = features_of(model).tokens
    drawn = model.chance.draw(tokens, NoiseStream.from_seeds(torch.arange(2)))
    assert isinstance(drawn, Chosen) and drawn.codes.numel() == 0
    changed = (model.chance.condition_on(drawn, tokens) != tokens).any(1).flatten(1)
    assert torch.equal(changed, drawn.places[:, 0] > 0)
