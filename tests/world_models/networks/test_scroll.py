"""The move of a whole frame: found, made and predicted."""

import pytest
import torch
from conftest_models import make_context, make_model

from world_models.models.token_losses import code_losses, last_frame
from world_models.models.token_scroll import (
    Camera,
    choose_moves,
    layer_errors,
    rare_weights,
    right_or_better,
    right_sources,
    scrolled,
    watch,
)
from world_models.networks.masked_tokens import MaskedTokensConfig
from world_models.networks.scroll import Scroll, whole_patches
from world_models.noise import NoiseStream
from world_models.protocols import Context, SamplingOptions


def some_frames(count: int = 3) -> torch.Tensor:
    return torch.randint(256, (count, 16, 16, 3), generator=torch.Generator().manual_seed(0)).byte()


def test_the_move_that_was_made_is_the_nearest_one():
    scroll, frames = Scroll(8, (3, 2), 4, 3, 1), some_frames()
    pairs = [(0, 0), (-3, 2), (1, -1)]
    move = torch.tensor([scroll.moves.tolist().index(list(pair)) for pair in pairs])
    moved, _ = scroll.moved(frames, move)
    assert torch.equal(moved[1, :13, 2:], frames[1, 3:, :14])
    assert torch.equal(moved[2, 1:, :15], frames[2, :15, 1:])
    assert torch.equal(scroll.nearest(frames, moved), move)


def test_errors_of_moves_are_mean_squared_differences_where_both_frames_are_in_sight():
    scroll, last, target = Scroll(8, (3, 2), 4, 3, 1), some_frames(), some_frames(3).flip(0)
    errors = scroll.move_errors(last, target)
    before, after = last.float().mean(3), target.float().mean(3)
    for column, (down, right) in enumerate(scroll.moves.tolist()):
        kept = before[:, max(-down, 0) : 16 - max(down, 0), max(-right, 0) : 16 - max(right, 0)]
        reached = after[:, max(down, 0) : 16 + min(down, 0), max(right, 0) : 16 + min(right, 0)]
        expected = (kept - reached).square().mean((1, 2))
        assert torch.allclose(errors[:, column], expected, rtol=1e-4, atol=0.01)


def test_where_all_moves_are_as_near_the_frame_stands_still():
    scroll, gray = Scroll(8, (2, 2), 4, 3, 1), torch.full((1, 16, 16, 3), 90, dtype=torch.uint8)
    assert scroll.nearest(gray, gray).tolist() == [0] and scroll.moves[0].tolist() == [0, 0]


def test_patches_of_which_a_pixel_was_out_of_sight_are_not_known():
    scroll = Scroll(8, (4, 4), 4, 3, 1)
    move = torch.tensor([scroll.moves.tolist().index([1, -4])])
    _, known = scroll.moved(some_frames(1), move)
    known = whole_patches(known, 4)
    expected = torch.ones(4, 4, dtype=torch.bool)
    expected[0], expected[:, 3] = False, False  # what comes in above and to the right
    assert torch.equal(known[0], expected)


def test_a_state_remembers_its_frame_and_how_the_last_step_scrolled():
    model = make_model("tokens-scroll")
    context = make_context(model, 2)
    frames = context.frames.clone()
    move = torch.tensor([1, 2])
    frames[:, -1] = model.network.scroll.moved(frames[:, -2], move)[0]
    state = model.init(Context(frames, context.actions))
    assert torch.equal(state.moves[:, -1], move) and torch.equal(state.frame, frames[:, -1])
    stream = NoiseStream.from_seeds(torch.arange(2))
    out = model.step(state, torch.tensor([0, 1]), stream)
    assert torch.equal(out.state.frame, out.frame)
    drawn = model.decide_codes(model.encode_state(state, torch.tensor([0, 1])), stream)
    assert drawn.moved is not None
    assert torch.equal(out.state.moves[:, -1], drawn.moved.move)
    first = model.encode_state(state, torch.tensor([0, 1])).condition
    other = model.encode_state(
        state._replace(moves=state.moves * 0), torch.tensor([0, 1])
    ).condition
    assert not torch.allclose(first, other)


def test_codes_of_the_moved_frame_can_be_copied_where_they_were_in_sight():
    model = make_model("tokens-scroll")
    state, action = model.init(make_context(model, 2)), torch.tensor([0, 1])
    network, move = model.network, torch.tensor([3, 0])
    features = scrolled(model, model.encode_state(state, action), state.frame, move)
    sources = network.sources(features.last, features.moved.codes)
    moved, known = network.scroll.moved(state.frame, move)
    known = whole_patches(known, 4)
    codes = model.encode_frames(moved).long()
    assert sources.shape[2] == len(network.copy.moves) + 1
    assert torch.equal(sources[..., -1], torch.where(known, codes, -1).flatten(1))
    assert not known[0].all() and known[1].all()


def test_reach_and_what_else_scrolling_needs_is_checked():
    with pytest.raises(ValueError, match="two numbers of pixels"):
        MaskedTokensConfig(copy=(0,), scroll=(3,))
    with pytest.raises(ValueError, match="scroll needs copy"):
        MaskedTokensConfig(scroll=(3, 3))
    with pytest.raises(ValueError, match=r"model\.network\.scroll needs"):
        make_model("tokens-scroll", copy_pixels=True)
    for name, change in (
        ("tokens-scroll", {"new_edge": 1}),
        ("tokens", {"new_temperature": None, "new_edge": 1}),
    ):
        with pytest.raises(ValueError, match=r"model\.new_edge needs new_temperature"):
            make_model(name, **change)


