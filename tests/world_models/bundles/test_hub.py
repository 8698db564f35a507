"""Bundles by the Hub's conventions, offline."""

import shutil
import types
from pathlib import Path

import numpy as np
import pytest
import torch

import world_models.bundles.bundle as checkpoint
from neural_envs.cli import main as cli
from world_models.bundles import FILES, BundleError
from world_models.bundles.hub import HubBundle

SNAKE = Path(checkpoint.__file__).parents[2] / "neural_envs" / "bundles" / "snake"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A Hub on this disk: what is uploaded to a repository can be downloaded from it."""

    def upload_folder(self, repo_id, folder_path, **options):
        shutil.copytree(folder_path, tmp_path / "hub" / repo_id)
        return f"https://hub/{repo_id}/commit/1"

    def create_repo(self, repo_id, **options):
        return types.SimpleNamespace(repo_id=repo_id)

    methods = {
        "__init__": lambda self, token=None: None,
        "create_repo": create_repo,
        "upload_folder": upload_folder,
    }
    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", type("Api", (), methods))
    monkeypatch.setattr(
        "world_models.bundles.hub.download_bundle",
        lambda name, **options: tmp_path / "hub" / name,
    )
    monkeypatch.setattr("collectors.network_access.offline", lambda: "")
    return tmp_path / "hub"


def same(one: HubBundle, other: HubBundle) -> bool:
    pairs = zip(
        one.bundle.model.state_dict().values(),
        other.bundle.model.state_dict().values(),
        strict=True,
    )
    contexts = (one.bundle.contexts.frames, other.bundle.contexts.frames)
    return all(torch.equal(a, b) for a, b in pairs) and np.array_equal(*contexts)


def test_a_bundle_is_saved_and_loaded_with_all_its_files(tmp_path):
    bundle = HubBundle.from_pretrained(SNAKE)
    bundle.save_pretrained(tmp_path / "copy")
    there = {file.name for file in SNAKE.iterdir()} & set(FILES)
    assert (
        {file.name for file in (tmp_path / "copy").iterdir()} == there >= set(FILES) - {"trust.npz"}
    )
    for name in there:
        assert (tmp_path / "copy" / name).read_bytes() == (SNAKE / name).read_bytes()
    again = HubBundle.from_pretrained(tmp_path / "copy")
    assert same(bundle, again) and not again.bundle.model.training
    with pytest.raises(BundleError, match="lies in"):
        again.save_pretrained(tmp_path / "copy")
    assert (tmp_path / "copy" / "config.json").exists()


def test_a_pushed_bundle_is_what_is_fetched_and_its_card_names_the_repository(hub, capsys):
    assert cli(["push", "snake", "somebody/snake"]) == 0
    assert capsys.readouterr().out.strip() == "https://hub/somebody/snake/commit/1"
    assert 'bundle="somebody/snake"' in (hub / "somebody" / "snake" / "README.md").read_text()
    assert same(HubBundle.from_pretrained("somebody/snake"), HubBundle.from_pretrained(SNAKE))


def test_what_cannot_be_loaded_or_pushed_is_a_sentence(tmp_path, capsys):
    for name in ("nothing", "./no/such/place", str(tmp_path / "none")):
        with pytest.raises(BundleError, match="there is no directory"):
            HubBundle.from_pretrained(name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="no config.json"):
        HubBundle.from_pretrained(tmp_path / "empty")
    with pytest.raises(BundleError, match="could not be fetched"):
        HubBundle.from_pretrained("somebody/snake-that-is-not-there")
    assert cli(["push", "snake", "somebody/snake"]) == 1
    assert "could not be pushed" in capsys.readouterr().err
