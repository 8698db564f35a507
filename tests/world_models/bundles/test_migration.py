"""Bundles of older formats: they load with a note, and are written in the newest one."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from neural_envs.cli import main
from world_models.bundles import BundleError, bundle, migration
from world_models.bundles.assembly import build_model
from world_models.bundles.bundle import OldBundleWarning, load_bundle, migrate_bundle
from world_models.bundles.identity import bundle_hash, bundle_hashes
from world_models.bundles.migration import FORMAT_VERSION, migrate_config, migrate_tensors
from world_models.noise import NoiseStream

# What the released bundles were in version 1: their configs and the names of their tensors.
OLD = json.loads(Path(__file__).with_name("bundles_of_version_1.json").read_text())


def full(config):
    return {**config, "provenance": {"command": "test"}, "scores": {}}


def old_bundle(path, name="snake-eqm"):
    """A bundle of version 1 with fresh weights."""
    torch.manual_seed(0)
    stored, names = full(OLD[name]["config"]), OLD[name]["tensors"]
    model = build_model(path, migrate_config(stored), 10**7)
    spec = model.spec
    contexts = bundle.Contexts(
        np.full((2, model.context_length, *spec.frame_shape), 90, np.uint8),
        np.zeros((2, model.context_length - 1), np.int64),
    )
    bundle.save_bundle(path, model, contexts, {"command": "test"}, {})
    new = migrate_tensors(stored, {name: name for name in names})
    weights = load_file(path / "model.safetensors")
    save_file({new[name]: value for name, value in weights.items()}, path / "model.safetensors")
    (path / "config.json").write_text(json.dumps(stored))
    return path


def load_quietly(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return load_bundle(path)


def dream(loaded):
    """Frames (T, B, H, W, C) of a short dream."""
    contexts, noise = loaded.contexts.choose(torch.tensor([0, 1])), NoiseStream.from_seeds
    state, frames = loaded.model.init(contexts), []
    for step in range(3):
        transition = loaded.model.step(state, torch.tensor([0, 1]), noise(torch.arange(2) + step))
        state = transition.state
        frames.append(transition.frame)
    return torch.stack(frames)


def files(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


@pytest.mark.parametrize("name", OLD)
def test_names_and_settings_of_every_old_release_fit_the_models_of_today(name):
    config, tensors = full(OLD[name]["config"]), OLD[name]["tensors"]
    model = build_model(Path(name), migrate_config(config), 10**7)
    assert set(migrate_tensors(config, dict.fromkeys(tensors))) == set(model.state_dict())


@pytest.mark.parametrize("name", OLD)
def test_new_names_are_left_alone_by_the_rules_so_that_an_interrupted_migration_can_go_on(name):
    config = full(OLD[name]["config"])
    once = migrate_tensors(config, dict.fromkeys(OLD[name]["tensors"]))
    assert migrate_tensors(config, once) == once


@pytest.mark.parametrize("name", ["snake-eqm", "pong-sprites", "pong-forcing"])
def test_an_old_bundle_loads_with_a_note_and_dreams_what_its_migrated_form_dreams(tmp_path, name):
    path = old_bundle(tmp_path / "old", name)
    with pytest.warns(
        OldBundleWarning, match=f"format 1 .*neural-envs migrate {re.escape(str(path))}"
    ):
        before = dream(load_bundle(path))
    new = migrate_bundle(path, tmp_path / "new")
    after = load_quietly(new)
    assert torch.equal(before, dream(after))
    assert after.config["format_version"] == FORMAT_VERSION
    assert json.loads((path / "config.json").read_text())["format_version"] == 1


def test_migrating_twice_changes_nothing(tmp_path):
    path = old_bundle(tmp_path / "b")
    migrate_bundle(path)
    once = files(path)
    migrate_bundle(path)
    assert files(path) == once and not list(path.glob("*.tmp"))


def test_a_migrated_bundle_is_still_the_one_that_an_earlier_dream_file_names(tmp_path):
    path = old_bundle(tmp_path / "b")
    before = bundle_hash(path)
    migrate_bundle(path)
    assert bundle_hashes(path) == (bundle_hash(path), before) and bundle_hash(path) != before


def test_weights_stay_in_the_precision_that_they_were_kept_in(tmp_path):
    path = old_bundle(tmp_path / "b", "pong-sprites")
    kinds = [value.dtype for value in load_file(path / "model.safetensors").values()]
    migrate_bundle(path)
    after = [value.dtype for value in load_file(path / "model.safetensors").values()]
    assert sorted(map(str, kinds)) == sorted(map(str, after)) and len(set(kinds)) == 2


def test_a_migration_that_stopped_between_two_files_still_loads_and_can_be_done_again(
    tmp_path, monkeypatch
):
    path = old_bundle(tmp_path / "b")
    with pytest.warns(OldBundleWarning):
        before = dream(load_bundle(path))

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(bundle, "_write_config", stop)
        migrate_bundle(path)
    with pytest.warns(OldBundleWarning):
        assert torch.equal(before, dream(load_bundle(path)))
    migrate_bundle(path)
    assert torch.equal(before, dream(load_quietly(path)))


def test_the_command_says_what_it_wrote_and_refuses_a_directory_that_is_in_use(tmp_path, capsys):
    path = old_bundle(tmp_path / "old")
    assert main(["migrate", str(path), "--out", str(tmp_path / "new")]) == 0
    assert f"new has format {FORMAT_VERSION}" in capsys.readouterr().out
    assert main(["migrate", str(path), "--out", str(tmp_path / "new")]) == 1
    assert "is there already: name a directory that is new or empty" in capsys.readouterr().err
    assert main(["migrate", str(path)]) == 0
    load_quietly(path)


@pytest.mark.parametrize("version", [0, -1, "2", None, True, FORMAT_VERSION + 1])
def test_an_unknown_version_is_a_sentence(tmp_path, version):
    path = old_bundle(tmp_path / "b")
    config = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**config, "format_version": version}))
    match = "upgrade neural-envs" if version == FORMAT_VERSION + 1 else "no format_version of 1"
    for use in (load_bundle, migrate_bundle):
        with pytest.raises(BundleError, match=match):
            use(path)


def test_a_row_renames_tensors_keys_and_values_of_its_kinds_alone(monkeypatch):
    row = migration.Renames(
        ("toy",),
        tensors=((r"^board\.", "encoder."),),
        keys=(("model.told", "share"), ("model.network.cnn", "stem")),
        values=(("model.network.stem", "", "none"), ("kind", "toy", "game")),
    )
    monkeypatch.setitem(migration.RENAMES, 1, (row,))
    config = {
        "format_version": 1,
        "kind": "toy",
        "model": {"told": 0.5, "network": {"cnn": "", "width": 4}},
    }
    assert migrate_tensors(config, {"board.w": 1, "outboard.w": 2}) == {
        "encoder.w": 1,
        "outboard.w": 2,
    }
    assert migrate_config(config) == {
        "format_version": FORMAT_VERSION,
        "kind": "game",
        "model": {"share": 0.5, "network": {"stem": "none", "width": 4}},
    }
    assert config["model"]["told"] == 0.5  # what is given is left as it is
    other = {**config, "kind": "other"}
    assert migrate_config(other)["model"] == other["model"]
    assert migrate_tensors(other, {"board.w": 1}) == {"board.w": 1}
    with pytest.raises(ValueError, match="two tensors"):
        migrate_tensors(config, {"board.w": 1, "encoder.w": 2})


def test_a_bundle_from_before_a_setting_was_added_is_what_it_was():
    before = {"format_version": FORMAT_VERSION, "kind": "tokens", "model": {"passes": 2}}
    later = {"copy_pixels": False, "choice_temperature": 0.0, "pixel_features": 0}
    later |= {
        "spread_order": False,
        "outcomes_by_frame": False,
        "rare": 0.0,
        "erased": 0.0,
        "new_edge": 0,
        "new_only": 0.5,
        "own_moves": 0.0,
        "sure_copy": 1.0,
        "least_share": 0.0,
        "draw_ends": False,
        "new_temperature": None,
        "move_temperature": None,
    }
    assert migrate_config(before)["model"] == {"passes": 2, **later}
    assert before["model"] == {"passes": 2}
    explicit = {**before, "model": {**later, "copy_pixels": True}}
    assert migrate_config(explicit) == explicit
    assert migrate_config({**before, "kind": "pixel"})["model"] == {"passes": 2}
