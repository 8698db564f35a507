"""A run that is left alone: clips drawn ahead, a full disk, figures that are logged once, what it
was made with.
"""

import json
import resource
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest_models import GRID

from collectors.dataset.dataset import Dataset
from collectors.extras import install
from collectors.settings.parse import SettingsError, apply_overrides, as_text, parse
from world_models.models.chance import ChanceConfig
from world_models.training import run as training
from world_models.training import trackers
from world_models.training.checkpoints import newest_checkpoint
from world_models.training.config import TrainConfig, TrainingError
from world_models.training.metrics_log import MetricsWriter, read_lines, read_table
from world_models.training.prefetch import Prefetcher
from world_models.training.presets.table import PRESETS
from world_models.training.trainer import Trainer


def config_for(data, out, **changes):
    quick = TrainConfig(
        model=ChanceConfig(grid=GRID, context_length=2),
        data=data,
        out=out,
        updates=2,
        batch_size=4,
        warmup=2,
        validate_every=2,
        validation_batches=1,
        contexts=4,
        threads=1,
    )
    return replace(quick, **changes)


def trainer_at(data, out, **changes):
    out.mkdir(exist_ok=True)
    return Trainer(config_for(data, out, **changes), Dataset(data))


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_clips_drawn_ahead_come_in_order_and_the_state_is_that_of_the_next_unused_one(ahead):
    def draw(generator):
        return generator.integers(1000, size=3).tolist()

    plain = np.random.default_rng(0)
    expected = [draw(plain) for _ in range(8)]
    prefetcher = Prefetcher(draw, np.random.default_rng(0), ahead)
    assert [prefetcher.next() for _ in range(4)] == expected[:4]
    kept = prefetcher.state
    assert [prefetcher.next() for _ in range(2)] == expected[4:6]
    prefetcher.restart(kept)
    assert [prefetcher.next() for _ in range(4)] == expected[4:]
    other = Prefetcher(draw, np.random.default_rng(9), ahead)
    other.restart(kept)
    assert other.next() == expected[4]


def test_a_clip_is_drawn_while_the_one_before_is_used():
    drawn = threading.Semaphore(0)
    prefetcher = Prefetcher(lambda generator: drawn.release(), np.random.default_rng(0), 2)
    prefetcher.next()
    assert all(drawn.acquire(timeout=30) for _ in range(3))  # one for us, two ahead
    assert prefetcher.waited >= 0


def test_what_drawing_raises_reaches_the_trainer():
    def draw(generator):
        raise ValueError("no such clip")

    with pytest.raises(ValueError, match="no such clip"):
        Prefetcher(draw, np.random.default_rng(0), 2).next()


def test_a_full_disk_is_reported_and_the_checkpoint_before_is_kept(dataset_path, tmp_path):
    trainer = trainer_at(dataset_path, tmp_path)
    trainer.step()
    trainer.save({})
    kept = (tmp_path / "checkpoint_0000001.pt").read_bytes()
    trainer.step()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(
        resource.RLIMIT_FSIZE, (len(kept) // 2, limits[1])
    )  # no file may grow beyond
    try:
        with pytest.raises(TrainingError, match=r"cannot be written .*checkpoint_0000001\.pt"):
            trainer.save({})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "checkpoint_0000001.pt").read_bytes() == kept
    assert [path.name for path in tmp_path.glob("*.pt")] == ["checkpoint_0000001.pt"]
    assert not list(tmp_path.glob(".*"))
    trainer.save({})  # room again
    assert newest_checkpoint(tmp_path)["progress"]["update"] == 2


def test_old_checkpoints_go_only_when_two_newer_ones_are_there(dataset_path, tmp_path):
    trainer = trainer_at(dataset_path, tmp_path)
    for trainer.update in (1, 2, 3):
        trainer.save({}, best=trainer.update == 1)
    names = sorted(path.name for path in tmp_path.glob("*.pt"))
    assert names == ["best.pt", "checkpoint_0000002.pt", "checkpoint_0000003.pt"]
    trainer.update = 1  # begun anew: those of the run before are no longer newest
    trainer.save({})
    assert newest_checkpoint(tmp_path)["progress"]["update"] == 1