def test_patches_of_rare_colors_weigh_more_and_the_mean_weight_is_one():
    frames = torch.full((2, 16, 16, 3), 20, dtype=torch.uint8)
    frames[0, :4, 4:8] = torch.tensor([250, 200, 0], dtype=torch.uint8)
    weights = rare_weights(frames, 4, 0.5)
    assert weights.mean().item() == pytest.approx(1.0)
    assert weights[0, 0, 1] == weights.max() > 5 * weights[0, 0, 0]
    assert rare_weights(frames, 4, 0.0).unique().tolist() == [1.0]
    about = rare_weights(frames, 4, 0.5, beside=True)
    assert about.mean().item() == pytest.approx(1.0)
    heavy = about[0] == about.max()  # the patch and those about it, in the top row
    assert heavy[:2, :3].all() and heavy.sum() == 6


def test_what_the_network_draws_worse_than_the_moved_frame_shows_it_is_taken_from_there():
    model = make_model("tokens-scroll")
    state, move = model.init(make_context(model, 2)), torch.zeros(2, dtype=torch.int64)
    features = model.encode_state(state, torch.tensor([0, 1]))
    features = scrolled(model, features, state.frame, move)
    target = state.frame.clone()
    target[:, :4, :4] = 255 - target[:, :4, :4] // 2  # far from what was in sight
    codes = model.encode_frames(target).long()
    nothing = torch.zeros(2, 16, len(model.network.copy.moves) + 1, dtype=torch.bool)
    camera = Camera(move, state.frame, target, move)
    errors = layer_errors(model, features.moved, camera)
    right = right_or_better(model, nothing, codes, errors, camera)
    assert right[:, 1:, -1].all()  # exact, so no code draws it better
    assert not right[:, 0].any()


def test_what_stands_on_the_screen_is_not_carried_off_with_what_scrolls():
    model = make_model("tokens-scroll")
    frames = torch.randint(256, (2, 16, 16, 3), generator=torch.Generator().manual_seed(0)).byte()
    context = Context(frames[:, None].repeat(1, 3, 1, 1, 1), torch.zeros(2, 2, dtype=torch.int64))
    state, move = model.init(context), torch.tensor([1, 2])
    features = model.encode_state(state, torch.tensor([0, 1]))
    features = scrolled(model, features, state.frame, move)
    target = features.moved.frame.clone()
    target[:, 4:8, 4:8] = frames[:, 4:8, 4:8]
    camera = Camera(move, state.frame, target, move)
    sources = model.network.sources(features.last, features.moved.codes)
    codes = torch.zeros_like(features.last) - 2  # none that a source has
    errors = layer_errors(model, features.moved, camera)
    right = right_sources(model, sources, codes, errors)
    assert not right[:, 5].any()  # the place of row 1, column 1
    assert right[:, 10].tolist() == [[False, True]] * 2
    nothing, drawn = torch.zeros_like(right), model.encode_frames(target).long()
    better = right_or_better(model, nothing, drawn, errors, camera)
    assert torch.equal(better[:, 5], right[:, 5]) and torch.equal(better[:, 10], right[:, 10])


def test_a_rollout_goes_where_the_network_itself_moves_and_learns_nothing_of_a_wrong_frame():
    model = make_model("tokens-scroll").train()
    context = make_context(model, 200)
    state, action = model.init(context), torch.zeros(200, dtype=torch.int64)
    features = model.encode_state(state, action)
    camera = watch(model, last_frame(model, state.codes), state.codes[:, -1], state.codes[:, -1])
    assert not camera.wrong.any() and not camera.move.any()
    generator = torch.Generator().manual_seed(0)
    loss, same = choose_moves(model, features, camera, 0.0, generator)
    assert same is camera
    with torch.no_grad():
        model.network.scroll.logits.bias[:] = -100
        model.network.scroll.logits.bias[[0, 3]] = 0  # it stands still, or goes one pixel
    own, half = choose_moves(model, features, camera, 1.0, generator)
    assert set(half.taken.tolist()) == {0, 3} and 0.3 < half.wrong.float().mean() < 0.7
    assert own.mean() < loss.mean()  # of the true move in both
    moved = scrolled(model, features, camera.frame, half.taken)
    losses, _ = code_losses(model, moved, half, state.codes[:, -1].long(), None, generator)
    assert not losses[half.wrong].any() and (losses[~half.wrong] > 0).all()


def test_the_network_sees_the_pixels_of_the_last_frame():
    model = make_model("tokens-scroll")
    state, action = model.init(make_context(model, 2)), torch.tensor([0, 1])
    other = state._replace(frame=255 - state.frame)
    guided = SamplingOptions(guidance=2.0)
    for options, halves in ((SamplingOptions(), 1), (guided, 2)):
        plain, changed = (model.encode_state(s, action, options).tokens for s in (state, other))
        assert len(plain) == 2 * halves and not torch.allclose(plain[-1], changed[-1])
