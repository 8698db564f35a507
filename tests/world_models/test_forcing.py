"""Diffusion forcing: what is remembered is what was read, however long the dream and whoever dreams
beside.
"""

from dataclasses import replace

import pytest
import torch
from conftest_models import CAUSAL, CONFIGS, FORCING, SPEC, make_context, make_model

from world_models import frames as pixels
from world_models.diffusion.objectives import EquilibriumMatching
from world_models.diffusion.samplers import Descent
from world_models.lanes import put_lanes, take_lanes
from world_models.models.diffusion_forcing import ForcingConfig
from world_models.models.table import build_model
from world_models.networks.kv_cache import append
from world_models.noise import NoiseStream
from world_models.protocols import (
    AugmentationOptions,
    Clips,
    Context,
    SamplingOptions,
    WorldSpec,
)
from world_models.training.presets.table import PRESETS


def noise(lanes, seed=10):
    return NoiseStream.from_seeds(torch.arange(lanes) + seed)


def random_frames(lanes, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(
        0, 256, (lanes, length, *SPEC.frame_shape), generator=generator, dtype=torch.uint8
    )


def random_clips(model, lanes=4, steps=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    actions = torch.randint(2, (lanes, model.context_length - 1 + steps), generator=generator)
    classes = torch.randint(3, (lanes, steps), generator=generator)
    return Clips(
        random_frames(lanes, model.context_length + steps, seed),
        actions[:, model.context_length - 1 :],
        classes,
        classes == 0,
        torch.ones(lanes, steps, dtype=torch.bool),
        torch.ones(lanes),
        actions[:, : model.context_length - 1],
    )


class History:
    """All that lanes saw and did, to be read at once."""

    def __init__(self, model, context):
        self.model, self.frames, self.actions = model, context.frames, model.led_by(context.actions)

    def add(self, frame, action):
        self.frames = torch.cat((self.frames, frame[:, None]), 1)
        self.actions = torch.cat((self.actions, action[:, None]), 1)

    def answer(self, x, t, action):
        """What the network says of a next frame x (B, C, H, W) if it reads everything again."""
        past = pixels.to_float(self.frames)
        levels = torch.cat((torch.zeros(past.shape[:2]), t[:, None]), 1)
        actions = torch.cat((self.actions, action[:, None]), 1)
        return self.model.network.clip(torch.cat((past, x[:, None]), 1), levels, actions)[:, -1]


def assert_cached_is_uncached(model, state, histories, seed):
    """One noisy frame after the state and after what each lane saw, which may differ in length."""
    lanes, generator = len(histories), torch.Generator().manual_seed(seed)
    x, t = (
        torch.randn(lanes, 3, 16, 16, generator=generator),
        torch.rand(lanes, generator=generator),
    )
    action = torch.randint(2, (lanes,), generator=generator)
    cached = model.network(x, t, model.network.read(state.memory, action))
    for lane, history in enumerate(histories):
        one = slice(lane, lane + 1)
        assert torch.allclose(
            cached[one], history.answer(x[one], t[one], action[one]), atol=1e-4
        ), (lane, seed)


@pytest.mark.parametrize("name", FORCING)
@torch.inference_mode()
def test_cached_and_uncached_agree_at_every_fill_level_and_after_wrap_around(name):
    model = make_model(name)
    state = model.init(Context(random_frames(2, 0), torch.zeros(2, 0, dtype=torch.int64)))
    histories = [
        History(model, Context(random_frames(1, 0), torch.zeros(1, 0, dtype=torch.int64)))
        for _ in range(2)
    ]
    for history in histories:
        history.actions = history.actions[:, :0]
    for number in range(9):  # the ring has three places
        assert_cached_is_uncached(model, state, histories, number)
        action = torch.tensor([number % 2, 1]) if number else torch.full((2,), model.no_action)
        out = model.step(state, action, noise(2, 10 * number))
        for lane, history in enumerate(histories):
            history.add(out.frame[lane : lane + 1], action[lane : lane + 1])
        state = out.state
    assert state.memory.count.tolist() == [9, 9]


@pytest.mark.parametrize("name", FORCING)
@torch.inference_mode()
def test_cached_and_uncached_agree_after_some_lanes_start_again(name):
    model, contexts = (
        make_model(name),
        [make_context(make_model(name), 1, seed) for seed in range(3)],
    )
    state = model.init(Context(*(torch.cat(parts) for parts in zip(*contexts, strict=True))))
    histories = [History(model, context) for context in contexts]
    for number in range(8):
        if number in (1, 5):  # once before the ring is full, and once after
            fresh = make_context(model, 1, seed=20 + number)
            state = put_lanes(state, torch.tensor([False, True, False]), model.init(fresh))
            histories[1] = History(model, fresh)
        assert_cached_is_uncached(model, state, histories, number)
        action = torch.tensor([0, 1, number % 2])
        out = model.step(state, action, noise(3, number))
        for lane, history in enumerate(histories):
            history.add(out.frame[lane : lane + 1], action[lane : lane + 1])
        state = out.state
    assert state.memory.count.tolist() == [
        8 + model.context_length,
        3 + model.context_length,
        8 + model.context_length,
    ]


@torch.inference_mode()
def test_what_is_remembered_is_the_clean_frame_and_nothing_half_denoised():
    model, context = make_model("forcing"), make_context(make_model("forcing"), 2)
    state, action = model.init(context), torch.tensor([0, 1])
    out = model.step(state, action, noise(2))
    frames = torch.cat((context.frames, out.frame[:, None]), 1)
    actions = torch.cat((model.led_by(context.actions), action[:, None]), 1)
    read = model.network.encode_clean(pixels.to_float(frames), actions)  # all at once, at level 0
    for mine, theirs in (
        (out.state.memory.keys, read.keys),
        (out.state.memory.values, read.values),
    ):
        assert torch.allclose(mine[:, :, :, :3], theirs, atol=1e-5)
    half = model.network.encode(
        pixels.to_float(frames), model.network.condition(torch.full((2, 3), 0.5), actions)
    )
    assert not torch.allclose(half.keys[:, :, :, 2], read.keys[:, :, :, 2], atol=1e-2)


@torch.inference_mode()
def test_a_dream_takes_the_same_memory_for_ever_and_leaves_its_past_as_it_was():
    model = make_model("forcing")
    state = first = model.init(make_context(model, 2))
    kept = [leaf.clone() for leaf in (*first.memory, first.frames)]
    shapes = [leaf.shape for leaf in kept]
    for number in range(8):
        state = model.step(state, torch.tensor([0, 1]), noise(2, number)).state
        assert [leaf.shape for leaf in (*state.memory, state.frames)] == shapes
    assert all(torch.equal(a, b) for a, b in zip(kept, (*first.memory, first.frames), strict=True))


@torch.inference_mode()
def test_a_lane_of_another_age_dreams_as_it_would_alone():
    model, action = make_model("forcing"), torch.tensor([0, 1, 0])
    state = model.init(make_context(model, 3))
    for number in range(4):
        state = model.step(state, action, noise(3, number)).state
    state = put_lanes(state, torch.tensor([2]), model.init(make_context(model, 1, seed=9)))
    together = model.step(state, action, noise(3))
    for lane in (1, 2):
        one = torch.tensor([lane])
        alone = model.step(take_lanes(state, one), action[one], take_lanes(noise(3), one))
        assert (alone.frame.int() - together.frame[one].int()).abs().max() <= 1
        assert torch.allclose(alone.state.memory.keys, together.state.memory.keys[one], atol=1e-2)


@torch.inference_mode()
def test_a_dream_can_begin_from_nothing():
    model = make_model("forcing")
    first = model.begin(noise(3))
    assert first.frame.shape == (3, *SPEC.frame_shape) and first.state.memory.count.tolist() == [
        1,
        1,
        1,
    ]
    assert not torch.equal(first.frame[0], first.frame[1])
    read = model.init(Context(first.frame[:, None], torch.zeros(3, 0, dtype=torch.int64)))
    assert torch.allclose(
        read.memory.keys, first.state.memory.keys, atol=1e-5
    )  # as if it had been a real one
    assert model.step(
        first.state, torch.tensor([0, 1, 0]), noise(3)
    ).state.memory.count.tolist() == [2, 2, 2]


def test_the_level_of_a_frame_is_its_own_and_tells_on_no_frame_before_it():
    model = make_model("forcing")
    x, action = torch.randn(1, 4, 3, 16, 16), torch.tensor([[2, 0, 1, 0]])
    t = torch.full((1, 4), 0.5)
    base = model.network.clip(x, t, action)
    for frame in range(4):
        changed = t.clone()
        changed[0, frame] = 0.9
        moved = (model.network.clip(x, changed, action) - base).abs().amax((0, 2, 3, 4)) > 1e-5
        assert moved.tolist() == [number >= frame for number in range(4)]
        other = action.clone()
        other[0, frame] = 1 - other[0, frame] if frame else 0
        moved = (model.network.clip(x, t, other) - base).abs().amax((0, 2, 3, 4)) > 1e-5
        assert moved.tolist() == [number >= frame for number in range(4)]


def test_frames_of_a_clip_are_noised_each_for_itself_and_some_clips_begin_clean():
    model = make_model("forcing", clean=0.5)
    t = model.sample_t((4000, 6), torch.Generator().manual_seed(0))
    noisy = t[(t > 0).all(1)]
    assert (
        0.5 < len(noisy) / len(t) < 0.65
    )  # a half, and those of the others whose number of clean frames is 0
    logit = noisy.logit()
    assert logit.mean().abs() < 0.05 and (logit.std() - 1).abs() < 0.05
    assert torch.corrcoef(logit.T).fill_diagonal_(0).abs().max() < 0.1
    clean = t == 0
    assert not clean[:, -1].any() and (clean[:, 1:] <= clean[:, :-1]).all()  # clean ones come first
    assert (make_model("forcing", clean=0.0).sample_t((50, 6), torch.Generator()) > 0).all()


def test_clean_frames_have_no_frame_loss_and_invalid_ones_none_at_all():
    model, losses = make_model("forcing"), []
    clips = random_clips(model)
    for frames in (clips.frames, torch.cat((clips.frames[:, :-1], 255 - clips.frames[:, -1:]), 1)):
        valid = clips.valid & (torch.arange(3) < 2)
        generator = torch.Generator().manual_seed(0)
        losses.append(
            model.clip_losses(
                clips._replace(frames=frames, valid=valid), AugmentationOptions(), 3, generator
            )
        )
    assert losses[0] == losses[1]
    sequence = model.sequence(clips, AugmentationOptions(), 3, torch.Generator())
    t = torch.full((4, 5), 0.5)
    t[:, :2] = 0
    error = model.learn(sequence, t, torch.Generator().manual_seed(0))[0]
    assert error.shape == (4, 5) and error.isfinite().all()


def test_outcomes_are_learned_on_predicted_frames_where_the_noise_was_small_and_on_real_ones_else(
    monkeypatch,
):
    model = make_model("forcing-factored", outcome_share=0.5)
    clips, observed = random_clips(model), []
    ask = model.outcome_logits
    monkeypatch.setattr(
        model,
        "outcome_logits",
        lambda tokens, frames: observed.append(frames) or ask(tokens, frames),
    )
    sequence = model.sequence(clips, AugmentationOptions(), 3, torch.Generator())
    t = torch.tensor([[0.0, 0.2, 0.9, 0.3, 0.7, 0.1]] * 4)
    predicted = torch.zeros_like(sequence.frames)
    terms = model.outcomes(clips, sequence, t, predicted, 3)
    shown = (observed[0] == 128).all(-1).all(-1).all(-1)
    assert shown.tolist() == [[True, False, True]] * 2  # two clips of four, their steps
    assert torch.equal(observed[0][:, 1], clips.frames[:2, 4]) and terms["wrong"] == 1
    right = model.outcomes(clips, sequence, t, sequence.frames, 3)
    assert right["wrong"] == 0 and right["trust"] != terms["trust"]


@pytest.mark.parametrize("name", FORCING)
def test_every_weight_gets_a_gradient_from_clips(name):
    model = make_model(name).train()
    losses = model.clip_losses(
        random_clips(model, 6),
        AugmentationOptions(0.1, 0.2, 0.3),
        3,
        torch.Generator().manual_seed(0),
    )
    sum(losses.values()).backward()
    assert not [
        n
        for n, p in model.named_parameters()
        if p.grad is None or (p.numel() and not p.grad.abs().sum())
    ]


def test_clips_without_the_actions_of_their_context_are_refused():
    model = make_model("forcing")
    with pytest.raises(ValueError, match="context_actions"):
        model.clip_losses(
            random_clips(model)._replace(context_actions=None),
            AugmentationOptions(),
            3,
            torch.Generator(),
        )


@torch.inference_mode()
def test_guidance_of_zero_is_blind_to_the_action_and_of_one_costs_one_forward():
    frames = {}
    for scale in (0.0, 1.0, 3.0):
        model, calls = make_model("forcing", guidance=scale), []
        model.network.register_forward_hook(
            lambda module, inputs, out, calls=calls: calls.append(len(out))
        )
        state = model.init(make_context(model, 1))
        frames[scale] = [model.step(state, torch.tensor([a]), noise(1)).frame for a in (0, 1)]
        assert calls == [1 if scale == 1 else 2] * 4  # two frames of two steps
    assert torch.equal(*frames[0.0])
    assert not torch.equal(*frames[1.0]) and not torch.equal(frames[1.0][0], frames[3.0][0])


@torch.inference_mode()
def test_the_steps_of_a_sampler_can_be_set_and_change_the_frame():
    model = make_model("forcing")
    state, frames = model.init(make_context(model, 1)), []
    for steps in (1, 2, 4):
        options = SamplingOptions(steps=steps)
        frames.append(model.step(state, torch.tensor([0]), noise(1), options).frame)
    assert not torch.equal(frames[0], frames[1]) and not torch.equal(frames[1], frames[2])


def test_a_window_smaller_than_the_context_is_refused_and_what_fits_is_named():
    with pytest.raises(ValueError, match=r"context_length is 1 to 3.*network.window to 5"):
        ForcingConfig(network=CAUSAL, context_length=4)
    with pytest.raises(ValueError, match="euler, heun, ancestral"):
        replace(CONFIGS["forcing"], sampler=Descent())
    with pytest.raises(ValueError, match="flow"):
        replace(CONFIGS["forcing"], objective=EquilibriumMatching(), sampler=Descent())
    for change in (
        {"width": 25},
        {"rope": "flat3"},
        {"window": 1},
        {"rope": "factored", "heads": 6},
    ):
        with pytest.raises(ValueError):
            replace(CAUSAL, **change)
    with pytest.raises(ValueError, match="outcome_share"):
        replace(CONFIGS["forcing"], outcome_share=0.0)


def test_contexts_of_another_length_than_fits_are_refused():
    model = make_model("forcing")
    with pytest.raises(ValueError, match="T at most 3"):
        model.init(Context(random_frames(1, 4), torch.zeros(1, 3, dtype=torch.int64)))
    with pytest.raises(ValueError, match=r"actions of shape \(1, 2\)"):
        model.init(Context(random_frames(1, 3), torch.zeros(1, 1, dtype=torch.int64)))


def test_a_ring_takes_many_frames_at_once_as_it_takes_them_one_by_one():
    network = make_model("forcing").network
    read = network.encode_clean(torch.randn(2, 3, 3, 16, 16), torch.zeros(2, 3, dtype=torch.int64))
    for before in (0, 1, 2):
        start = network.empty_cache(2)._replace(count=torch.tensor([before, before + 1]))
        at_once, one_by_one = append(start, read), start
        for n in range(3):
            one = read._replace(
                keys=read.keys[:, :, :, n : n + 1], values=read.values[:, :, :, n : n + 1]
            )
            one_by_one = append(one_by_one, one)
        assert all(torch.equal(a, b) for a, b in zip(at_once, one_by_one, strict=True))


def test_the_reference_preset_has_the_size_of_the_reference_system():
    config = PRESETS["pong-forcing-reference"]().model
    with torch.device("meta"):
        model = build_model(
            WorldSpec("pong", (24, 24, 3), ("still", "up", "down"), (-1.0, 0.0, 1.0), 30, 100),
            config,
        )
    count = sum(p.numel() for p in model.network.parameters())
    assert abs(count / 19.5e6 - 1) < 0.02
    assert model.network.tokens == 65 and model.objective.levels(4).tolist() == pytest.approx(
        [1, 0.9, 0.75, 0.5, 0]
    )
