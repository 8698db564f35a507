"""One contract for every world model."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from conftest_models import (
    COMPOSED,
    CONFIGS,
    SPEC,
    STEPWISE,
    is_random,
    make_context,
    make_model,
)

from collectors.dataset.dataset import Dataset
from world_models import frames as pixels
from world_models.models.chance_variables import (
    Chance,
    ChanceSettings,
    Chosen,
    divergence,
    straight_through,
)
from world_models.models.latent import LatentModel
from world_models.models.next_frame import Step
from world_models.models.outcomes import drawn_outcome, likeliest_outcome
from world_models.networks.grid import GridConfig
from world_models.noise import NoiseStream
from world_models.protocols import (
    AugmentationOptions,
    Clips,
    SamplingOptions,
)
from world_models.testing import WorldModelContract
from world_models.training.clips import read_spec


def noise(lanes):
    return NoiseStream.from_seeds(torch.arange(lanes) + 10)


class TestContract(WorldModelContract):
    @pytest.fixture(autouse=True, params=list(CONFIGS))
    def family(self, request):
        self.name = request.param

    def make_model(self):
        return make_model(self.name)


def test_the_newest_frame_of_a_state_is_the_one_that_was_dreamed(model):
    out = model.step(model.init(make_context(model, 3)), torch.tensor([0, 1, 0]), noise(3))
    if hasattr(out.state, "frame"):
        newest = out.state.frame
    elif model.kind == "tokens":
        newest = model.decode_codes(out.state.codes[:, -1].long())
    elif model.kind == "scene":
        centers, there = out.state.center[:, -1], out.state.there[:, -1]
        newest = pixels.to_uint8(model.scene.draw(centers, there, out.state.codes))
    else:
        newest = out.state.frames[:, -1]
    assert torch.equal(newest, out.frame)


def test_the_action_and_the_noise_both_matter(model):
    state = model.init(make_context(model, 1))
    frame = model.step(state, torch.tensor([0]), noise(1)).frame
    assert not torch.equal(frame, model.step(state, torch.tensor([1]), noise(1)).frame)
    others = [
        model.step(state, torch.tensor([0]), NoiseStream.from_seeds(torch.tensor([s]))).frame
        for s in range(9)
    ]
    assert any(not torch.equal(frame, other) for other in others) == is_random(model.config)


@pytest.mark.parametrize("name", COMPOSED)
def test_one_sampler_step_makes_a_frame_and_more_make_another(name):
    model, action = make_model(name), torch.tensor([0, 1])
    state = model.init(make_context(model, 2))
    usual, two = model.default_options.steps, SamplingOptions(steps=2)
    one = model.step(state, action, noise(2), SamplingOptions(steps=1)).frame
    assert one.shape == (2, *SPEC.frame_shape) and model.default_options.steps == usual
    if not is_random(model.config):
        with pytest.raises(ValueError, match="one call"):
            model.step(state, action, noise(2), two)
        assert usual == 1
        return
    assert usual > 1 and not torch.equal(one, model.step(state, action, noise(2), two).frame)


@pytest.mark.parametrize("name", COMPOSED)
def test_guidance_of_zero_is_blind_to_the_action_and_of_one_costs_one_forward(name):
    context, calls = make_context(make_model(name), 1), []
    frames = {}
    for scale in (0.0, 1.0, 3.0):
        model = make_model(name, guidance=scale)
        model.network.register_forward_hook(lambda module, inputs, out: calls.append(len(out)))
        state = model.init(context)
        frames[scale] = [model.step(state, torch.tensor([a]), noise(1)).frame for a in (0, 1)]
        assert set(calls) == {1 if scale == 1 else 2}
        calls.clear()
    assert (
        torch.equal(*frames[0.0]) or model.chance is not None
    )  # chance is drawn with the action in sight
    assert not torch.equal(*frames[1.0]) and not torch.equal(frames[1.0][0], frames[3.0][0])


@pytest.mark.parametrize("name", CONFIGS)
def test_training_without_the_action_reaches_the_null_action_only(name):
    model = make_model(name).train()
    context = make_context(model, 4)
    frames = torch.cat((context.frames, context.frames[:, -1:].flip(2)), 1)
    row = torch.zeros(4, 1, dtype=torch.int64)
    clips = Clips(frames, row, row, row.bool(), ~row.bool(), torch.ones(4), context.actions)
    losses = model.clip_losses(
        clips, AugmentationOptions(action_dropout=1.0), 1, torch.Generator().manual_seed(0)
    )
    assert {"frame", "reward", "termination", "trust", "wrong"} <= set(losses)
    assert all(value.ndim == 0 and value.isfinite() for value in losses.values())
    sum(losses.values()).backward()
    table = (
        next(m for m in model.modules() if isinstance(m, torch.nn.Embedding))
        .weight.grad.abs()
        .sum(1)
    )
    assert table[-1] > 0 and (table[:-1] == 0).all()


@pytest.mark.parametrize("name", [n for n in STEPWISE if n != "diffusion-guided"])
def test_every_weight_gets_a_gradient_from_the_loss(name):
    model = make_model(name).train()
    frames = make_context(model, 6).frames
    actions, rewards, terminations = (
        torch.tensor([0, 1] * 3),
        torch.tensor([0, 1, 2] * 2),
        torch.tensor([True, False] * 3),
    )
    step = Step(pixels.stack(frames), actions, pixels.stack(frames[:, :1]), rewards, terminations)
    terms = model.step_loss(step, torch.Generator().manual_seed(0)).terms
    sum(value.mean() for value in terms.values()).backward()
    idle = {n for n, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    silent = {
        "chance.prior.1.bias",
        "chance.posterior.2.bias",
    }  # the same for all places: a softmax takes no notice
    silent |= {
        "network.null_vector",
        "network.null_patch",
    }  # no sample here goes without its start image
    silent |= {
        n for n, _ in model.named_parameters() if n.startswith("sprites.")
    }  # see networks/test_sprites.py
    if not is_random(model.config):
        silent |= {"network.embed.weight", "network.keep.weight", "network.keep.bias"}  # x is 0
    if isinstance(model, LatentModel):
        silent |= {
            n for n, _ in model.named_parameters() if n.startswith("autoencoder.")
        }  # frozen; see test_latent.py
    assert idle <= silent


@pytest.mark.parametrize("name", ["chance", "diffusion", "ddpm", "flow", "eqm", "regression"])
def test_a_frame_to_go_on_from_shows_grey_levels_and_leads_its_gradient_back(name):
    model = make_model(name).train()
    context = pixels.stack(make_context(model, 2).frames).requires_grad_()
    none = torch.zeros(2, dtype=torch.int64)
    target = pixels.stack(make_context(model, 2, seed=5).frames[:, :1])
    frame = model.step_loss(
        Step(context, none, target, none, none.bool()), torch.Generator().manual_seed(0)
    ).frame
    levels = (frame + 1) * 127.5
    assert torch.allclose(levels, levels.round(), atol=1e-3) and frame.abs().max() < 1.0001
    if name in ("chance", "regression"):  # the others paint it without gradient
        assert torch.autograd.grad(frame.sum(), context)[0].abs().sum() > 0


def test_patches_that_do_not_fit_a_frame_are_refused_with_those_that_would():
    spec = replace(SPEC, frame_shape=(64, 48, 3))
    assert spec.patch_grid(8) == (8, 6)
    with pytest.raises(
        ValueError, match="64x48 pixels do not divide into patches of 6; patches of 2, 4, 8 fit"
    ):
        spec.patch_grid(6)


def test_a_straight_through_draw_is_one_hot_with_the_gradient_of_the_soft_probabilities():
    logits = torch.randn(4, 1, 5, requires_grad=True)
    draw = straight_through(
        logits.log_softmax(2), (5 * logits).log_softmax(2), torch.Generator().manual_seed(0)
    )
    assert torch.allclose(draw.sum(2), torch.ones(4, 1)) and torch.allclose(
        draw.max(2).values, torch.ones(4, 1)
    )
    weights = torch.randn(5)
    (draw * weights).sum().backward()
    expected = torch.autograd.grad((logits.softmax(2) * weights).sum(), logits)[0]
    assert torch.allclose(logits.grad, expected, atol=1e-6)


def test_what_is_drawn_follows_the_sharp_probabilities():
    soft = torch.tensor([0.7, 0.2, 0.1]).log().expand(20_000, 1, 3)
    drawn = straight_through(
        soft, (3 * soft).log_softmax(2), torch.Generator().manual_seed(0)
    ).mean((0, 1))
    assert torch.allclose(drawn, torch.tensor([0.343, 0.008, 0.001]) / 0.352, atol=0.01)


def test_a_sure_draw_in_half_precision_is_never_a_stray_one():
    sure = torch.zeros(2_000, 1, 256).index_fill_(2, torch.tensor([7]), 50.0)
    sure = sure.log_softmax(2).bfloat16()
    drawn = straight_through(sure, sure, torch.Generator().manual_seed(0))
    assert (drawn.argmax(2) == 7).all()


def test_a_share_of_the_posteriors_draws_is_random_in_training_alone():
    grid = GridConfig(width=8)
    chance = Chance(ChanceSettings(posterior_scale=1e6), grid, 3)
    tokens, target = torch.randn(400, 8, 4, 4), torch.randn(400, 3, 16, 16)

    def drawn(share: float) -> torch.Tensor:
        chance.random_share.fill_(share)
        return chance.sample_posterior(tokens, target, torch.Generator().manual_seed(0))[0].places

    sure = drawn(0.0).argmax(2)
    assert 0.3 < (drawn(0.5).argmax(2) != sure).float().mean() < 0.6
    chance.eval()
    assert (drawn(0.5).argmax(2) == sure).all()


def test_places_are_pointed_at_what_the_frame_lacks_but_not_at_the_one_that_was_drawn():
    chance = Chance(ChanceSettings(variables=2), GridConfig(width=8), 3)
    tokens, target = torch.randn(2, 8, 4, 4), torch.randn(2, 3, 16, 16)
    error = torch.zeros(2, 1, 16, 16)
    error[:, :, 4:8, 8:12] = 0.5  # patch 6 of 16
    error[:, :, 0:4, 0:4] = 3.0  # patch 0, where the draw was
    drawn = F.one_hot(torch.tensor([[0, 0], [0, 3]]), 16).float()
    chosen = Chosen(drawn, torch.zeros(2, 0, 1))
    places = chance.sample_posterior(tokens, target, torch.Generator().manual_seed(0))[2]
    shares = chance.posterior_logits(tokens, target).places.log_softmax(2)
    assert torch.allclose(places, shares)
    loss = chance.point_loss(places, chosen, error)
    assert torch.allclose(loss, -0.5 * shares[:, :, 6].mean(1), atol=1e-5)
    assert (chance.point_loss(places, chosen, 0 * error) == 0).all()


def test_a_posterior_that_draws_with_certainty_can_still_change_its_mind():
    logits = torch.tensor([[[4.0, 0.0, 0.0]]], requires_grad=True)
    draw = straight_through(
        logits.log_softmax(2), (5 * logits).log_softmax(2), torch.Generator().manual_seed(0)
    )
    (draw * torch.tensor([1.0, 0.0, 0.0])).sum().backward()
    assert draw[0, 0, 0] > 0.999 and logits.grad.abs().max() > 0.01


def test_the_divergence_agrees_with_torch():
    p, q = torch.randn(3, 2, 7).log_softmax(2), torch.randn(3, 2, 7).log_softmax(2)
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="none").sum((1, 2))
    assert torch.allclose(divergence(p, q), expected, atol=1e-6)


def test_a_final_reward_never_comes_without_the_end_and_the_likeliest_pair_is_chosen():
    final = torch.tensor([False, False, True])
    rewards = torch.tensor([[0.0, 3.0, 0.0], [0.0, 0.0, 5.0], [0.0, 0.0, 0.3], [0.0, 4.0, 0.0]])
    reward, terminations = likeliest_outcome(rewards, torch.tensor([-2.0, -2.0, -6.0, 2.0]), final)
    assert reward.tolist() == [
        1,
        2,
        0,
        1,
    ]  # a sure coin brings the end with it, an unsure one gives way to going on
    assert terminations.tolist() == [False, True, False, True]


def test_a_drawn_end_is_as_frequent_as_it_is_probable_and_brings_the_reward_that_ends_a_game():
    final, uniform = torch.tensor([False, True]), torch.linspace(0, 0.999, 1_000)
    rewards = torch.tensor([0.75, 0.25]).log().expand(1_000, 2)
    reward, over = drawn_outcome(rewards, torch.full((1_000,), 0.3).logit(), final, uniform)
    assert over.sum() == 300 and torch.equal(over, reward == 1)
    rare = torch.tensor([0.95, 0.05]).log().expand(1_000, 2)  # most ends come without it
    reward, over = drawn_outcome(rare, torch.full((1_000,), 0.3).logit(), final, uniform)
    assert over.sum() == 300 and not reward.any()
    none = torch.tensor([False, False])
    reward, over = drawn_outcome(rewards, torch.full((1_000,), 0.3).logit(), none, uniform)
    assert over.sum() == 300 and not reward.any()


def test_without_final_rewards_reward_and_end_are_decided_apart():
    rewards, terminations = torch.randn(50, 3), torch.randn(50)
    reward, over = likeliest_outcome(rewards, terminations, torch.zeros(3, dtype=torch.bool))
    assert torch.equal(reward, rewards.argmax(1)) and torch.equal(over, terminations > 0)


def test_the_rewards_that_always_end_a_game_are_read_off_a_dataset(dataset_path):
    spec = read_spec(Dataset(dataset_path))
    assert spec.reward_values == (-1.0, 0.0, 1.0) and spec.final_rewards == (-1.0,)
