import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace

import imageio.v2 as imageio
import numpy as np
import pytest
import torch
from conftest_models import CONFIGS, GRID
from torch.utils.flop_counter import FlopCounterMode

from collectors.dataset.dataset import Dataset
from collectors.recording.collect import collect
from collectors.worlds.snake.env import RealSnake
from world_models.bundles.bundle import load_bundle
from world_models.models.augment import damage
from world_models.models.chance import ChanceConfig, ChanceSettings
from world_models.models.table import build_model
from world_models.noise import NoiseStream
from world_models.protocols import AugmentationOptions, Context, WorldSpec
from world_models.training import run as training
from world_models.training.checkpoints import newest_checkpoint
from world_models.training.clips import ClipReader
from world_models.training.config import TrainConfig, TrainingError
from world_models.training.distributed import use_bfloat16
from world_models.training.presets.table import PRESETS
from world_models.training.schedules import learning_rate
from world_models.training.starts import start_contexts
from world_models.training.trainer import Trainer


def config_for(dataset_path, out, **changes):
    quick = TrainConfig(
        model=ChanceConfig(grid=GRID, context_length=2),
        data=dataset_path,
        out=out,
        updates=6,
        batch_size=4,
        warmup=2,
        validate_every=3,
        validation_batches=1,
        contexts=4,
    )
    return replace(quick, **changes)


@pytest.mark.parametrize(
    "name",
    ["chance", "diffusion", "ddpm", "flow-copies", "eqm-guided", "regression-bce", "forcing"],
)
def test_training_writes_a_bundle_metrics_and_a_resolved_config(dataset_path, tmp_path, name):
    path = training.train(config_for(dataset_path, tmp_path, model=CONFIGS[name]))
    assert load_bundle(path).config["provenance"]["updates"] == 6
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


@pytest.mark.timeout(600)  # starts a process, which on a busy machine takes its time
def test_a_run_killed_anywhere_and_started_again_gives_the_weights_of_an_unbroken_one(
    dataset_path, tmp_path, monkeypatch
):
    small = [
        "model.grid.encoder_depth=1",
        "model.grid.width=16",
        "batch_size=2",
        "threads=1",
        "validation_batches=1",
    ]
    words = [
        "snake",
        f"data={dataset_path}",
        "validate_every=2",
        "updates=24",
        "contexts=4",
        *small,
    ]
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
    ends = []
    for run in ("whole", "broken"):
        assert training.main([*words, f"out={tmp_path / run}"]) == 0
        ends.append(newest_checkpoint(tmp_path / run))
    for part in ("model", "average"):
        assert all(torch.equal(value, ends[1][part][name]) for name, value in ends[0][part].items())
    assert torch.equal(ends[0]["noise"], ends[1]["noise"]) and ends[0]["order"] == ends[1]["order"]
    tables = [
        list(csv.DictReader(open(tmp_path / run / "metrics.csv"))) for run in ("whole", "broken")
    ]
    told = [
        [(row["update"], row["train_frame"], row["validation_frame"]) for row in table]
        for table in tables
    ]
    assert told[0] == told[1]


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


def test_clips_hold_what_the_episode_holds_and_never_cross_its_ends(dataset_path):
    dataset = Dataset(dataset_path)
    reader = ClipReader(dataset, list(range(len(dataset.episodes))), 2, 3, event_weight=1.0)
    row = 0
    for number in range(3):
        episode = dataset.episode(number)
        length = len(episode.actions)
        clips = reader.cut(np.arange(row, row + length))
        for t in range(length):
            wanted = np.clip(np.arange(t - 1, t + 4), 0, length)
            assert np.array_equal(clips.frames[t].numpy(), episode.frames[wanted])
            assert clips.valid[t].tolist() == [t + s < length for s in range(3)]
            assert clips.actions[t, 0] == episode.actions[t]
            assert clips.context_actions[t].tolist() == [episode.actions[t - 1] if t else 0]
            assert reader.reward_values[clips.reward_classes[t, 0]] == episode.rewards[t]
        assert clips.terminations[length - 1, 0] == episode.terminations[-1]
        row += length


