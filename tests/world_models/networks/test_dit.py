"""The diffusion transformer: what reaches it by which way, what is computed once, what pre-training
hands on.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest_models import CONFIGS, FILM, PATCHES, make_context, make_model
from torch.nn import functional as F

from collectors.dataset.dataset import Dataset
from world_models import frames as pixels
from world_models.bundles.bundle import load_bundle, save_bundle
from world_models.bundles.contexts import Contexts
from world_models.diffusion.objectives import DDPM, FlowMatching
from world_models.models.diffusion import DiffusionConfig
from world_models.models.table import build_model
from world_models.networks import build_network
from world_models.networks.copying import shifted
from world_models.networks.dit import TransformerConfig
from world_models.protocols import WorldSpec
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS
from world_models.training.trainer import Trainer

ACTIONS, SIZE = 2, 16
STARTS = {name: replace(FILM, start=name) for name in ("film", "patches", "both")}


def network(config, seed=0, context=1, loud=True):
    """A network for frames of 16 x 16 with random weights; `loud`: the zero-initialised ones
    too.
    """
    torch.manual_seed(seed)
    made = build_network(config, 3, 3 * context, ACTIONS, (SIZE // config.patch,) * 2)
    for parameter in made.parameters() if loud else ():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made.to(memory_format=torch.channels_last).eval()


def frames_of(lanes, seed=0):
    return torch.rand(lanes, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def answer(made, start, action, x, t=0.5):
    lanes = len(x)
    return made(x, torch.full((lanes,), t), made.encode(start, torch.full((lanes,), action)))


@pytest.mark.parametrize("name", STARTS)
def test_time_action_and_start_image_each_have_an_effect(name):
    made, start, x = network(STARTS[name]), frames_of(2), frames_of(2, seed=1)
    usual = answer(made, start, 0, x)
    others = [
        answer(made, start, 0, x, t=0.1),
        answer(made, start, 1, x),
        answer(made, frames_of(2, seed=2), 0, x),
    ]
    assert all((usual - other).abs().amax((1, 2, 3)).min() > 1e-3 for other in others)


@pytest.mark.parametrize("name", STARTS)
def test_time_action_and_start_vector_reach_every_block_by_film(name):
    """Each of the two FiLMs of a block that are silenced changes the output, and silenced all,
    time is gone.
    """
    made, start, x = network(replace(STARTS[name], depth=2)), frames_of(1), frames_of(1, seed=1)
    usual, films = (
        answer(made, start, 0, x),
        [m for m in made.modules() if type(m).__name__ == "TokenFilm"],
    )
    assert len(films) == 4
    for film in films:
        film.linear.weight.data.zero_()
        film.linear.bias.data.zero_()
        after = answer(made, start, 0, x)
        assert not torch.equal(usual, after)
        usual = after
    assert torch.equal(answer(made, start, 0, x, t=0.1), usual)


def test_patches_of_the_start_image_are_seen_in_their_place_and_its_vector_everywhere():
    x, start, other = frames_of(1), frames_of(1, seed=1), frames_of(1, seed=1)
    other[..., 8:12, 4:8] = 0
    action = torch.tensor([0])
    tokens = {}
    for name in ("patches", "film"):
        made = network(STARTS[name])
        difference = made.encode(start, action).tokens - made.encode(other, action).tokens
        tokens[name] = difference.abs().amax(1)[0] > 1e-6  # (G, G)
        assert not torch.equal(answer(made, start, 0, x), answer(made, other, 0, x))
    assert tokens["patches"].nonzero().tolist() == [[2, 1]] and tokens["film"].all()


@pytest.mark.parametrize("name", [name for name in CONFIGS if name.startswith("transformer")])
def test_a_lane_by_itself_is_encoded_and_denoised_as_among_others(name):
    model = make_model(name)
    frames = pixels.stack(make_context(model, 3).frames)
    action, x, t = torch.tensor([0, 2, 1]), frames_of(3, seed=1), torch.tensor([0.1, 0.5, 0.9])
    together = model.network(x, t, model.network.encode(frames, action))
    alone = model.network(x[1:2], t[1:2], model.network.encode(frames[1:2], action[1:2]))
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize("name", STARTS)
def test_what_no_level_changes_is_computed_once(name, monkeypatch):
    """Denoising at several levels on features of one encoding is denoising on fresh ones, and costs
    no vision.
    """
    made, start, action = network(STARTS[name]), frames_of(2), torch.tensor([0, 1])
    fresh = [
        made(frames_of(2, seed=i), torch.full((2,), t), made.encode(start, action))
        for i, t in ((1, 0.9), (2, 0.2))
    ]
    features = made.encode(start, action)
    for module in filter(None, (made.vision, made.patches, made.action, made.context)):
        monkeypatch.setattr(module, "forward", None)  # a call would fail
    again = [
        made(frames_of(2, seed=i), torch.full((2,), t), features) for i, t in ((1, 0.9), (2, 0.2))
    ]
    assert all(torch.equal(a, b) for a, b in zip(fresh, again, strict=True))


def trained(made, updates):
    """The mean squared error left when the network has learned to answer with the start image."""
    optimizer, generator = (
        torch.optim.AdamW(made.parameters(), 8e-3),
        torch.Generator().manual_seed(0),
    )
    blank, t, losses = torch.zeros(8, 3, SIZE, SIZE), torch.zeros(8), []
    for _ in range(updates):
        start = torch.rand(8, 3, SIZE, SIZE, generator=generator) * 2 - 1
        features = made.encode(start, torch.zeros(8, dtype=torch.int64))
        loss = F.mse_loss(made(blank, t, features), start)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return sum(losses[-5:]) / 5


def test_one_block_copies_a_start_image_that_it_gets_as_patches_and_cannot_from_a_vector():
    wide = replace(FILM, width=64, depth=1)
    left = {
        name: trained(network(replace(wide, start=name), loud=False), 50)
        for name in ("film", "patches")
    }
    assert left["film"] > 0.3 > 0.12 > left["patches"]  # 1 / 3 is the variance of the pixels


def test_a_copy_of_the_last_frame_moved_by_a_patch_is_exact():
    made = network(replace(PATCHES, copy=(0, 4)), loud=False)
    made.copy.source.bias.data[1 + made.copy.moves.index((0, -4))] = 30.0
    start = frames_of(2)
    assert torch.allclose(
        answer(made, start, 0, frames_of(2, seed=1)), shifted(start, 0, -4), atol=1e-5
    )


@pytest.mark.parametrize("name", STARTS)
def test_an_unconditional_network_sees_neither_action_nor_start_image(name):
    made, x = network(replace(STARTS[name], unconditional=True)), frames_of(2)
    assert torch.equal(
        answer(made, frames_of(2, seed=1), 0, x), answer(made, frames_of(2, seed=2), 1, x)
    )
    assert not torch.equal(answer(made, x, 0, x), answer(made, x, 0, frames_of(2, seed=3)))


@pytest.mark.parametrize("name", STARTS)
def test_the_start_image_goes_with_the_action_sample_by_sample_where_drop_says_both(name):
    x, starts = frames_of(2), (frames_of(2, seed=1), frames_of(2, seed=2))
    action = torch.tensor([0, ACTIONS])  # the second lane's is left out
    for drop, blind in (("action", False), ("both", True)):
        made = network(replace(STARTS[name], drop=drop, copy=(0,)))
        features = [made.encode(start, action) for start in starts]
        one, other = (made(x, torch.full((2,), 0.5), f) for f in features)
        assert torch.equal(one[1], other[1]) == blind and not torch.equal(one[0], other[0])


def conditional_and_before(start, drop="action"):
    config = TransformerConfig(
        width=16, depth=1, heads=2, start=start, vision=(8,), drop=drop, copy=(0, 4)
    )
    model = DiffusionConfig(network=config, objective=FlowMatching(prediction="frame"))
    return model, replace(model, network=replace(config, copy=(), unconditional=True))


@pytest.mark.parametrize(
    ("start", "drop"), [("film", "action"), ("patches", "both"), ("both", "both")]
)
def test_a_conditional_model_begins_with_all_of_the_unconditional_one_but_what_is_new(
    dataset_path, tmp_path, start, drop
):
    after, before = conditional_and_before(start, drop)
    quick = TrainConfig(
        model=before, data=dataset_path, out=tmp_path, batch_size=4, rollout_steps=1, contexts=4
    )
    trainer = Trainer(quick, Dataset(dataset_path))
    trainer.step()
    trainer.save({})
    theirs = load_bundle(tmp_path / "bundle").model.state_dict()
    heir = Trainer(replace(quick, model=after), Dataset(dataset_path))
    heir.load_weights(tmp_path / "bundle")
    mine = heir.model.state_dict()
    new = {name for name in mine if name not in theirs}
    assert new == {name for name in mine if name.startswith("network.copy.")}
    assert all(torch.equal(mine[name], theirs[name]) for name in mine if name not in new)
    dropped = {"network.null_vector", "network.null_patch"} if drop == "action" else set()
    assert set(theirs) - set(mine) <= dropped


def test_pre_training_teaches_the_null_action_and_the_null_start_only():
    """The other rows of the action table and the ways of the start image stay as they were
    drawn.
    """
    model = make_model("transformer-film", network=replace(FILM, start="both", unconditional=True))
    features = model.encode(pixels.stack(make_context(model, 4).frames), torch.tensor([0, 1, 0, 1]))
    error, _ = model.objective.learn(
        model.network, frames_of(4), features, torch.Generator().manual_seed(0)
    )
    error.mean().backward()
    net = model.network
    rows = net.action.weight.grad.abs().sum(1)
    assert rows[-1] > 0 and (rows[:-1] == 0).all()
    assert net.null_vector.grad.abs().sum() > 0 and net.null_patch.grad.abs().sum() > 0
    for module in (net.vision, net.patches):
        assert all(p.grad is None or not p.grad.any() for p in module.parameters())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": "concatenate"}, "film,patches,both"),
        ({"drop": "start"}, "'drop'.*action,both"),
        ({"width": 30, "heads": 4}, "divides by its heads"),
        ({"depth": 0}, "needs a block"),
        ({"start": "film", "vision": ()}, "start=patches"),
        ({"start": "both", "vision": (12,)}, "divide by 8"),
        ({"unconditional": True, "copy": (0,)}, r"copy=\(\)"),
    ],
)
def test_a_transformer_that_cannot_be_is_refused_with_what_would_be_right(settings, message):
    with pytest.raises(ValueError, match=message):
        TransformerConfig(**settings)


@pytest.mark.parametrize("objective", [FlowMatching(), DDPM(), DDPM(prediction="noise")])
def test_a_network_that_copies_answers_with_frames_or_is_refused(objective):
    copies = replace(PATCHES, copy=(0,))
    with pytest.raises(ValueError, match='prediction to "frame"'):
        DiffusionConfig(network=copies, objective=objective)
    assert DiffusionConfig(
        network=copies, objective=replace(objective, prediction="frame")
    ).network.copies


def test_reference_sizes_have_the_parameters_of_the_reference():
    """Time from 64 sinusoids (+16 128) and a table of actions (-65 280) stand for two perceptrons
    of one number.
    """
    spec = WorldSpec("worldmap", (64, 64, 3), tuple("udlr"), (0.0, 1.0), 10, 100)
    conditional = build_model(spec, PRESETS["worldmap-transformer"]().model).network
    count = sum(p.numel() for p in conditional.parameters())
    assert count == 5_720_625 and abs(count / 5_768_752 - 1) < 0.01
    deeper = build_model(spec, PRESETS["worldmap-transformer-unconditional"]().model).network
    idle = (
        "vision",
        "action",
        "context",
        "condition",
        "null_vector",
    )  # the reference's has no conditional ways at all
    count = sum(
        p.numel() for name, p in deeper.named_parameters() if name.split(".")[0] not in idle
    )
    assert count == 6_488_113 and abs(count / 6_471_216 - 1) < 0.01


def test_presets_of_flow_and_ddpm_differ_in_objective_and_a_tenth_of_the_steps():
    flow, ddpm = (PRESETS[name]().model for name in ("worldmap-flow", "worldmap-ddpm"))
    assert flow.network == ddpm.network and 10 * flow.sampler.steps == ddpm.sampler.steps
    assert (
        PRESETS["worldmap-flow"]().action_dropout > 0
    )  # or guidance would have no null to lean on


def test_a_bundle_of_a_transformer_comes_back_as_it_was(tmp_path: Path):
    model = make_model("transformer-drops-both")
    context = make_context(model, 2)
    save_bundle(tmp_path, model, Contexts(context.frames.numpy(), context.actions.numpy()), {}, {})
    assert load_bundle(tmp_path).model.config == model.config
