"""The deterministic pixel model: past and future actions, coordinates, stacks, and several pictures
in one pass.
"""

from dataclasses import replace

import pytest
import torch
from conftest_models import SPEC
from torch import nn

from world_models import frames as pixels
from world_models.diffusion.objectives import Regression
from world_models.models.next_frame import Step
from world_models.models.pixel import PixelConfig, PixelModel
from world_models.networks import pixel_network
from world_models.networks.pixel_network import FilmConfig, FilmNetwork
from world_models.noise import NoiseStream
from world_models.protocols import AugmentationOptions, Clips, Context, WorldSpec
from world_models.training.presets.table import PRESETS

TINY = FilmConfig(16, 4, 1, 1, 4, 16, ahead=2)
LINE = WorldSpec("line", (8, 8, 1), ("left", "stay", "right"), (0.0,), 10, 50)
NULL = 3  # its null action


def model_of(spec=LINE, seed=0, **changes) -> PixelModel:
    """Random weights, the zero-initialised ones too."""
    torch.manual_seed(seed)
    model = PixelModel(spec, PixelConfig(**{"network": TINY, "context_length": 3, **changes}))
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model.to(memory_format=torch.channels_last).eval()


def clips_of(spec, count=4, context=3, steps=3, seed=0) -> Clips:
    generator = torch.Generator().manual_seed(seed)
    frames = torch.randint(
        0, 256, (count, context + steps, *spec.frame_shape), generator=generator, dtype=torch.uint8
    )
    actions = torch.randint(0, 3, (count, context - 1 + steps), generator=generator)
    none = torch.zeros(count, steps, dtype=torch.int64)
    past, actions = actions[:, : context - 1], actions[:, context - 1 :]
    return Clips(frames, actions, none, none.bool(), ~none.bool(), torch.ones(count), past)


def noise(lanes):
    return NoiseStream.from_seeds(torch.arange(lanes))


@pytest.mark.parametrize("place", [0, 1])
def test_every_past_action_changes_the_frame(place):
    model, frames = model_of(), torch.full((1, 3, 8, 8, 1), 90, dtype=torch.uint8)
    past = torch.ones(1, 2, dtype=torch.int64)
    other = past.clone()
    other[0, place] = 2
    now = torch.tensor([1])
    frame, changed = (
        model.step(model.init(Context(frames, p)), now, noise(1)).frame for p in (past, other)
    )
    assert not torch.equal(frame, changed)


def test_a_dream_remembers_the_actions_that_it_took():
    model = model_of()
    state = model.init(
        Context(torch.zeros(1, 3, 8, 8, 1, dtype=torch.uint8), torch.zeros(1, 2, dtype=torch.int64))
    )
    for action in (2, 1):
        state = model.step(state, torch.tensor([action]), noise(1)).state
    assert state.actions.tolist() == [[2, 1]]


def test_coordinates_tell_a_flat_picture_where_it_is(monkeypatch):
    net, flat = model_of().network, torch.zeros(1, 3, 16, 16)

    def spread() -> torch.Tensor:  # of the tokens away from the edge, which padding tells
        tokens = net.encode(flat, torch.ones(1, 4, dtype=torch.int64)).tokens
        return (tokens[..., 1:3, 1:3] - tokens[..., 1:2, 1:2]).abs().amax()

    net.encoder = nn.ModuleList()
    assert spread() > 1e-2
    monkeypatch.setattr(
        pixel_network, "coordinates", lambda frames: torch.zeros(len(frames), 2, *frames.shape[2:])
    )
    assert spread() < 1e-5


def test_coordinates_go_from_minus_one_to_one_x_first():
    x, y = pixel_network.coordinates(torch.zeros(2, 1, 5, 3))[1]
    assert x[0].tolist() == [-1, 0, 1] and y[:, 2].tolist() == [-1, -0.5, 0, 0.5, 1]


