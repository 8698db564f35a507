"""Finding bundles."""

from __future__ import annotations

import json
from datetime import date

import gymnasium as gym
import pytest

from collectors.worlds.table import WORLDS
from neural_envs import bundles
from neural_envs.env import NeuralEnv
from world_models.bundles.migration import FORMAT_VERSION
from world_models.bundles.shared_contexts import contexts_file
from world_models.training.presets.table import PRESETS

checkpoint = pytest.importorskip("world_models.bundles.bundle")


def test_a_missing_bundle_is_named_with_what_there_is(monkeypatch):
    monkeypatch.setattr(bundles, "released_names", lambda: ["snake", "snake-eqm"])
    with pytest.raises(
        checkpoint.BundleError,
        match="no bundle 'snaek'.*did you mean 'snake'.*snake, snake-eqm.*directory",
    ):
        NeuralEnv("snaek")


@pytest.mark.parametrize("name", bundles.RETIRED)
def test_a_retired_bundle_says_how_to_train_it(name):
    with pytest.raises(checkpoint.BundleError, match=f"train {name}.*runs/{name}/bundle"):
        NeuralEnv(name)
    assert PRESETS[name]().out.name == name


def test_a_directory_that_is_no_bundle_says_why(tmp_path):
    with pytest.raises(checkpoint.BundleError, match=r"no config\.json"):
        bundles.resolve_bundle(tmp_path)


def test_a_missing_path_is_not_looked_for_on_the_hub(tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "_download", lambda name: pytest.fail("asked the Hub"))
    for name in (str(tmp_path / "none"), "./none", "runs/a/b"):
        with pytest.raises(checkpoint.BundleError, match="no bundle"):
            bundles.resolve_bundle(name)


def test_a_repository_that_cannot_be_fetched_says_so(monkeypatch):
    import huggingface_hub

    def refuse(*args, **kwargs):
        raise OSError("offline")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    monkeypatch.setattr("collectors.network_access.offline", lambda: "")
    with pytest.raises(checkpoint.BundleError, match=r"Hub repository.*\(offline\)"):
        bundles.resolve_bundle("somebody/dream")


def test_a_bundle_is_loaded_once_until_its_files_change(tmp_path, monkeypatch):
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(checkpoint, "load_bundle", lambda path, device: object())
    first = bundles.load(tmp_path)
    assert bundles.load(str(tmp_path)) is first
    (tmp_path / "model.safetensors").write_text("")
    assert bundles.load(tmp_path) is not first


def test_released_bundles_are_complete():
    for name in bundles.released_names():
        path = bundles.resolve_bundle(name)
        files = [path / file for file in bundles.FILES if file not in ("trust.npz", "contexts.npz")]
        assert all(file.is_file() for file in [*files, contexts_file(path)])


@pytest.mark.parametrize("world", [world for world in WORLDS if world in PRESETS])
def test_the_card_of_a_default_bundle_says_how_it_was_made(world):
    config = json.loads((bundles.resolve_bundle(world) / "config.json").read_text())
    made = config["provenance"]
    assert made["collect"].startswith(f"neural-envs collect {world}") and made["preset"] == world
    assert "threads" in made["machine"] and made["minutes"] > 1 and made["updates"] > 1_000
    assert date.fromisoformat(made["date"]) and len(made["commit"]) == len(made["dataset"]) - 24


@pytest.mark.parametrize("name", bundles.NOT_PACKAGED)
def test_a_bundle_that_is_not_packaged_says_how_to_get_it(name, tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "_HERE", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match=f"`neural-envs release {name}`"):
        bundles.resolve_bundle(name)


@pytest.mark.parametrize("id", ["NeuralPong-v0", "NeuralWorldMap-v0", "NeuralCoinRun-v0"])
def test_a_world_whose_bundle_is_not_released_says_which_are(id, monkeypatch):
    monkeypatch.setattr(bundles, "released_names", lambda: ["snake"])
    with pytest.raises(
        ValueError, match=r"neither a released name .* use a released name \(snake\)"
    ):
        gym.make(f"neural_envs:{id}")


def test_released_bundles_have_the_newest_format():
    for name in bundles.released_names():
        config = json.loads((bundles.resolve_bundle(name) / "config.json").read_text())
        assert config["format_version"] == FORMAT_VERSION, name
