"""The autoencoder comes first and is then frozen; what is dreamed in its latents is seen in
frames.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest_models import AUTOENCODER, CONFIGS, SPEC, make_context, make_model

from collectors.dataset.dataset import Dataset
from world_models import frames as pixels
from world_models.bundles.bundle import load_bundle
from world_models.diffusion.objectives import DDPM, Regression
from world_models.diffusion.samplers import Direct
from world_models.lanes import put_lanes
from world_models.models.latent import LatentConfig
from world_models.models.table import build_model
from world_models.networks.autoencoder import Autoencoder, AutoencoderConfig
from world_models.networks.grid import GridConfig
from world_models.noise import NoiseStream
from world_models.protocols import AugmentationOptions, Clips, Context, WorldSpec
from world_models.training import run as training
from world_models.training.config import TrainConfig, TrainingError
from world_models.training.presets.table import PRESETS
from world_models.training.throughput import ThroughputConfig, forward_backward, measure_rounds
from world_models.training.trainer import Trainer


def stream(lanes):
    return NoiseStream.from_seeds(torch.arange(lanes))


@pytest.mark.parametrize("downsample", [8, 16])
def test_an_autoencoder_learns_a_few_frames_and_gives_them_back(downsample):
    torch.manual_seed(0)
    coarse = torch.rand(8, 3, 4, 4) * 2 - 1
    frames = coarse.repeat_interleave(8, 2).repeat_interleave(8, 3)
    coder = Autoencoder(AutoencoderConfig(32, 64, downsample, 16), 3)
    optimizer = torch.optim.AdamW(coder.parameters(), 3e-3)
    for _ in range(50):
        optimizer.zero_grad()
        sum(coder.losses(frames).values()).backward()
        optimizer.step()
    latents = coder.encode(frames)
    assert latents.shape == (8, 16, 32 // downsample, 32 // downsample)
    back = coder.decode(latents)
    assert back.abs().max() <= 1 and ((back - frames) ** 2).mean() < 0.05 * frames.var()


def test_the_variance_target_pulls_each_frames_latents_to_variance_one():
    torch.manual_seed(0)
    frames = torch.rand(4, 3, 16, 16) * 2 - 1
    coder = Autoencoder(AutoencoderConfig(8, 16, 8, 4, variance_weight=1.0), 3)
    assert abs(coder.encode(frames).flatten(1).var(1) - 1).max() > 0.5
    optimizer = torch.optim.Adam(coder.encoder.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        coder.losses(frames)["variance"].backward()
        optimizer.step()
    assert abs(coder.encode(frames).flatten(1).var(1) - 1).max() < 0.1


def run(dataset_path, out, **changes):
    wide = LatentConfig(
        network=GridConfig(16, 1, 1, 1), autoencoder=AUTOENCODER, autoencoder_share=0.5
    )
    quick = TrainConfig(
        model=wide, data=dataset_path, out=out, updates=6, batch_size=4, warmup=2, validate_every=3,
        validation_batches=1, contexts=4, rollout_steps=1,
    )  # fmt: skip
    return replace(quick, **changes)


def parts(model):
    """The weights of the autoencoder and of all the rest, as copies."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    own = {name: value for name, value in state.items() if name.startswith("autoencoder.")}
    return own, {name: value for name, value in state.items() if name not in own}


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def test_the_autoencoder_learns_first_and_alone_and_then_nothing_moves_it(dataset_path, tmp_path):
    trainer = Trainer(run(dataset_path, tmp_path), Dataset(dataset_path))
    coder, rest = parts(trainer.model)
    terms = [trainer.step() for _ in range(3)]
    learned, still = parts(trainer.model)
    assert all(set(t) == {"reconstruction", "variance"} for t in terms) and same(rest, still)
    assert not any(torch.equal(coder[n], learned[n]) for n in coder)
    average, _ = parts(trainer.average)
    terms = [trainer.step() for _ in range(3)]
    frozen, moved = parts(trainer.model)
    assert all("frame" in t and "reconstruction" not in t for t in terms) and not same(rest, moved)
    assert same(average, frozen)  # frozen as it was on average
    assert all(p.grad is None for p in trainer.model.autoencoder.parameters())
    assert all(p.grad is not None for p in trainer.model.network.encoder.parameters())


def test_throughput_is_that_of_the_last_part_of_a_run_after_updates_of_the_first(
    dataset_path, tmp_path
):
    trainer = Trainer(run(dataset_path, tmp_path), Dataset(dataset_path))
    trainer.step()
    assert all(p.requires_grad for p in trainer.model.autoencoder.parameters())
    forward_backward(trainer)()
    assert not any(p.requires_grad for p in trainer.model.autoencoder.parameters())
    trainer.step()
    assert all(p.requires_grad for p in trainer.model.autoencoder.parameters())
    measure_rounds(trainer, ThroughputConfig(rounds=1, seconds=0))
    assert not any(p.requires_grad for p in trainer.model.autoencoder.parameters())
    assert "frame" in trainer.step(), "the losses of the last part"


@pytest.mark.parametrize("name", ["latent", "latent-regression"])
def test_a_frozen_autoencoder_gets_no_gradient_and_a_learning_one_in_every_weight(name):
    model = make_model(name).train()
    frames = torch.cat(
        (make_context(model, 4).frames, make_context(model, 4, seed=3).frames[:, :1]), 1
    )
    row = torch.zeros(4, 1, dtype=torch.int64)
    clips = Clips(frames, row, row, row.bool(), ~row.bool(), torch.ones(4))
    for progress, learns in ((0.0, True), (1.0, False)):
        augmentation = AugmentationOptions(progress=progress, rollout_gradient=True)
        model.zero_grad(set_to_none=True)
        model.begin_update(model, progress, progress)
        sum(
            model.clip_losses(clips, augmentation, 1, torch.Generator().manual_seed(0)).values()
        ).backward()
        assert all(
            (p.grad is not None and p.grad.abs().sum() > 0) == learns
            for p in model.autoencoder.parameters()
        )
        assert all((p.grad is None) == learns for p in model.network.decoder.parameters())