def test_checkpoints_of_another_model_are_refused_with_the_remedy(dataset_path, tmp_path):
    trainer = trainer_at(dataset_path, tmp_path)
    trainer.save({})
    wider = ChanceConfig(grid=replace(GRID, width=24), context_length=2)
    with pytest.raises(TrainingError, match="another model or optimizer.*another out="):
        training.train(config_for(dataset_path, tmp_path, model=wider))


def test_a_resumed_run_logs_each_update_once(tmp_path):
    metrics = MetricsWriter(tmp_path)
    for update in (2, 4, 6):
        metrics.write({"update": update, "train_frame": update / 10})
    with (
        open(tmp_path / "metrics.csv", "a") as table,
        open(tmp_path / "metrics.jsonl", "a") as lines,
    ):
        table.write("8")  # killed while it wrote
        lines.write('{"update": 8, "tra')
    metrics = MetricsWriter(tmp_path, update=4)
    metrics.write({"update": 6, "train_frame": 0.6, "waiting": 0.5})
    assert [row["update"] for row in read_table(tmp_path / "metrics.csv")] == ["2", "4", "6"]
    assert [row["waiting"] for row in read_table(tmp_path / "metrics.csv")] == ["", "", "0.5"]
    assert read_lines(tmp_path / "metrics.jsonl")[1:] == [
        {"update": 4, "train_frame": 0.4},
        {"update": 6, "train_frame": 0.6, "waiting": 0.5},
    ]


def test_figures_of_an_older_version_without_jsonl_are_taken_over(tmp_path):
    (tmp_path / "metrics.csv").write_text("update,seconds,train_frame\n250,1.5,\n500,3.0,0.25\n")
    MetricsWriter(tmp_path, update=500).write({"update": 750, "seconds": 4.5, "train_frame": 0.2})
    rows = read_lines(tmp_path / "metrics.jsonl")
    assert (
        rows[0] == {"update": 250, "seconds": 1.5, "train_frame": ""}
        and rows[1]["train_frame"] == 0.25
    )
    assert len(read_table(tmp_path / "metrics.csv")) == len(rows) == 3


def test_a_run_says_what_it_was_made_with_each_time_it_was_started(dataset_path, tmp_path):
    words = ["snake", f"data={dataset_path}", f"out={tmp_path}", "updates=0", "model.grid.width=16"]
    assert training.main(words) == 0 and training.main(words) == 0
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["dataset"] == Dataset(dataset_path).fingerprint and record["device"] == "cpu"
    assert (
        record["versions"]["torch"].startswith(torch.__version__.split("+")[0])
        and "git_commit" in record
    )
    assert record["from_update"] == 0 and len(record["starts"]) == 1 and record["processes"] == 1
    assert "width: 16" in (tmp_path / "resolved_config.yaml").read_text()


def test_a_missing_tracker_is_named_with_its_extra_before_anything_is_done(
    dataset_path, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    words = ["snake", f"data={dataset_path}", f"out={tmp_path / 'run'}", "tracker=wandb"]
    assert training.main(words) == 1
    assert install("wandb") in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("tracker", ["tensorboard", "wandb", "aim"])
def test_a_tracker_gets_figures_strip_and_film_and_a_resumed_run_goes_on_in_it(
    dataset_path, tmp_path, tracker, monkeypatch
):
    pytest.importorskip(tracker)
    monkeypatch.setenv("WANDB_SILENT", "true")
    changes = {"tracker": tracker, "wandb_mode": "offline"}
    training.train(config_for(dataset_path, tmp_path, **changes))
    training.train(config_for(dataset_path, tmp_path, updates=4, **changes))
    if tracker == "tensorboard":
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(tmp_path / trackers.PROJECT)).Reload()
        assert [event.step for event in events.Scalars("validation_frame")] == [2, 4]
        assert [event.step for event in events.Images("strip")] == [2, 4]
        assert events.Images("rollout")[0].encoded_image_string[:4] == b"GIF8"
    elif tracker == "wandb":
        identity = (tmp_path / "wandb.id").read_text()
        assert len(list((tmp_path / "wandb").glob(f"offline-run-*-{identity}"))) == 2
        media = [path.suffix for path in (tmp_path / "wandb").rglob("media/**/*") if path.is_file()]
        assert sorted(media) == [".gif", ".gif", ".png", ".png"]
    else:
        import aim

        command = [
            Path(sys.executable).with_name("aim"),
            "storage",
            "--repo",
            tmp_path,
            "reindex",
            "-y",
        ]
        subprocess.run(command, check=True, capture_output=True)  # as `aim up` does
        run = aim.Repo(str(tmp_path)).get_run((tmp_path / "aim.id").read_text())
        figures = {figure.name: sorted(figure.values.sparse_numpy()[1]) for figure in run.metrics()}
        logged = [row["validation_frame"] for row in read_lines(tmp_path / "metrics.jsonl")]
        assert figures["validation_frame"] == pytest.approx(sorted(logged)) and len(logged) == 2
        images = run.collect_sequence_info(("images",))["images"]
        assert {"strip", "rollout"} <= {image["name"] for image in images}


