"""The token model: its state, its options, and the two stages in which it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest_models import FSQ, MASKED, make_context, make_model

from collectors.dataset.dataset import Dataset
from world_models.bundles.bundle import load_bundle
from world_models.models.tokens_config import TokensConfig
from world_models.networks.patch_dictionary import PatchDictionary
from world_models.networks.tokenizer import FSQTokenizer, TokenizerConfig
from world_models.noise import NoiseStream
from world_models.protocols import AugmentationOptions, Clips, Context, SamplingOptions
from world_models.training import run as training
from world_models.training.config import TrainConfig
from world_models.training.trainer import Trainer


def replace_config(model, **settings):
    model.config = replace(model.config, **settings)
    return model


def stream(lanes):
    return NoiseStream.from_seeds(torch.arange(lanes))


# ---------------------------------------------------------------------- the model


def test_a_frame_is_its_codes_decoded_and_the_state_is_small_whole_numbers():
    model = make_model("tokens")
    out = model.step(model.init(make_context(model, 2)), torch.tensor([0, 1]), stream(2))
    assert out.state.codes.dtype == torch.int16 and out.state.codes.shape == (2, 3, 4, 4)
    assert torch.equal(model.decode_codes(out.state.codes[:, -1].long()), out.frame)
    assert torch.equal(out.state.actions[:, -1], torch.tensor([0, 1]))


def test_what_is_copied_keeps_its_pixels_and_the_rest_is_decoded():
    model = make_model("tokens-pixels")
    state = model.init(make_context(model, 2))
    assert torch.equal(state.frame, make_context(model, 2).frames[:, -1])
    copy = model.network.copy
    source = torch.zeros(2, 4, 4, dtype=torch.int64)
    source[:, 0, 1] = 1 + copy.moves.index((2, 0))  # from two places below: eight pixels
    source[:, 3, 3] = 1 + copy.moves.index((0, 0))
    decided = model.decide_codes(model.encode_state(state, torch.tensor([0, 1])), stream(2))
    shown = model.show(decided._replace(source=source), state)
    decoded = model.decode_codes(decided.codes)
    expected = decoded.clone()
    expected[:, 0:4, 4:8] = state.frame[:, 8:12, 4:8]
    expected[:, 12:, 12:] = state.frame[:, 12:, 12:]
    assert torch.equal(shown, expected) and not torch.equal(
        shown, model.decode_codes(decided.codes)
    )
    with pytest.raises(ValueError, match="copy_pixels needs codes that are copied"):
        TokensConfig(copy_pixels=True)


def test_where_outcomes_follow_from_the_frame_the_context_does_not_change_them():
    model, codes = make_model("tokens-pixels"), torch.randint(4, (2, 4, 4))
    frame = model.decode_codes(codes)
    own, other = (torch.randn(2, model.feature_width, 4, 4) for _ in range(2))
    here, there = (model.outcome_logits(tokens, codes, frame) for tokens in (own, other))
    assert torch.equal(here[0], there[0]) and torch.equal(here[1], there[1])
    assert not torch.equal(here[2], there[2])  # trust does
    shifted = model.outcome_logits(own, codes, frame.roll(8, 1))
    assert not torch.allclose(here[1], shifted[1])  # places are told apart
    with pytest.raises(ValueError, match="outcomes_by_frame needs pixel_features"):
        TokensConfig(outcomes_by_frame=True)


def test_past_actions_and_the_assumed_corruption_matter():
    model = make_model("tokens", temperature=0.0, passes=1)
    context = make_context(model, 1)
    action = torch.tensor([0])
    plain = model.encode_state(model.init(context), action).tokens
    other = model.encode_state(
        model.init(Context(context.frames, context.actions + 1)), action
    ).tokens
    model.config = replace(model.config, assumed_corruption=0.1)
    corrupted = model.encode_state(model.init(context), action).tokens
    assert not torch.allclose(plain, other) and not torch.allclose(plain, corrupted)


def test_losses_of_frames_and_of_their_codes_are_the_same(dataset_path):
    model = make_model("tokens")
    frames = make_context(model, 4).frames
    frames = torch.cat((frames, frames[:, :1]), 1)
    row = torch.zeros(4, 1, dtype=torch.int64)
    clips = Clips(frames, row, row, row.bool(), ~row.bool(), torch.ones(4), row.expand(4, 2))
    by_frames = model.clip_losses(clips, AugmentationOptions(), 1, torch.Generator().manual_seed(0))
    coded = clips._replace(frames=model.encode_frames(frames))
    by_codes = model.clip_losses(coded, AugmentationOptions(), 1, torch.Generator().manual_seed(0))
    assert "mse" in by_frames and by_frames["frame"].isfinite()
    assert set(by_codes) == set(by_frames) - {"reconstruction", "mse"}


# ---------------------------------------------------------------------- training


def run(dataset_path, out, **changes):
    quick = TrainConfig(
        model=TokensConfig(FSQ, MASKED, 2, tokenizer_share=0.5), data=dataset_path, out=out,
        updates=6, batch_size=4, warmup=2, validate_every=3, validation_batches=1, contexts=4,
        rollout_steps=2, rollout_from=0.0,
    )  # fmt: skip
    return replace(quick, **changes)


def weights(model, prefix):
    return {
        name: value.clone() for name, value in model.state_dict().items() if name.startswith(prefix)
    }


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_tokenizer_learns_first_then_the_dynamics_on_codes_that_were_encoded_once(
    dataset_path, tmp_path
):
    trainer = Trainer(run(dataset_path, tmp_path), Dataset(dataset_path))
    start = weights(trainer.model, "network.")
    first = [trainer.step() for _ in range(3)]
    assert all(set(terms) == {"reconstruction", "mse"} for terms in first)
    assert (
        same(start, weights(trainer.model, "network.")) and trainer.reader is trainer.training_clips
    )
    average = weights(trainer.average, "tokenizer.")
    second = [trainer.step() for _ in range(3)]
    assert all("frame" in terms and "mse" not in terms for terms in second)
    assert (
        same(average, weights(trainer.model, "tokenizer."))
        and trainer.reader is not trainer.training_clips
    )
    clips, coded = (reader.cut(np.arange(5)) for reader in (trainer.training_clips, trainer.reader))
    assert torch.equal(trainer.model.encode_frames(clips.frames), coded.frames)
    assert torch.equal(clips.actions, coded.actions)


def test_a_resumed_run_gives_the_weights_of_an_unbroken_one(dataset_path, tmp_path):
    whole = training.train(run(dataset_path, tmp_path / "whole"))
    for stop in (2, 3, 4):
        config = run(dataset_path, tmp_path / str(stop))
        trainer = Trainer(config, Dataset(dataset_path))
        config.out.mkdir()
        for _ in range(stop):
            trainer.step()
        trainer.save({})
        assert same(*(load_bundle(p).model.state_dict() for p in (whole, training.train(config))))


def test_auto_takes_a_dictionary_for_a_game_of_tiles_and_it_is_exact(dataset_path, tmp_path):
    config = run(dataset_path, tmp_path, model=TokensConfig(replace(FSQ, kind="auto"), MASKED, 1))
    bundle = load_bundle(training.train(config))
    model = bundle.model
    assert isinstance(model.tokenizer, PatchDictionary) and 10 <= model.tokenizer.codes <= 20
    frames = torch.from_numpy(Dataset(dataset_path).episode(0).frames)
    assert torch.equal(model.decode_codes(model.encode_frames(frames).long()), frames)


def test_auto_takes_fsq_where_too_many_patches_differ(dataset_path, tmp_path):
    model = TokensConfig(replace(FSQ, kind="auto", most_patches=5), MASKED, 1)
    trainer = Trainer(run(dataset_path, tmp_path, model=model), Dataset(dataset_path))
    assert (
        isinstance(trainer.model.tokenizer, FSQTokenizer)
        and trainer.model.config.tokenizer.kind == "fsq"
    )


def test_a_dictionary_that_is_too_small_keeps_the_most_frequent_patches(dataset_path, tmp_path):
    model = TokensConfig(TokenizerConfig("patches", patches=3), MASKED, 1)
    trainer = Trainer(run(dataset_path, tmp_path, model=model), Dataset(dataset_path))
    assert trainer.model.tokenizer.codes == 3


def test_a_bundle_keeps_every_code_of_its_tokenizer(dataset_path, tmp_path):
    config = run(dataset_path, tmp_path)
    trainer = Trainer(config, Dataset(dataset_path))
    config.out.mkdir(exist_ok=True)
    trainer.save({})
    frames = torch.from_numpy(Dataset(dataset_path).episode(0).frames)
    loaded = load_bundle(tmp_path / "bundle").model
    assert torch.equal(loaded.encode_frames(frames), trainer.average.encode_frames(frames))


def test_a_run_without_tokenizer_training_must_be_given_one(dataset_path, tmp_path):
    model = TokensConfig(FSQ, MASKED, 2, tokenizer_share=0.0)
    with pytest.raises(ValueError, match="init_from"):
        run(dataset_path, tmp_path, model=model)
    first = training.train(run(dataset_path, tmp_path / "first"))
    second = run(dataset_path, tmp_path / "second", model=model, init_from=str(first))
    trainer = Trainer(second, Dataset(dataset_path))
    trainer.load_weights(first)
    assert same(
        weights(load_bundle(first).model, "tokenizer."), weights(trainer.model, "tokenizer.")
    )


def test_settings_that_make_no_model_are_refused():
    with pytest.raises(ValueError, match="corruption"):
        TokensConfig(corruption=2.0)
    with pytest.raises(ValueError, match="passes"):
        TokensConfig(passes=0)


def test_steps_guidance_and_temperature_are_arguments_of_a_step():
    model, action = make_model("tokens-guided"), torch.tensor([0, 1])
    state = model.init(make_context(model, 2))
    frames = [
        model.step(state, action, stream(2), options).frame
        for options in (
            SamplingOptions(1, 1.0, 0.0),
            SamplingOptions(4, 1.0, 1.0),
            SamplingOptions(1, 0.0, 0.0),
        )
    ]
    assert not torch.equal(frames[0], frames[1]) and not torch.equal(frames[0], frames[2])
    blind = model.step(state, action.flip(0), stream(2), SamplingOptions(1, 0.0, 0.0)).frame
    assert torch.equal(blind, frames[2])


def test_passes_are_shown_from_gray_to_the_frame():
    model, action = make_model("tokens"), torch.tensor([0, 1])
    state = model.init(make_context(model, 2))
    frames = model.denoising(state, action, stream(2))
    assert len(frames) == 4 and (frames[0] == 128).all()
    assert torch.equal(frames[-1], model.step(state, action, stream(2)).frame)


def test_an_expert_may_change_frames_so_its_clips_stay_frames(dataset_path, tmp_path):
    tiles = TokensConfig(TokenizerConfig("patches", patches=20), MASKED, 1)
    trainer = Trainer(
        run(dataset_path, tmp_path, model=tiles, expert=True, rollout_steps=1),
        Dataset(dataset_path),
    )
    assert "frame" in trainer.step() and trainer.reader is trainer.training_clips