def test_a_step_is_the_first_picture_of_a_pass_whose_later_actions_are_not_known():
    model = model_of()
    context = Context(
        torch.full((2, 3, 8, 8, 1), 60, dtype=torch.uint8), torch.tensor([[0, 1], [2, 1]])
    )
    state, action = model.init(context), torch.tensor([0, 2])
    step = model.step(state, action, noise(2)).frame
    unknown = model.foresee(state, torch.stack((action, torch.full((2,), NULL)), 1))
    assert torch.equal(step, unknown[:, 0]) and torch.equal(
        step, model.foresee(state, action[:, None])[:, 0]
    )
    known = model.foresee(state, torch.stack((action, torch.ones_like(action)), 1))
    assert known.shape == (2, 2, 8, 8, 1) and not torch.equal(known[:, 1], unknown[:, 1])


def test_a_training_step_pairs_each_picture_with_the_action_that_led_to_it():
    model, clips = model_of(known_actions=1.0).train(), clips_of(LINE)
    clips.valid[1, 2] = False
    for s in (0, 1, 2):
        context = pixels.stack(clips.frames[:, s : s + 3])
        step = model.clip_step(clips, s, context, 0.0, torch.Generator().manual_seed(0))
        history = torch.cat((clips.context_actions, clips.actions), 1)
        assert torch.equal(step.action[:, :3], history[:, s : s + 3])
        assert torch.equal(step.target[:, :1], pixels.stack(clips.frames[:, 3 + s, None]))
        if s < 2:
            known = torch.tensor(
                [True, s == 0, True, True]
            )  # step 2 of clip 1 is past the end of its episode
            assert torch.equal(step.action[:, 3], torch.where(known, clips.actions[:, s + 1], NULL))
            assert torch.equal(step.target[:, 1:], pixels.stack(clips.frames[:, 4 + s, None]))
        else:
            assert (step.action[:, 3] == NULL).all()


def test_pictures_after_unknown_actions_are_not_learned():
    model = model_of(objective=Regression())
    context, target = torch.randn(2, 3, 8, 8), torch.randn(2, 2, 8, 8)
    actions = torch.tensor([[0, 1, 2, 1], [0, 1, 2, NULL]])
    features = model.encode(context, actions)
    assert features.rest[1].tolist() == [[True, True], [True, False]]
    none = torch.zeros(2, dtype=torch.int64)
    step, noise = Step(context, actions, target, none, none.bool()), torch.Generator()
    loss = model.losses(step, features, noise)[0]["frame"]
    other = target.clone()
    other[:, 1] += 1.0
    changed = model.losses(step._replace(target=other), features, noise)[0]["frame"]
    assert changed[0] != loss[0] and changed[1] == loss[1]


def test_validation_knows_what_a_dream_knows():
    model, clips = model_of(known_actions=1.0).eval(), clips_of(LINE)
    step = model.clip_step(
        clips, 0, pixels.stack(clips.frames[:, :3]), 0.5, torch.Generator().manual_seed(0)
    )
    assert (step.action[:, 3] == NULL).all() and (step.action[:, :3] != NULL).all()


def test_every_weight_learns():
    model, clips = model_of(SPEC, known_actions=1.0).train(), clips_of(SPEC)
    clips = clips._replace(
        actions=clips.actions.clamp(max=1), context_actions=clips.context_actions.clamp(max=1)
    )
    losses = model.clip_losses(clips, AugmentationOptions(), 2, torch.Generator().manual_seed(0))
    sum(losses.values()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() for p in model.parameters())


def test_two_pictures_of_a_moving_line_follow_their_own_two_actions():
    """After a short training the second picture obeys the second action, and the first one does not
    know of it.
    """
    torch.manual_seed(0)
    network = FilmConfig(16, 2, 1, 1, embedding=8, condition=32, ahead=2)
    spec = replace(LINE, frame_shape=(4, 12, 1))
    model = PixelModel(
        spec, PixelConfig(network, Regression("bce"), context_length=1, known_actions=1.0)
    ).train()
    generator = torch.Generator().manual_seed(1)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(120):
        loss = model.clip_losses(moving_lines(32, generator), AugmentationOptions(), 1, generator)[
            "frame"
        ]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    clips = moving_lines(64, generator)
    state = model.init(Context(clips.frames[:, :1], clips.context_actions))
    turned = torch.stack((clips.actions[:, 0], (clips.actions[:, 1] + 1) % 3), 1)
    for actions in (clips.actions, turned):
        found = model.foresee(state, actions)[:, :, 0].flatten(2).argmax(2)
        places = clips.frames[:, 0, 0].flatten(1).argmax(1)[:, None] + (actions - 1).cumsum(1)
        assert (found == places).float().mean(0).min() > 0.9


