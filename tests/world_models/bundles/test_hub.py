"""Bundles by the Hub's conventions, offline."""

import importlib.util
import shutil
import types
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch

import world_models.bundles.bundle as checkpoint
from neural_envs.bundles import label_of, resolve_bundle
from neural_envs.cli import main as cli
from neural_envs.vector_env import NeuralVectorEnv
from world_models.bundles import FILES, BundleError
from world_models.bundles.hub import HubBundle
from world_models.bundles.network_access import _pinned
from world_models.bundles.shared_contexts import copy_bundle

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
    card = (hub / "somebody" / "snake" / "README.md").read_text()
    assert 'bundle="somebody/snake"' in card and "![A dream](dream.gif)" in card
    assert "## Results" in card and card.index("dream.gif") < card.index("## Provenance")
    assert (hub / "somebody" / "snake" / "dream.gif").read_bytes()[:6] == b"GIF89a"
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


def run_as_lerobot_does(file: Path):
    """The `make_env` of an env.py."""
    spec = importlib.util.spec_from_file_location("env_of_a_repository", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make_env


def test_a_pushed_bundle_is_an_environment_of_env_hub(hub):
    assert cli(["push", "snake", "somebody/snake", "--no-film"]) == 0
    make_env = run_as_lerobot_does(hub / "somebody" / "snake" / "env.py")
    env = make_env(n_envs=3, use_async_envs=True, cfg=object())  # which a config of its own brings
    assert isinstance(env, gymnasium.vector.VectorEnv) and env.num_envs == 3
    assert env.metadata["autoreset_mode"] is gymnasium.vector.AutoresetMode.SAME_STEP
    frames, _ = env.reset(seed=1)
    own = NeuralVectorEnv(3, bundle="snake")
    np.testing.assert_array_equal(frames, own.reset(seed=1)[0])
    env.step(env.action_space.sample())


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "env.py alone"])
def test_the_env_py_of_a_snapshot_takes_the_bundle_of_its_commit(tmp_path, monkeypatch, hub, whole):
    """A snapshot of the Hub's cache is links to blobs, of what was fetched."""
    assert cli(["push", "snake", "somebody/snake", "--no-film"]) == 0
    snapshot = tmp_path / "models--somebody--snake" / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    pushed = hub / "somebody" / "snake"
    for file in pushed.iterdir() if whole else [pushed / "env.py"]:
        (snapshot / file.name).symlink_to(file)
    if not whole:
        (pushed / "model.safetensors").unlink()
    asked = []
    monkeypatch.setattr(
        "neural_envs.vector_env.NeuralVectorEnv", lambda bundle, **rest: asked.append(bundle)
    )
    run_as_lerobot_does(snapshot / "env.py")()
    assert asked == [str(snapshot) if whole else "somebody/snake@0123abc"]


def test_loading_a_bundle_runs_nothing_that_lies_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "bundle"
    path.mkdir()
    copy_bundle(SNAKE, path)
    for name in ("env.py", "__init__.py", "conftest.py", "sitecustomize.py"):
        (path / name).write_text(f"open({str(tmp_path / 'canary')!r}, 'w').close()\n")
    monkeypatch.chdir(path)
    NeuralVectorEnv(1, bundle=str(path)).reset(seed=0)
    assert not (tmp_path / "canary").exists()


@pytest.fixture
def remote(monkeypatch, tmp_path):
    """A Hub with a repository whose newest commit is `commits[-1]`, in the cache's own layout; what
    it was asked is in `asked`.
    """
    commits, asked = ["a" * 40], []
    cache = tmp_path / "cache"

    def snapshot_download(name, revision=None, local_files_only=False, **options):
        asked.append((name, revision))
        assert "env.py" not in options["allow_patterns"]
        commit = commits[-1] if revision in (None, "main") else revision
        folder = cache / f"models--{name.replace('/', '--')}"
        path = folder / "snapshots" / commit
        if not path.exists():
            path.mkdir(parents=True)
            copy_bundle(SNAKE, path)
        if revision in (None, "main"):
            (folder / "refs").mkdir(exist_ok=True)
            (folder / "refs" / "main").write_text(commit)
        return str(path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("collectors.network_access.offline", lambda: "")
    return commits, asked


def test_a_repository_stays_at_the_commit_that_was_fetched_until_another_is_named(remote):
    commits, asked = remote
    assert resolve_bundle("somebody/snake").name == "a" * 40
    commits.append("b" * 40)
    assert resolve_bundle("somebody/snake").name == "a" * 40 and len(asked) == 1
    assert resolve_bundle("somebody/snake@main").name == "b" * 40
    assert resolve_bundle("somebody/snake").name == "b" * 40 and len(asked) == 2
    assert resolve_bundle(f"somebody/snake@{'a' * 40}").name == "a" * 40 and len(asked) == 2
    assert resolve_bundle(f"somebody/snake@{'c' * 40}").name == "c" * 40
    assert asked[-1] == ("somebody/snake", "c" * 40)
    assert label_of("somebody/snake@v1") == "somebody-snake-v1"


def test_a_copy_that_is_not_whole_is_fetched_again(remote):
    _, asked = remote
    (resolve_bundle("somebody/snake") / "config.json").unlink()
    resolve_bundle("somebody/snake")
    assert len(asked) == 2


@pytest.mark.parametrize("revision", ["../../x", "a/../..", "A" * 40, ""])
def test_no_revision_leads_out_of_the_cache(revision, tmp_path):
    (tmp_path / "refs").mkdir()
    (tmp_path / "refs" / "main").write_text("../../x")
    assert _pinned(tmp_path, revision) is None