def test_events_are_drawn_more_often_with_a_weight(dataset_path, generator):
    dataset = Dataset(dataset_path)
    shares = []
    for weight in (1.0, 20.0):
        reader = ClipReader(dataset, list(range(len(dataset.episodes))), 1, 1, weight, weight)
        clips = reader.draw(2000, generator)
        shares.append((clips.terminations | (clips.reward_classes != 1)).float().mean().item())
    assert shares[0] < 0.25 < shares[1]


def test_what_pays_is_learned_at_the_rate_of_the_game_however_often_it_is_drawn(
    dataset_path, generator
):
    """Clips weighed by one over their odds have as many ends and rewards as clips drawn evenly."""
    dataset = Dataset(dataset_path)
    for steps in (1, 3):
        shares = []
        for weights in ((1.0, 1.0), (8.0, 20.0)):
            reader = ClipReader(dataset, list(range(len(dataset.episodes))), 1, steps, *weights)
            clips = reader.draw(6000, generator)
            paid = ((clips.reward_classes != 1) & clips.valid).float()
            shares.append(
                (
                    (paid.sum(1) / clips.sampling_weight).sum()
                    / (clips.valid.sum(1) / clips.sampling_weight).sum()
                ).item()
            )
        assert shares[1] == pytest.approx(shares[0], rel=0.15)


def test_the_outcome_losses_are_those_of_evenly_drawn_clips(dataset_path, tmp_path, generator):
    config = config_for(dataset_path, tmp_path, rollout_steps=1)
    trainer = Trainer(config, Dataset(dataset_path))
    clips = trainer.training_clips.draw(8, generator)
    even, model = clips._replace(sampling_weight=torch.ones(8)), trainer.average
    first = clips._replace(
        sampling_weight=torch.tensor([1.0] + [1e9] * 7)
    )  # seven drawn far too often
    alone = type(clips)(*(part if part is None else part[:1] for part in even))
    loss = [
        model.clip_losses(c, AugmentationOptions(), 1, torch.Generator().manual_seed(0))
        for c in (even, first, alone)
    ]
    assert loss[1]["termination"].item() == pytest.approx(loss[2]["termination"].item(), rel=1e-3)
    assert loss[1]["frame"] == loss[0]["frame"] and loss[1]["termination"] != loss[0]["termination"]


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

        def encode(frames, *rest, forward=context, seen=contexts):
            seen.append(frames)
            return forward(frames, *rest)

        trainer.model.encoder.forward = encode
        terms = trainer.model.clip_losses(
            last, trainer.augmentation, 3, torch.Generator().manual_seed(0)
        )
        assert [c.requires_grad for c in contexts] == [False, gradient, gradient]
        losses.append(terms["frame"].item())
    assert losses[0] == losses[1]


def test_start_contexts_are_first_frames(dataset_path, generator):
    dataset = Dataset(dataset_path)
    reader = ClipReader(dataset, list(range(len(dataset.episodes))), 3, 1, 1.0)
    contexts = start_contexts(reader, 5, generator)
    firsts = {dataset.episode(i).frames[0].tobytes() for i in range(len(dataset.episodes))}
    assert len(contexts) == 5 and all(
        frame.tobytes() in firsts for row in contexts.frames for frame in row
    )


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


def test_an_optimizer_that_does_not_fit_is_refused_in_one_sentence(dataset_path, tmp_path):
    for optimizer, word in (("muon", "adamw"), ("sgd", "adamw or muon")):
        with pytest.raises(ValueError, match=word):
            Trainer(config_for(dataset_path, tmp_path, optimizer=optimizer), Dataset(dataset_path))


def test_a_device_or_precision_that_is_not_there_is_an_error_of_one_sentence(
    dataset_path, tmp_path
):
    for change in ({"device": "cuda:7"}, {"device": "toaster"}, {"precision": "float8"}):
        with pytest.raises(TrainingError, match="device|precision"):
            training.train(config_for(dataset_path, tmp_path, **change))


