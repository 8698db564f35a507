"""What a run says, and what it refuses when it goes on."""

import pytest
from conftest_models import CONFIGS
from quick_runs import config_for

from collectors.progress import duration
from world_models.training import run as training
from world_models.training import run_report
from world_models.training.config import TrainingError
from world_models.training.run_report import unused_chance
from world_models.training.trainer import Trainer


def test_a_run_in_a_pipe_says_what_it_begins_with_and_a_line_per_validation(
    dataset_path, tmp_path, capsys
):
    training.train(config_for(dataset_path, tmp_path))
    start, cost, *lines = capsys.readouterr().err.splitlines()
    assert "multiply-adds per dreamed step; 6 updates take about " in cost
    assert start.startswith("training snake: 428 steps of ")
    assert "M parameters, on cpu (" in start and "6 updates, at most 170 minutes" in start
    assert [line.split(",")[0] for line in lines] == ["update 3 of 6", "update 6 of 6"]
    assert "held out: frame " in lines[0] and "left" in lines[0] and "left" not in lines[1]


def test_a_run_whose_chance_is_unused_says_so_at_its_end(
    dataset_path, tmp_path, capsys, monkeypatch
):
    config = config_for(dataset_path, tmp_path)
    certain = {"frame": 0.1, "reward": 0.0, "termination": 0.0, "prior": 1e-5}
    monkeypatch.setattr(Trainer, "validate", lambda trainer: certain)
    monkeypatch.setattr(run_report, "LEARNED", 6)
    training.train(config)
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("the chance variables are unused (0.0005 nats per frame): right for a ")
    model = config.model
    assert unused_chance(model, {"frame": 0.1, "prior": 0.02}) == ""
    assert unused_chance(CONFIGS["tokens"], certain) == unused_chance(model, {"frame": 0.1}) == ""


def test_a_finished_run_has_nothing_to_do_and_keeps_its_files(dataset_path, tmp_path, capsys):
    config = config_for(dataset_path, tmp_path)
    bundle = training.train(config)
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}
    capsys.readouterr()
    assert training.train(config) == bundle
    assert "6 updates are done, nothing to do" in capsys.readouterr().err
    assert before == {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*.json")}


def test_a_finished_run_without_its_bundle_writes_it_again(dataset_path, tmp_path):
    config = config_for(dataset_path, tmp_path)
    (training.train(config) / "config.json").unlink()
    assert (training.train(config) / "config.json").is_file()


def test_a_run_goes_on_with_more_updates_and_says_from_where(dataset_path, tmp_path, capsys):
    training.train(config_for(dataset_path, tmp_path))
    training.train(config_for(dataset_path, tmp_path, updates=9))
    assert "going on from update 6" in capsys.readouterr().err


def test_other_settings_are_refused_when_a_run_goes_on_unless_they_are_allowed(
    dataset_path, tmp_path
):
    training.train(config_for(dataset_path, tmp_path))
    changed = {"updates": 9, "learning_rate": 1e-3}
    with pytest.raises(TrainingError, match="learning_rate=0.002, not 0.001.*allow_changes=true"):
        training.train(config_for(dataset_path, tmp_path, **changed))
    training.train(config_for(dataset_path, tmp_path, **changed, allow_changes=True))


def test_other_data_are_refused_when_a_run_goes_on(dataset_path, tmp_path):
    training.train(config_for(dataset_path, tmp_path))
    record = tmp_path / "run.json"
    record.write_text(record.read_text().replace('"dataset": "', '"dataset": "0'))
    with pytest.raises(TrainingError, match="the dataset has another fingerprint"):
        training.train(config_for(dataset_path, tmp_path, updates=9))


@pytest.mark.parametrize(("seconds", "text"), [(40, "40 s"), (720, "12 min"), (12_600, "3.5 h")])
def test_durations_are_said_as_people_do(seconds, text):
    assert duration(seconds) == text
