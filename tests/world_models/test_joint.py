"""The joint model: pairs come to rest where they must, latents do not collapse, energies have their
gradients.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest_models import CONFIGS, PAIRS, make_context, make_model

from collectors.dataset.dataset import Dataset
from collectors.worlds.snake.expert_transitions import best_moves
from collectors.worlds.snake.rules import SnakeRules
from collectors.worlds.snake.tiles import decode_frames
from world_models import frames as pixels
from world_models.diffusion.objectives import EquilibriumMatching
from world_models.diffusion.samplers import Descent, Euler
from world_models.models.joint import JointConfig
from world_models.models.next_frame import Window
from world_models.models.table import build_model
from world_models.networks.eqm_field import EqMFieldConfig, positions
from world_models.noise import NoiseStream
from world_models.protocols import AugmentationOptions
from world_models.training.clips import ClipReader, read_spec
from world_models.training.expert_clips import ExpertClips

JOINT = [name for name, config in CONFIGS.items() if isinstance(config, JointConfig)]


def noise(lanes):
    return NoiseStream.from_seeds(torch.arange(lanes) + 10)


def well(objective, point):
    """The closed form for one point of data and the noise that descent starts from: (noise - x0)
    c(gamma).
    """
    start = []

    def field(pair, t, features):
        away = pair - point
        start.append(away)
        distance = away.norm(dim=1, keepdim=True).clamp_min(1e-9)
        whole = start[0].norm(dim=1, keepdim=True)
        return away / distance * whole * objective.magnitude((1 - distance / whole).clamp(0, 1))

    return field


@pytest.mark.parametrize("schedule", ["linear", "truncated", "piecewise"])
@pytest.mark.parametrize("method", ["gd", "nag"])
def test_descent_on_the_closed_form_reaches_the_data_point(schedule, method):
    objective = EquilibriumMatching(schedule, a=0.5, b=2.0, multiplier=2.0)
    sampler = Descent(60, method, rate=0.8 * objective.stride, momentum=0.2, threshold=1e-4)
    model = make_model(
        "joint",
        objective=objective,
        sampler=sampler,
        chance=replace(CONFIGS["joint"].chance, variables=0),
    )
    model.sampler = sampler
    point = torch.randn(1, *model.pair_shape, generator=torch.Generator().manual_seed(0))
    model.field.forward = well(objective, point)
    out = model.sample(make_context(model, 2).frames, noise(2), return_trajectory=True)
    assert (out.trajectory[0] - point).abs().mean() > 0.5
    latent, action = model.field.split(point, model.grid_shape)
    assert (out.action_logits - action).abs().max() < 1e-2 and (
        out.latent - latent
    ).abs().max() < 1e-2
    assert (out.action == action.argmax()).all()


def test_a_lane_that_has_come_to_rest_stays_where_it_is_while_others_move():
    model = make_model("joint", sampler=Descent(12, "nag", rate=0.5, momentum=0.3, threshold=0.05))
    point = torch.zeros(1, *model.pair_shape)

    def wells(pair, t, features):  # the second lane's is ten times as flat
        return (pair - point) * torch.tensor([[1.0], [0.1]])

    model.field.forward = wells
    out = model.sample(make_context(model, 2).frames, noise(2), return_trajectory=True)
    norms, pairs = torch.stack(out.gradient_norms), torch.stack(out.trajectory)
    rest = int((norms[:, 0] < 0.05).nonzero()[0, 0])
    assert 2 < rest < 10
    assert torch.equal(
        pairs[rest + 1 :, 0], pairs[rest + 1 : rest + 2, 0].expand_as(pairs[rest + 1 :, 0])
    )
    assert all(not torch.equal(a, b) for a, b in zip(pairs[:-1, 1], pairs[1:, 1], strict=True))


@pytest.mark.parametrize("name", JOINT)
def test_a_held_action_makes_it_the_world_model_and_a_free_one_a_policy(name):
    model = make_model(name)
    frames, action = make_context(model, 3).frames, torch.tensor([0, 1, 1])
    with torch.inference_mode():
        conditioned, free = model.sample(frames, noise(3), action), model.sample(frames, noise(3))
        step = model.step(model.init(make_context(model, 3)), action, noise(3))
    assert torch.equal(conditioned.next_frame, step.frame) and torch.equal(
        conditioned.action, action
    )
    assert torch.equal(free.action, free.action_logits.argmax(1)) and free.action_logits.shape == (
        3,
        2,
    )
    for out in (conditioned, free):
        assert (
            out.next_frame.dtype == torch.uint8
            and out.energy.shape == out.gradient_norm.shape == (3,)
        )
        with torch.inference_mode():
            assert torch.equal(
                out.next_frame, pixels.to_uint8(model.frame_codec.decode(out.latent))
            )
        assert out.trajectory == () and (out.gradient_norm > 0).all()
        asked, other = (
            model.uncertainty(Window(frames), a, step.frame) for a in (action, 1 - action)
        )
    assert asked.shape == (3,) and not torch.allclose(asked, other)


@pytest.mark.parametrize("energy", ["dot", "l2"])
def test_the_field_is_the_gradient_of_the_explicit_energy_and_its_graph_reaches_the_weights(energy):
    model = make_model("joint", network=replace(PAIRS, energy=energy)).double()
    features = model._free(
        model.encode(pixels.stack(make_context(model, 1).frames).double(), torch.tensor([0]))
    )
    pair = torch.randn(
        1, *model.pair_shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    with torch.inference_mode():
        quiet = model.field(pair, torch.zeros(1), features)
    field = model.field(pair, torch.zeros(1), features)
    assert torch.allclose(quiet, field.detach())
    for place in (0, 7, -1):
        ahead, behind = pair.clone(), pair.clone()
        ahead[0, place] += 1e-5
        behind[0, place] -= 1e-5
        slope = (
            model.field.energies(ahead, features) - model.field.energies(behind, features)
        ) / 2e-5
        assert torch.allclose(slope, field[:, place], rtol=1e-4, atol=1e-6)
    field.square().sum().backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all() for p in model.field.layers.parameters()
    )


def trained(dataset_path, **changes):
    """A tiny model after a few updates on Snake, the losses of every step, and how its latents
    spread over cells.
    """
    dataset = Dataset(dataset_path)
    torch.manual_seed(0)
    model = build_model(read_spec(dataset), replace(CONFIGS["joint"], **changes))
    optimizer = torch.optim.Adam(model.parameters(), 5e-3)
    reader, order = ClipReader(dataset, dataset.split()["train"], 1, 1), np.random.default_rng(0)
    rng, losses = torch.Generator().manual_seed(0), []
    for _ in range(30):
        terms = model.train().clip_losses(reader.draw(6, order), AugmentationOptions(), 1, rng)
        optimizer.zero_grad()
        (sum(terms.values()) - terms["wrong"]).backward()
        optimizer.step()
        losses.append({name: value.item() for name, value in terms.items()})
    frames = pixels.stack(reader.draw(16, order).frames[:, -1:])
    with torch.no_grad():
        latents = model.frame_codec.encode(frames).permute(0, 2, 3, 1).flatten(0, 2)
    kinds = torch.unique((latents * 1e4).round(), dim=0) / 1e4  # of cells, each once
    return losses, kinds.std(0).mean().item()


def test_latents_keep_apart_and_collapse_without_what_prevents_it(dataset_path):
    losses, spread = trained(dataset_path)
    assert spread > 0.5 and losses[-1]["reconstruction"] < 0.5 * losses[0]["reconstruction"]
    _, collapsed = trained(dataset_path, reconstruction=0.0, variance=0.0, stop_gradient=False)
    assert collapsed < 0.25 * spread


def test_a_held_action_is_not_moved_and_not_seen_in_the_pair():
    model = make_model("joint")
    features = model.encode(pixels.stack(make_context(model, 2).frames), torch.tensor([0, 1]))
    pair = torch.randn(2, *model.pair_shape, generator=torch.Generator().manual_seed(1))
    other = pair.clone()
    other[:, -2:] += 3
    conditioned, free = model._encode_conditions(features, None), model._free(features)
    assert (model.field(pair, torch.zeros(2), conditioned)[:, -2:] == 0).all()
    assert torch.equal(
        model.field(pair, torch.zeros(2), conditioned),
        model.field(other, torch.zeros(2), conditioned),
    )
    assert not torch.equal(
        model.field(pair, torch.zeros(2), free), model.field(other, torch.zeros(2), free)
    )


def test_positions_tell_every_cell_from_every_other():
    flat = positions(16, 5, 7).flatten(1).T
    assert flat.shape == (35, 16) and torch.cdist(flat, flat).add(torch.eye(35)).min() > 1e-2


def test_the_experts_lessons_are_marked_and_follow_the_rules(dataset_path):
    dataset = Dataset(dataset_path)
    reader, spec = (
        ClipReader(dataset, dataset.split()["train"], 1, 1, 5.0, 30.0),
        read_spec(dataset),
    )
    clips = ExpertClips(spec, sampled=0.4)(
        reader.draw(48, np.random.default_rng(0)), np.random.default_rng(1)
    )
    again = ExpertClips(spec, sampled=0.4)(
        reader.draw(48, np.random.default_rng(0)), np.random.default_rng(1)
    )
    assert all(torch.equal(a, b) for a, b in zip(clips, again, strict=True))
    boards = decode_frames(clips.frames[:, 0].numpy())
    best = np.stack([best_moves(board) for board in boards])
    assert (clips.expert.numpy() == best[np.arange(48), clips.actions[:, 0]]).all()
    assert 0.4 < clips.expert.float().mean() < 1 and clips.terminations.any()
    rules = SnakeRules(decode_frames)
    outcome = rules.outcome(boards, clips.actions[:, 0].numpy())
    assert rules.agrees(outcome, decode_frames(clips.frames[:, 1].numpy())).all()
    assert (outcome.reward == np.array(spec.reward_values)[clips.reward_classes[:, 0]]).all()
    assert (outcome.termination == clips.terminations[:, 0].numpy()).all()


def test_lessons_are_refused_for_other_worlds_and_longer_clips(dataset_path):
    dataset = Dataset(dataset_path)
    spec = read_spec(dataset)
    with pytest.raises(ValueError, match="Snake"):
        ExpertClips(replace(spec, world="pong"), 0.5)
    clips = ClipReader(dataset, dataset.split()["train"], 2, 1).draw(2, np.random.default_rng(0))
    with pytest.raises(ValueError, match="context_length"):
        ExpertClips(spec, 0.5)(clips, np.random.default_rng(0))


def test_what_does_not_fit_is_refused_when_the_config_is_built():
    with pytest.raises(ValueError, match="descent"):
        JointConfig(sampler=Euler(3))
    for wrong, word in (
        ({"energy": "cube"}, "energy"),
        ({"cnn": "both"}, "cnn"),
        ({"width": 50}, "heads"),
    ):
        with pytest.raises(ValueError, match=word):
            EqMFieldConfig(**wrong)