def test_one_command_trains_both_parts_and_a_resumed_run_gives_the_same_weights(
    dataset_path, tmp_path
):
    path = training.train(run(dataset_path, tmp_path / "whole"))
    config = run(dataset_path, tmp_path / "broken")
    trainer = Trainer(config, Dataset(dataset_path))
    config.out.mkdir()
    for _ in range(3):  # broken just where the autoencoder is frozen
        trainer.step()
    trainer.save({})
    again = training.train(config)
    assert same(*(load_bundle(p).model.state_dict() for p in (path, again)))
    header = (tmp_path / "whole" / "metrics.csv").read_text().splitlines()
    assert len(header) == 3 and {line.count(",") for line in header} == {header[0].count(",")}
    assert "train_reconstruction" in header[0] and "validation_frame" in header[0]


def test_an_autoencoder_trained_before_is_taken_from_a_bundle_and_stays_as_it_is(
    dataset_path, tmp_path
):
    first = run(dataset_path, tmp_path / "first")
    given = training.train(replace(first, model=replace(first.model, autoencoder_share=1.0)))
    alone = replace(first.model, autoencoder_share=0.0)
    second = run(dataset_path, tmp_path / "second", model=alone, init_from=str(given))
    theirs, mine = (parts(load_bundle(p).model)[0] for p in (given, training.train(second)))
    assert same(theirs, mine)


def test_a_latent_model_without_its_autoencoder_is_refused_with_the_remedy(
    dataset_path, tmp_path, capsys
):
    with pytest.raises(ValueError, match="autoencoder_share.*init_from"):
        run(dataset_path, tmp_path, model=replace(CONFIGS["latent"], autoencoder_share=0.0))
    with pytest.raises(SystemExit):
        training.main(["coinrun-latent", "model.autoencoder_share=0"])
    assert "init_from" in capsys.readouterr().err
    frames = training.train(
        run(dataset_path, tmp_path / "frames", model=CONFIGS["diffusion"], updates=1)
    )
    alone = replace(run(dataset_path, tmp_path).model, autoencoder_share=0.0)
    with pytest.raises(TrainingError, match="autoencoder"):
        training.train(run(dataset_path, tmp_path / "x", model=alone, init_from=str(frames)))


def test_a_state_follows_from_its_frames_and_each_frame_is_encoded_once():
    model, calls = make_model("latent"), []
    model.autoencoder.encoder.register_forward_hook(
        lambda module, inputs, out: calls.append(len(out))
    )
    state = model.init(make_context(model, 3))
    assert calls == [3 * model.context_length]
    action = torch.tensor([0, 1, 0])
    for _ in range(3):
        state = model.step(state, action, stream(3)).state
    assert calls[1:] == [3, 3, 3]
    again = model.init(Context(state.frames, torch.zeros(3, 1, dtype=torch.int64)))
    assert torch.allclose(again.latents, state.latents, atol=1e-5)
    mixed = put_lanes(
        state, torch.tensor([False, True, False]), model.init(make_context(model, 1, seed=5))
    )
    assert not torch.equal(mixed.latents[1], state.latents[1]) and torch.equal(
        mixed.latents[2], state.latents[2]
    )


def test_frames_of_a_context_keep_their_order_in_the_latents():
    model = make_model("latent")
    context = make_context(model, 2)
    state = model.init(context)
    for k in range(model.context_length):
        alone = model.autoencoder.encode(pixels.stack(context.frames[:, k : k + 1]))
        assert torch.allclose(state.latents[:, k], alone, atol=1e-5)
    latents = model.latents(pixels.stack(context.frames))
    assert torch.allclose(latents, state.latents.flatten(1, 2), atol=1e-6)


def test_what_does_not_fit_latents_is_refused():
    for change, text in (
        ({"objective": DDPM()}, "clamp"),
        ({"objective": Regression("bce"), "sampler": Direct()}, "bce"),
        ({"objective": Regression()}, "direct"),
        ({"autoencoder_share": 1.5}, "share"),
        ({"change_weight": 2.0}, "change_weight"),
    ):
        with pytest.raises(ValueError, match=text):
            replace(CONFIGS["latent"], **change)
    with pytest.raises(ValueError, match="8,16"):
        AutoencoderConfig(downsample=4)
    with pytest.raises(ValueError, match="24x24.*16"):
        build_model(replace(SPEC, frame_shape=(24, 24, 3)), CONFIGS["latent-sixteen"])


def test_the_preset_fits_two_cores_and_a_small_bundle():
    model = build_model(
        WorldSpec("x", (64, 64, 3), ("a", "b"), (0.0, 1.0), 10, 100),
        PRESETS["coinrun-latent"]().model,
    )
    assert model.shape == (16, 8, 8)
    assert 2 * sum(value.numel() for value in model.state_dict().values()) < 3e6


def test_validation_tells_of_both_parts_at_any_time(dataset_path, tmp_path):
    trainer = Trainer(run(dataset_path, tmp_path), Dataset(dataset_path))
    before = trainer.validate()
    trainer.step()
    assert {"frame", "reconstruction", "reward"} <= set(before) == set(trainer.validate())
    assert np.isfinite(list(before.values())).all()
