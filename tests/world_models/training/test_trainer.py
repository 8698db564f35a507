"""A run: it learns, saves, resumes, and stops in a sentence where it cannot go on."""

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from conftest_models import CONFIGS
from quick_runs import config_for

from collectors.dataset.dataset import Dataset
from world_models.bundles.bundle import load_bundle
from world_models.models.chance_variables import ChanceSettings
from world_models.training import run as training
from world_models.training.checkpoints import newest_checkpoint
from world_models.training.config import TrainingError
from world_models.training.distributed import use_bfloat16
from world_models.training.run_info import git_commit
from world_models.training.schedules import augmentation, learning_rate
from world_models.training.trainer import Trainer


@pytest.mark.parametrize(
    "name",
    [
        "chance",
        "diffusion",
        "ddpm",
        "flow-copies",
        "eqm-guided",
        "regression-bce",
        "forcing",
        "tokens",
    ],
)
def test_training_writes_a_bundle_metrics_and_a_resolved_config(dataset_path, tmp_path, name):
    path = training.train(config_for(dataset_path, tmp_path, model=CONFIGS[name]))
    made = load_bundle(path).config["provenance"]
    assert made["updates"] == 6 and made["minutes"] >= 0 and "dataset" in made
    assert made["collect"].endswith("seed 0") and made["date"] and "torch" in made["machine"]
    assert made["commit"] == git_commit(Path(training.__file__))
    rows = list(csv.DictReader(open(tmp_path / "metrics.csv")))
    assert [row["update"] for row in rows] == ["3", "6"]
    assert (
        "updates: 6" in (tmp_path / "resolved_config.yaml").read_text()
        and (tmp_path / "strip.png").exists()
    )
    film = imageio.mimread(tmp_path / "rollout.gif")
    assert (
        len(film) > 3
        and film[0].shape[:2] == (256, 4 * (3 * 64 + 4))
        and (tmp_path / "rollout.mp4").exists()
    )
    frame_losses = [float(row["validation_frame"]) for row in rows]
    best = torch.load(tmp_path / "best.pt", weights_only=False)["progress"]
    assert (
        best["best"] == min(frame_losses) and best["update"] == [3, 6][int(np.argmin(frame_losses))]
    )


def weights(path):
    return load_bundle(path).model.state_dict()


@pytest.mark.parametrize(
    ("name", "optimizer"), [("chance", "adamw"), ("chance-sprites", "adamw"), ("forcing", "muon")]
)
def test_a_resumed_run_gives_the_weights_of_an_unbroken_one(
    dataset_path, tmp_path, name, optimizer
):
    changes = {"model": CONFIGS[name], "optimizer": optimizer}
    whole = training.train(config_for(dataset_path, tmp_path / "whole", **changes))
    config = config_for(dataset_path, tmp_path / "broken", **changes)
    trainer = Trainer(config, Dataset(dataset_path))
    config.out.mkdir()
    for _ in range(4):
        trainer.step()
    trainer.commands.append("from update 0: train snake learning_rate=1")
    trainer.save({})
    resumed = training.train(config)
    command = load_bundle(resumed).config["provenance"]["command"]
    assert command.startswith(
        "from update 0: train snake learning_rate=1; from update 4: "
    )  # a card hides no change
    assert all(
        torch.equal(a, b)
        for a, b in zip(weights(whole).values(), weights(resumed).values(), strict=True)
    )


def test_a_damaged_newest_checkpoint_is_passed_over_for_the_one_before(
    dataset_path, tmp_path, capsys
):
    training.train(config_for(dataset_path, tmp_path))
    newest = sorted(tmp_path.glob("checkpoint_*.pt"))[-1]
    newest.write_bytes(newest.read_bytes()[:1000])
    assert newest_checkpoint(tmp_path)["progress"]["update"] == 3
    assert "passing over" in capsys.readouterr().err


