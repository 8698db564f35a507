"""A release: from nothing to a bundle with its figures and where it comes from, by one command."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from agents.evaluation.evaluate import Report
from agents.experiments import release as module
from agents.experiments.release import main
from collectors.recording.presets import recordings
from neural_envs.bundles import NOT_PACKAGED, released_names
from world_models.bundles.bundle import load_bundle, update_scores
from world_models.models.chance import ChanceConfig
from world_models.networks.grid import GridConfig
from world_models.training.presets.table import PRESETS

SIZES = {"transitions": 20, "random_actions": 10, "rollouts": 2, "horizon": 4, "kid_frames": 0}
SIZES |= {"survival_steps": 5, "survival_lanes": 2, "kid_depth": 2, "trust_transitions": 0}
WORDS = ["tiny", "--frames=1200", "--workers=1", "--no-ranking", "--threads=1"]
WORDS += [f"--evaluation.{name}={value}" for name, value in SIZES.items()]


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A preset that takes a second, in an empty folder."""
    model = ChanceConfig(grid=GridConfig(8, 4, 1, 1), context_length=1)
    quick = {"batch_size": 4, "warmup": 2, "validate_every": 4, "validation_batches": 1}
    preset = replace(PRESETS["worldmap"](), model=model, updates=4, contexts=4, **quick)
    monkeypatch.setitem(PRESETS, "tiny", lambda: preset)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def measured(config):
    """What `evaluate_bundle` returns and writes, without the measuring."""
    update_scores(config.bundle, {"one_step.psnr": 12.5})
    return Report({"one_step.psnr": 12.5}, Path(config.out), "", "none", 0.0, {})


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_release_collects_trains_evaluates_and_says_where_the_bundle_comes_from(
    tiny, monkeypatch, capsys, whole
):
    if not whole:
        monkeypatch.setattr(module, "evaluate_bundle", measured)
    assert main([*WORDS, "--to=bundles"]) == 0
    assert "bundle: release/tiny/bundle" in capsys.readouterr().out
    bundle = load_bundle(tiny / "release" / "tiny" / "bundle")
    made = bundle.config["provenance"]
    manifest = json.loads((tiny / "data" / "worldmap" / "manifest.json").read_text())
    assert manifest["preset"] == "worldmap" and manifest["mixture"]
    record = json.loads((tiny / "release" / "tiny" / "release.json").read_text())
    assert made["dataset"] == record["dataset"] and made["updates"] == 4
    assert made["preset"] == "tiny" and "neural-envs release tiny" in made["command"]
    assert made["collect"] == "neural-envs collect worldmap --frames 1200"
    assert {"commit", "minutes", "date", "machine"} <= set(made) and "cores" in made["machine"]
    assert bundle.config["scores"]["one_step.psnr"] == record["scores"]["one_step.psnr"]
    card = (tiny / "bundles" / "tiny" / "README.md").read_text()
    assert "- minutes: " in card and "- one_step.psnr: " in card and str(tiny) not in card
    load_bundle(tiny / "bundles" / "tiny")


def test_a_release_goes_on_where_it_stopped_and_does_nothing_twice(tiny, monkeypatch, capsys):
    calls, broken = [], [True]

    def stage(name, product):
        def work(*_):
            calls.append(name)
            if name == "evaluate" and broken.pop():
                raise ValueError("the lights went out")
            (tiny / product).parent.mkdir(parents=True, exist_ok=True)
            (tiny / product).write_text("{}")
            return {}

        monkeypatch.setattr(module, f"_{name}", work)

    stage("collect", "data/worldmap/manifest.json")
    stage("train", "release/tiny/run/bundle")
    stage("evaluate", "release/tiny/bundle/config.json")
    assert main(WORDS) == 1 and "the lights went out" in capsys.readouterr().err
    broken.append(False)
    assert main(WORDS) == 0 and main(WORDS) == 0
    assert calls == ["collect", "train", "evaluate", "evaluate"]
    assert main([*WORDS, "--updates=5"]) == 1
    assert "with updates=0, not 5" in capsys.readouterr().err


def test_a_preset_without_a_recording_and_an_unknown_one_are_refused(capsys):
    assert main(["any"]) == 1 and "data of your own" in capsys.readouterr().err
    assert main(["snaek"]) == 1 and "did you mean 'snake'" in capsys.readouterr().err


def test_policies_are_ranked_on_levels_and_regions_that_are_kept_for_the_test():
    held_out = {name: module._held_out(recording) for name, recording in recordings().items()}
    assert held_out["snake"] == () and held_out["worldmap"] == ("region=test",)
    assert held_out["coinrun"] == ("levels=test",)
    assert held_out["pong-rally"] == ("size=24", "points_to_win=1")


def test_every_released_bundle_can_be_made_by_a_preset_of_its_name():
    assert set(released_names()) | set(NOT_PACKAGED) <= set(PRESETS)
    assert all(PRESETS[name]().data.name in recordings() for name in released_names())