def test_training_in_bfloat16_brings_numbers_too(dataset_path, tmp_path):
    trainer = Trainer(
        config_for(dataset_path, tmp_path, precision="bfloat16"), Dataset(dataset_path)
    )
    assert trainer.bfloat16 and np.isfinite(list(trainer.step().values())).all()
    assert not use_bfloat16("float32", torch.device("cpu"))


def test_an_unknown_preset_names_the_nearest(capsys):
    assert training.main(["snaek"]) == 2
    assert "did you mean 'snake'" in capsys.readouterr().err


def test_an_unknown_key_names_the_nearest(capsys):
    with pytest.raises(SystemExit) as stop:
        training.main(["snake", "model.grid.widht=3"])
    assert stop.value.code == 2 and "model.grid.width" in capsys.readouterr().err


def test_a_missing_dataset_is_an_error_of_one_sentence(tmp_path, capsys):
    assert training.main(["snake", f"data={tmp_path / 'none'}", f"out={tmp_path}"]) == 1
    assert str(tmp_path / "none") in capsys.readouterr().err


def test_a_small_pay_in_every_step_is_no_event(tmp_path, generator):
    data = collect(
        "RealSnake-v0",
        tmp_path / "data",
        400,
        "random",
        shard_steps=200,
        env_options={"step_penalty": 0.01},
    )
    reader = ClipReader(data, list(range(len(data.episodes))), 1, 1, 20.0, 20.0)
    clips = reader.draw(2000, generator)
    assert (clips.terminations | (clips.reward_classes != 1)).float().mean() > 0.25


def test_damage_takes_single_things_away_and_leaves_the_rest(dataset_path, generator):
    dataset = Dataset(dataset_path)
    reader = ClipReader(dataset, list(range(len(dataset.episodes))), 1, 1)
    frames = reader.draw(256, generator).frames[:, :1]
    damaged = damage(frames, 0.0, 1.0, 4, torch.Generator().manual_seed(0))
    changed = (
        (damaged != frames).any(-1)[:, 0].unflatten(2, (-1, 4)).unflatten(1, (-1, 4)).any(4).any(2)
    )  # (B, G, G)
    assert (changed.sum((1, 2)) == 1).all()
    codes = RealSnake.decode_frames(damaged[:, 0].numpy())
    assert 0.05 < ((codes == RealSnake.FOOD).sum((1, 2)) == 0).mean() < 0.5  # the food is gone
    assert torch.equal(damage(frames, 0.0, 0.0, 4, torch.Generator()), frames)


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


def of_a_reference(name):
    return PRESETS[name].__module__.endswith("reference")


TEN_TIMES_THE_STEPS = {"worldmap-ddpm"}
# (H, W, C) of a preset's own world where it is not 64 x 64 x 3
FRAMES = {"coinrun-pixel": (84, 84, 4), "pong-forcing": (24, 24, 3)}


@pytest.mark.parametrize(
    "name", [name for name in PRESETS if not of_a_reference(name) and "distilled" not in name]
)
def test_every_preset_makes_a_model_within_its_budget(name):
    config = PRESETS[name]()
    shape = FRAMES.get(name, (64, 64, 3))
    spec = WorldSpec(name, shape, tuple("abcdefghijklmno"), (-1.0, 0.0, 1.0), 10, 100)
    model = build_model(spec, config.model)
    weights = sum(value.numel() for value in model.state_dict().values())
    assert (
        2 * weights < 4e6
    )  # bytes in half precision; with its contexts a bundle must stay under 8 MB
    context = Context(
        torch.zeros(1, model.context_length, *shape, dtype=torch.uint8),
        torch.zeros(1, model.context_length - 1, dtype=torch.int64),
    )
    state, seeds = model.init(context), NoiseStream.from_seeds(torch.zeros(1, dtype=torch.int64))
    calls = FlopCounterMode(display=False)
    with calls, torch.inference_mode():
        model.step(state, torch.zeros(1, dtype=torch.int64), seeds)
    budget = 3e9 if name in TEN_TIMES_THE_STEPS else 0.3e9
    assert calls.get_total_flops() / 2 < budget  # multiplications a frame