@pytest.mark.guard
@pytest.mark.timeout(600)  # starts a process, which on a busy machine takes its time
def test_a_run_killed_anywhere_and_started_again_gives_the_weights_of_an_unbroken_one(
    dataset_path, tmp_path, monkeypatch
):
    small = "model.grid.encoder_depth=1 model.grid.width=16 batch_size=2 threads=1 contexts=4"
    counts = "validate_every=2 validation_batches=1 updates=24"
    words = ["snake", f"data={dataset_path}", *small.split(), *counts.split()]
    process = subprocess.Popen(
        [sys.executable, "-m", "world_models.training.run", *words, f"out={tmp_path / 'broken'}"]
    )
    deadline = time.monotonic() + 300
    while (
        len(list((tmp_path / "broken").glob("checkpoint_*.pt"))) < 2 and time.monotonic() < deadline
    ):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 2 <= newest_checkpoint(tmp_path / "broken")["progress"]["update"] < 24
    monkeypatch.setattr(
        training, "write_samples", lambda *_: None
    )  # a second each; no part of the result
    checkpoints = []
    for run in ("whole", "broken"):
        assert training.main([*words, f"out={tmp_path / run}"]) == 0
        checkpoints.append(newest_checkpoint(tmp_path / run))
    for part in ("model", "average"):
        assert all(
            torch.equal(value, checkpoints[1][part][name])
            for name, value in checkpoints[0][part].items()
        )
    assert (
        torch.equal(checkpoints[0]["noise"], checkpoints[1]["noise"])
        and checkpoints[0]["order"] == checkpoints[1]["order"]
    )
    tables = [
        list(csv.DictReader(open(tmp_path / run / "metrics.csv"))) for run in ("whole", "broken")
    ]
    logged = [
        [(row["update"], row["train_frame"], row["validation_frame"]) for row in table]
        for table in tables
    ]
    assert logged[0] == logged[1]


def test_a_loss_that_is_no_number_stops_training_and_keeps_the_last_good_checkpoint(
    dataset_path, tmp_path
):
    config = config_for(dataset_path, tmp_path)
    trainer = Trainer(config, Dataset(dataset_path))
    trainer.step()
    before = {k: v.clone() for k, v in trainer.average.state_dict().items()}
    trainer.model.chance.place_embed.weight.data.fill_(float("nan"))
    with pytest.raises(TrainingError, match="learning_rate"):
        trainer.step()
    assert all(torch.equal(v, before[k]) for k, v in trainer.average.state_dict().items())