def moving_lines(count: int, generator) -> Clips:
    """Clips of one context picture and two steps; action a moves an upright line by a - 1."""
    actions = torch.randint(3, (count, 2), generator=generator)
    start = torch.randint(2, 10, (count, 1), generator=generator)
    places = torch.cat((start, start + (actions - 1).cumsum(1)), 1)  # (B, 3)
    frames = torch.zeros(count, 3, 4, 12, 1, dtype=torch.uint8)
    frames[torch.arange(count)[:, None], torch.arange(3), :, places] = 255
    none = torch.zeros(count, 2, dtype=torch.int64)
    return Clips(frames, actions, none, none.bool(), ~none.bool(), torch.ones(count), none[:, :0])


def test_a_stacked_frame_is_the_last_pictures_and_one_new():
    spec = replace(LINE, frame_shape=(8, 8, 2))
    plain, stacked = model_of(), model_of(spec, stack=2)
    film = torch.randint(0, 256, (2, 4, 8, 8, 1), dtype=torch.uint8)
    stacks = torch.cat((film[:, :3], film[:, 1:]), -1)  # (B, 3, 8, 8, 2)
    past, now = torch.tensor([[0, 1], [2, 1]]), torch.tensor([1, 2])
    one = plain.step(plain.init(Context(film[:, 1:], past)), now, noise(2))
    two = stacked.step(stacked.init(Context(stacks, past)), now, noise(2))
    assert torch.equal(two.frame[..., 1:], one.frame) and torch.equal(
        two.frame[..., :1], film[:, 3]
    )
    assert torch.equal(two.state.frames, one.state.frames)
    repeated = Context(
        stacks[:, -1:].expand(-1, 3, -1, -1, -1), past
    )  # a dream from a single frame
    assert torch.equal(stacked.init(repeated).frames[:, 1:], one.state.frames[:, :2])
    clips = clips_of(spec)
    same = clips._replace(frames=clips.frames[..., 1:])
    losses = [
        m.clip_losses(c, AugmentationOptions(), 2, None)["frame"]
        for m, c in ((stacked, clips), (plain, same))
    ]
    assert losses[0] == losses[1]


def test_the_preset_is_small_and_sees_grey_stacks():
    config = PRESETS["coinrun-pixel"]().model
    spec = WorldSpec("coinrun", (84, 84, 4), tuple(map(str, range(15))), (0.0, 10.0), 15, 1000)
    model = PixelModel(spec, config)
    assert sum(p.numel() for p in model.parameters()) < 1_000_000
    assert isinstance(model.network, FilmNetwork) and model.network.ahead == 4 and model.colors == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"stack": 4}, "stack of 4 does not come out of 3"),
        (
            {"network": replace(TINY, flow=2.0), "objective": Regression("bce")},
            "mse or huber, not bce",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_when_the_config_is_built(changes, words):
    with pytest.raises(ValueError, match=words):
        PixelConfig(**{"network": TINY, "context_length": 3, **changes})


@pytest.mark.parametrize(
    ("changes", "words"), [({"patch": 6}, "2, 4, 8"), ({"ahead": 0}, "at least one")]
)
def test_a_network_that_cannot_be_is_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        replace(TINY, **changes)


def test_frames_that_are_no_stack_and_clips_that_are_too_short_are_refused():
    with pytest.raises(ValueError, match="no stack of 2"):
        model_of(stack=2)
    with pytest.raises(ValueError, match="set rollout_steps=2 or model.network.ahead=1"):
        model_of().clip_losses(clips_of(LINE, steps=1), AugmentationOptions(), 1, torch.Generator())
