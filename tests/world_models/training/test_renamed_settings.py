"""Settings of earlier versions are named as they are called now."""

import pytest

from agents.experiments.plan import PlanConfig
from agents.experiments.plan import main as plan
from collectors.settings.fields import list_settings
from collectors.settings.renamed import GONE, RENAMED
from neural_envs.commands.train import main as train
from neural_envs.commands.video import VideoConfig
from neural_envs.web.config import ServeConfig
from world_models.models.pixel import PixelConfig
from world_models.training.config import TrainConfig


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("pace: minutes", "setting 'pace' of earlier versions is called 'schedule' now"),
        ("end_weight: 3", "'end_weight' of earlier versions is called 'termination_event_weight'"),
        ("model: {resolver: x}", "unknown setting 'model.resolver': a setting names no code"),
    ],
)
def test_an_old_file_of_settings_is_told_the_new_name(line, shown, tmp_path, capsys):
    (tmp_path / "resolved_config.yaml").write_text(f"updates: 3\n{line}\n")
    with pytest.raises(SystemExit) as stop:
        train(["snake", f"--config={tmp_path / 'resolved_config.yaml'}"])
    assert stop.value.code == 2 and shown in capsys.readouterr().err


def test_so_is_an_old_command_line(capsys):
    with pytest.raises(SystemExit):
        plan(["search.end_price=3"])
    assert "is called 'search.termination_cost' now" in capsys.readouterr().err


def test_every_new_name_is_one_of_a_setting_and_no_old_one_is():
    settings = [TrainConfig, PixelConfig, PlanConfig, VideoConfig, ServeConfig]
    names = {row.name.rpartition(".")[2] for config in settings for row in list_settings(config)}
    assert set(RENAMED.values()) <= names
    assert not names & (set(RENAMED) | set(GONE))
