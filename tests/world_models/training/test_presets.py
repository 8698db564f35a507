"""Presets: their names and their budgets."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from collectors.recording.presets import recordings
from collectors.settings.fields import list_settings
from collectors.settings.values import KindOf
from collectors.worlds.table import WORLDS
from world_models.models.table import FAMILIES, build_model
from world_models.noise import NoiseStream
from world_models.protocols import Context, WorldSpec
from world_models.training import run as training
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS


def test_an_unknown_preset_names_the_nearest(capsys):
    assert training.main(["snaek"]) == 2
    assert "did you mean 'snake'" in capsys.readouterr().err


def test_every_preset_of_a_world_trains_on_a_recording_that_collect_knows():
    named = {config().data for name, config in PRESETS.items() if not name.startswith("any")}
    assert named <= {Path("data") / name for name in recordings()}
    assert all(PRESETS[world]().data == Path("data") / world for world in WORLDS)


def settings_of(source):
    """All settings below a config, those of each kind that a field may be of among them."""
    for row in list_settings(source):
        yield row
        for kind in row.type.kinds.values() if isinstance(row.type, KindOf) else ():
            yield from settings_of(kind)


@pytest.mark.parametrize("source", [TrainConfig, *(row.config_class for row in FAMILIES)])
def test_every_setting_of_training_and_of_models_has_words_in_help(source):
    rows = list(settings_of(source))
    assert len(rows) > 2 and [row.name for row in rows if not row.help] == []


def of_a_reference(name):
    return PRESETS[name].__module__.endswith("reference")


# multiplications per frame: forty steps; four passes over 30 bits per patch
BUDGETS = {"worldmap-ddpm": 3e9, "worldmap": 0.55e9}


# (H, W, C) of a preset's own world where it is not 64 x 64 x 3
FRAMES = {"coinrun-pixel": (84, 84, 4), "pong-forcing": (24, 24, 3)}


@pytest.mark.parametrize(
    "name", [name for name in PRESETS if not of_a_reference(name) and "distilled" not in name]
)
def test_every_preset_makes_a_model_within_its_budget(name):
    config = PRESETS[name]()
    shape = FRAMES.get(name, (64, 64, 3))
    spec = WorldSpec(name, shape, tuple("abcdefghijklmno"), (-1.0, 0.0, 1.0), 10, 100)
    noise = np.random.default_rng(0).integers(256, size=(3, *shape), dtype=np.uint8)
    model = build_model(spec, config.model, frames=lambda: [noise])
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
    budget = BUDGETS.get(name, 0.3e9)
    assert calls.get_total_flops() / 2 < budget  # multiplications per frame