def test_training_brings_the_loss_down(dataset_path, tmp_path):
    trainer = Trainer(
        config_for(dataset_path, tmp_path, updates=60, batch_size=8), Dataset(dataset_path)
    )
    losses = [trainer.step()["frame"] for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


def test_with_a_rollout_gradient_a_late_error_mends_early_steps(dataset_path, tmp_path, generator):
    losses = []
    for gradient in (False, True):
        config = config_for(dataset_path, tmp_path, rollout_steps=3, rollout_gradient=gradient)
        trainer = Trainer(config, Dataset(dataset_path))
        clips = trainer.training_clips.with_steps(3).draw(4, np.random.default_rng(0))
        last = clips._replace(
            valid=clips.valid & (torch.arange(3) == 2)
        )  # only the third step has a loss
        trainer.model.train()
        context, contexts = trainer.model.encoder.forward, []

        def encode(frames, *rest, forward=context, observed=contexts):
            observed.append(frames)
            return forward(frames, *rest)

        trainer.model.encoder.forward = encode
        terms = trainer.model.clip_losses(
            last, augmentation(trainer.config, 1.0), 3, torch.Generator().manual_seed(0)
        )
        assert [c.requires_grad for c in contexts] == [False, gradient, gradient]
        losses.append(terms["frame"].item())
    assert losses[0] == losses[1]


def test_a_run_can_begin_with_the_weights_of_a_bundle_that_fit(dataset_path, tmp_path, capsys):
    first = config_for(dataset_path, tmp_path / "first")
    bundle = training.train(first)
    more = replace(first.model, chance=ChanceSettings(variables=2))
    second = config_for(
        dataset_path, tmp_path / "second", model=more, updates=0, init_from=str(bundle)
    )
    theirs, mine = (
        load_bundle(bundle).model.state_dict(),
        load_bundle(training.train(second)).model.state_dict(),
    )
    assert torch.equal(mine["encoder.embed.weight"], theirs["encoder.embed.weight"])
    assert mine["chance.place_embed.weight"].shape != theirs["chance.place_embed.weight"].shape
    with pytest.raises(TrainingError, match="init_from"):
        training.train(config_for(dataset_path, tmp_path / "third", init_from=str(tmp_path)))


def test_muon_moves_the_matrices_of_blocks_and_adamw_the_rest(dataset_path, tmp_path):
    config = config_for(dataset_path, tmp_path, model=CONFIGS["forcing"], optimizer="muon")
    trainer = Trainer(config, Dataset(dataset_path))
    muon, rest = trainer.optimizer.parts
    names = {id(p): n for n, p in trainer.model.named_parameters()}
    matrices, others = (
        {names[id(p)] for group in part.param_groups for p in group["params"]}
        for part in (muon, rest)
    )
    assert matrices == {
        n for n, p in trainer.model.named_parameters() if "blocks" in n and p.ndim == 2
    }
    assert len(matrices) == 2 * 5 and others == set(names.values()) - matrices
    before = {n: p.clone() for n, p in trainer.model.named_parameters()}
    for _ in range(3):
        trainer.step()
    after = dict(trainer.model.named_parameters())
    assert all(not torch.equal(before[n], after[n]) for n in after if after[n].numel())
    assert {group["lr"] for group in trainer.optimizer.param_groups} == {
        learning_rate(config, 2, 2 / config.updates)
    }


def test_random_draws_of_chance_fade_nearly_to_the_end_of_a_run(dataset_path, tmp_path):
    config = config_for(dataset_path, tmp_path, random_chance=0.4)
    shares = [augmentation(config, progress).random_chance for progress in (0.0, 0.475, 0.95, 1.0)]
    assert shares == pytest.approx([0.4, 0.2, 0.0, 0.0])


def test_an_optimizer_that_does_not_fit_is_refused_in_one_sentence(dataset_path, tmp_path):
    for optimizer, word in (("muon", "adamw"), ("sgd", r"expected \{adamw,muon\}")):
        with pytest.raises(ValueError, match=word):
            Trainer(config_for(dataset_path, tmp_path, optimizer=optimizer), Dataset(dataset_path))


def test_a_device_or_precision_that_is_not_there_is_an_error_of_one_sentence(
    dataset_path, tmp_path
):
    for change in ({"device": "cuda:7"}, {"device": "toaster"}):
        with pytest.raises(TrainingError, match="device"):
            training.train(config_for(dataset_path, tmp_path, **change))
    with pytest.raises(ValueError, match="precision.*did you mean 'float32'"):
        training.train(config_for(dataset_path, tmp_path, precision="float8"))


def test_training_in_bfloat16_brings_numbers_too(dataset_path, tmp_path):
    trainer = Trainer(
        config_for(dataset_path, tmp_path, precision="bfloat16"), Dataset(dataset_path)
    )
    assert trainer.bfloat16 and np.isfinite(list(trainer.step().values())).all()
    assert not use_bfloat16("float32", torch.device("cpu"))


@pytest.mark.parametrize("able", ["_is_avx512_bf16_supported", "_is_amx_tile_supported"])
def test_auto_takes_bfloat16_on_a_processor_with_tiles_alone(able, monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == able, raising=False)
    assert use_bfloat16("auto", torch.device("cpu")) is (able == "_is_amx_tile_supported")


def test_an_unknown_key_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as stop:
        training.main(["snake", "model.grid.widht=3"])
    assert stop.value.code == 2 and "model.grid.width" in capsys.readouterr().err


def test_a_missing_dataset_is_an_error_of_one_sentence(tmp_path, capsys):
    assert training.main(["snake", f"data={tmp_path / 'none'}", f"out={tmp_path}"]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_a_run_scheduled_by_minutes_ends_with_them_at_the_lowest_rate(
    dataset_path, tmp_path, monkeypatch
):
    config = config_for(
        dataset_path,
        tmp_path,
        schedule="minutes",
        minutes=0.5,
        warmup=10_000,
        updates=10**6,
        validate_every=1000,
    )
    clock, rates, step = iter(range(10_000)), [], Trainer.step

    def slow_step(trainer):
        terms = step(trainer)
        rates.append(
            (trainer.progress, trainer.optimizer.param_groups[0]["lr"] / config.learning_rate)
        )
        return terms

    monkeypatch.setattr(training.time, "monotonic", lambda: next(clock))  # a second a look
    monkeypatch.setattr(Trainer, "step", slow_step)
    training.train(config)
    assert 10 < len(rates) < 31  # of 30 seconds
    assert max(rate for _, rate in rates) > 0.9 and rates[-1][1] < 0.06 and rates[-1][0] >= 0.9
    done = len(rates)
    training.train(config)
    assert len(rates) == done