def settings(capsys, *words):
    """What --cfg prints, or what an error says."""
    with pytest.raises(SystemExit) as stop:
        training.main([*words, "--cfg"])
    captured = capsys.readouterr()
    return captured.out if stop.value.code == 0 else captured.err


def test_a_yaml_file_comes_after_the_preset_and_before_the_command_line(tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "updates: 100\nlearning_rate: 1.0e-3\nmodel:\n  grid: {width: 24}\nresume: false\n"
    )
    shown = settings(capsys, "snake", "updates=50", "--config", str(file))
    assert "updates: 50" in shown and "learning_rate: 0.001" in shown and "width: 24" in shown
    assert "resume: false" in shown and "batch_size: 32" in shown


def test_a_resolved_config_gives_every_preset_again(tmp_path):
    for name, preset in PRESETS.items():
        (tmp_path / "resolved_config.yaml").write_text(as_text(preset()) + "\n")
        words = ["--config", str(tmp_path / "resolved_config.yaml")]
        assert parse(PRESETS[name](), words, "train") == preset(), name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("updatez: 3", "unknown setting 'updatez'; did you mean 'updates'?"),
        ("model: {grid: {widht: 3}}", "did you mean 'model.grid.width'?"),
        ("updates: [1, 2]", "setting 'updates' got '[1, 2]', expected int"),
        ("updates: 1.5", "setting 'updates' got '1.5', expected int"),
        ("updates: -1", "setting 'updates' got -1, expected 0 or more"),
        ("- updates", "holds a list, not settings"),
        ("updates: [", "is no YAML"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_name(tmp_path, capsys, text, message):
    (tmp_path / "mine.yaml").write_text(text)
    shown = settings(capsys, "snake", "--config", str(tmp_path / "mine.yaml"))
    assert message in shown and "mine.yaml" in shown


def test_a_file_that_is_not_there_or_not_named_is_refused(tmp_path, capsys):
    assert "cannot be read" in settings(capsys, "snake", "--config", str(tmp_path / "other.yaml"))
    with pytest.raises(SystemExit):
        training.main(["snake", "--config"])
    assert "--config needs the name of a YAML file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "message"),
    [
        (
            "batch_size=0",
            "setting 'batch_size' got 0, expected 1 or more; the nearest possible value is 1",
        ),
        (
            "noise=-1",
            "setting 'noise' got -1.0, expected 0 or more; the nearest possible value is 0",
        ),
        (
            "damage=1.5",
            "setting 'damage' got 1.5, expected at most 1; the nearest possible value is 1",
        ),
        ("learning_rate=0", "setting 'learning_rate' got 0.0, expected more than 0"),
        ("learning_rate=nan", "setting 'learning_rate' got nan"),
        (
            "optimizer=adam",
            "setting 'optimizer' got 'adam', expected {adamw,muon}; did you mean 'adamw'?",
        ),
        ("tracker=wandbb", "did you mean 'wandb'?"),
    ],
)
def test_an_impossible_value_is_refused_with_its_key_and_the_nearest(word, message):
    with pytest.raises(SettingsError) as error:
        apply_overrides(TrainConfig(), dict([word.split("=")]))
    assert message in str(error.value)
