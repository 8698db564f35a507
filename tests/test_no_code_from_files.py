"""What a file says is never run: one test per way in, each with a canary that must not appear."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import sys
import zipfile
from pathlib import Path

import gymnasium
import pytest
import torch

from collectors.recording.collect import collect
from neural_envs.bundles import resolve_bundle

ENDLESS = torch.zeros(1).expand(10**12)  # terabytes, of a file of some bytes


class Touch:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """A file that must not appear, and a module `evilmod` that would make it."""
    path = tmp_path / "canary"
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "evilmod.py").write_text(f"open({str(path)!r}, 'w').close()\n")
    monkeypatch.syspath_prepend(str(folder))
    yield path
    assert not path.exists() and "evilmod" not in sys.modules


@pytest.fixture
def dataset(tmp_path):
    return collect("RealSnake-v0", tmp_path / "data", 60, "random", seed=3).path


@pytest.fixture
def bundle(tmp_path):
    """A bundle that names a module as its world."""
    path = shutil.copytree(resolve_bundle("pong"), tmp_path / "bundle")
    config = json.loads((path / "config.json").read_text())
    config["spec"]["world"] = "evilmod:Game-v0"
    (path / "config.json").write_text(json.dumps(config))
    return path


def change_env_spec(path: Path, **changes) -> None:
    manifest = json.loads((path / "manifest.json").read_text())
    spec = {**json.loads(manifest["env_spec"]), **changes}
    manifest["env_spec"] = json.dumps(spec)
    (path / "manifest.json").write_text(json.dumps(manifest))


def attacks(canary: Path) -> dict[str, dict]:
    command = {"command": f"touch {canary}"}
    wrapper = {"name": "w", "entry_point": "os:system", "kwargs": command}
    return {
        "another function": {"id": "E-v0", "entry_point": "os:system", "kwargs": command},
        "a function under a known id": {"entry_point": "os:system", "kwargs": command},
        "a wrapper": {"additional_wrappers": [wrapper]},
        "a vector entry point": {"vector_entry_point": "evilmod:Game"},
        "a game in a game": {
            "id": "AnyGame-v0",
            "entry_point": "collectors.worlds.any_game:AnyGame",
            "kwargs": {"env": "evilmod:Game-v0"},
        },
    }


@pytest.mark.parametrize("attack", attacks(Path("canary")))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_exporting_a_dataset_makes_no_game_that_only_the_dataset_names(
    dataset, canary, attack, monkeypatch, tmp_path
):
    pytest.importorskip("minari")
    from collectors.interchange.export_command import main as export_main

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "shelf"))
    change_env_spec(dataset, **attacks(canary)[attack])
    assert export_main([str(dataset), "ours/evil-v0"]) == 0


def test_a_known_game_is_still_exported_with_its_options(tmp_path, monkeypatch):
    pytest.importorskip("minari")
    from collectors.dataset.minari_metadata import trusted_spec

    made = gymnasium.make("collectors:RealSnake-v0", grid_size=8)
    assert made.spec is not None
    found = trusted_spec(json.loads(made.spec.to_json()))
    assert found is not None and found.kwargs["grid_size"] == 8
    assert gymnasium.make(found).unwrapped.observation_space == made.observation_space


FILES = {  # a settings file, and the verb that reads it
    "a resolver": ("train", "model: {resolver: 'os:system', teacher: 'touch CANARY'}"),
    "a teacher": ("train", "model: {teacher: 'evilmod:load'}"),
    "a tag of YAML": ("train", "model: !!python/object/apply:os.system ['touch CANARY']"),
    "a game": ("collect", "env: evilmod:Game-v0"),
    "a game among options": ("collect", "options: ['env=evilmod:Game-v0']"),
    "a game as a kind": ("collect", "env: {type: 'evilmod:Game-v0'}"),
    "a game in a key": ("collect", "'env=evilmod:Game-v0': ''"),
    "a game behind a line break": ("collect", 'env: "evilmod:\\nGame-v0"'),
    "a game that begins with a number": ("collect", "env: 'evilmod:0Game-v0'"),
    "a game in a list in a list": ("collect", "options: [[env=evilmod:Game-v0]]"),
    "a module by a letter beyond ASCII": ("collect", "env: 'évilmod:Game-v0'"),
    "a twin": ("play", "twin: evilmod:Game-v0"),
    "a policy maker": ("evaluate", "policy_maker: 'evilmod:make'"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_settings_file_names_no_code(name, canary, tmp_path, capsys):
    from neural_envs.cli import main

    verb, text = FILES[name]
    file = tmp_path / "settings.yaml"
    file.write_text(text.replace("CANARY", str(canary)))
    first = ["worldmap-distilled"] if verb == "train" else []
    with pytest.raises(SystemExit) as stop:
        main([verb, *first, "--config", str(file)])
    assert stop.value.code == 2 and "Traceback" not in capsys.readouterr().err


def test_aliases_that_unfold_without_end_are_refused_at_once(tmp_path):
    from collectors.settings.yaml_file import file_words

    file = tmp_path / "settings.yaml"
    rows = [f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9)}]" for n in range(1, 12)]
    for text in ["\n".join(["x0: &x0 [1, 2]", *rows]), "x: &x [*x]", "x: &x {y: *x}"]:
        file.write_text(text)
        with pytest.raises(ValueError, match="aliases"):
            file_words(file)
    file.write_text("x: " + "[" * 100_000)
    with pytest.raises(ValueError, match="is no YAML"):
        file_words(file)


def test_a_settings_file_may_name_policies_with_numbers_and_devices(tmp_path):
    from collectors.settings.yaml_file import file_words

    file = tmp_path / "settings.yaml"
    file.write_text("policy: astar:0.2\ndevice: cuda:0\nray: ray://host:6379\nout: C:/data\n")
    assert len(file_words(file)) == 4


def test_play_makes_no_real_game_that_only_the_bundle_names(bundle, canary, capsys, monkeypatch):
    from neural_envs.commands.play import main

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    assert main(["--bundle", str(bundle), "--real", "--max-steps=1"]) == 1
    assert "--twin evilmod:Game-v0" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["transfer", "demo", "ppo --world real", "ppo --world=real"])
def test_agents_play_no_real_game_that_only_the_bundle_names(
    bundle, canary, verb, capsys, tmp_path
):
    from neural_envs.cli import main

    words = [*verb.split(), "--bundle", str(bundle), "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert "name it as the first word, evilmod:Game-v0" in capsys.readouterr().err


def test_bench_times_no_real_game_that_only_the_bundle_names(bundle, canary, capsys):
    pytest.importorskip("stable_baselines3")
    from agents.benchmarks.ppo import ppo_report

    assert ppo_report([str(bundle)], 16, 1, "eager") == {}
    assert "is not timed: it dreams 'evilmod:Game-v0'" in capsys.readouterr().out


def test_the_page_shows_no_real_game_that_only_the_bundle_names(bundle, canary):
    from neural_envs.play.twins import PlayError, make_dream, real_twin

    dream = make_dream("evilmod:Game-v0", "cpu", str(bundle))
    with pytest.raises(PlayError, match="no game is imported because a file says so"):
        real_twin(dream, "evilmod:Game-v0")


@pytest.fixture
def policy(tmp_path):
    """A small policy of ours."""
    pytest.importorskip("stable_baselines3")
    from agents.ppo.presets import PPOSettings
    from agents.ppo.train import PPOConfig, train_ppo

    small = PPOSettings(num_envs=2, n_steps=8, batch_size=16, n_epochs=1)
    return train_ppo(PPOConfig("snake", "real", 16, str(tmp_path / "run"), ppo=small))


def rewrite(path: Path, changes: dict[str, bytes | None]) -> None:
    """The zip with other members; None takes one out."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members |= {name: b"" if content is None else content for name, content in changes.items()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            if changes.get(name, b"") is not None:
                archive.writestr(name, content)


def pickled_data(canary: Path) -> bytes:
    """The `data` member of a file of stable-baselines3 that runs code."""
    import base64

    text = base64.b64encode(pickle.dumps(Touch(canary))).decode()
    return json.dumps({"policy_class": {":type:": "x", ":serialized:": text}}).encode()


def pickled_weights(canary: Path) -> bytes:
    target = io.BytesIO()
    torch.save({"weight": Touch(canary)}, target)
    return target.getvalue()


def test_the_settings_that_stable_baselines_pickles_are_not_read(policy, canary):
    from agents.ppo.train import load_policy

    rewrite(policy, {"data": pickled_data(canary)})
    assert load_policy(policy).num_timesteps == 16


def test_pickled_weights_of_a_policy_are_refused(policy, canary):
    from agents.ppo.policy_file import PolicyFileError
    from agents.ppo.train import load_policy

    for member in ("policy.pth", "policy.optimizer.pth"):
        rewrite(policy, {member: pickled_weights(canary)})
        with pytest.raises(PolicyFileError, match="is damaged"):
            load_policy(policy)


@pytest.mark.parametrize(
    "weights",
    [3, None, [1], {"a": 3}, {"a": torch.zeros(2, 2).to_sparse()}, {"a": ENDLESS}],
    ids=range(6),
)
def test_a_policy_whose_weights_are_no_tensors_is_a_sentence(policy, weights):
    from agents.ppo.policy_file import PolicyFileError
    from agents.ppo.train import load_policy

    target = io.BytesIO()
    torch.save(weights, target)
    rewrite(policy, {"policy.pth": target.getvalue()})
    with pytest.raises(PolicyFileError, match="its weights are no tensors"):
        load_policy(policy)


def test_a_policy_with_few_bytes_that_claim_to_be_many_numbers_is_a_sentence(policy):
    from agents.ppo.policy_file import PolicyFileError
    from agents.ppo.train import load_policy

    target = io.BytesIO()
    torch.save({"state": {0: {"exp_avg": ENDLESS}}, "param_groups": []}, target)
    rewrite(policy, {"policy.optimizer.pth": target.getvalue()})
    with pytest.raises(PolicyFileError, match="its weights are no tensors"):
        load_policy(policy)


def test_a_foreign_policy_is_refused_with_the_way_to_convert_it(policy, canary, tmp_path):
    from agents.ppo.policy_file import MEMBER, PolicyFileError, main
    from agents.ppo.train import load_policy

    foreign = shutil.copy(policy, tmp_path / "foreign.zip")
    rewrite(foreign, {MEMBER: None})
    with pytest.raises(PolicyFileError, match="agents.ppo.policy_file"):
        load_policy(foreign)
    assert main([str(foreign), str(tmp_path / "new.zip")]) == 0
    assert load_policy(tmp_path / "new.zip").num_timesteps == 16
    rewrite(foreign, {"data": pickled_data(canary)})
    with pytest.raises(PolicyFileError, match="runs whatever code"):
        load_policy(foreign)


def test_a_checkpoint_that_somebody_put_into_a_run_is_not_unpickled(policy, canary, capsys):
    from agents.ppo.presets import PPOSettings
    from agents.ppo.train import PPOConfig, train_ppo

    small = PPOSettings(num_envs=2, n_steps=8, batch_size=16, n_epochs=1)
    run = PPOConfig("snake", "real", 32, str(policy.parent), ppo=small)
    policy.parent.joinpath("settings.yaml").unlink()
    train_ppo(run)  # writes the settings that the checkpoint is compared with
    checkpoint = shutil.copy(policy, policy.with_name("checkpoint.zip"))
    rewrite(checkpoint, {"data": pickled_data(canary), "policy.pth": pickled_weights(canary)})
    train_ppo(run)  # from the beginning
    assert f"passing over {checkpoint}" in capsys.readouterr().err


def test_a_training_checkpoint_that_somebody_put_into_a_run_is_not_unpickled(
    canary, tmp_path, capsys
):
    from world_models.training.checkpoints import newest_checkpoint

    checkpoint = tmp_path / "checkpoint_0000001.pt"
    torch.save({"progress": Touch(canary)}, checkpoint)
    assert newest_checkpoint(tmp_path) is None
    assert f"passing over {checkpoint}" in capsys.readouterr().err


def test_stable_baselines_itself_reads_a_policy_of_ours(policy):
    from stable_baselines3 import PPO

    assert PPO.load(policy, device="cpu").num_timesteps == 16


def test_the_canary_sings_where_a_file_is_unpickled(tmp_path):
    """The attack of these tests works on a reader that unpickles."""
    pickle.loads(pickle.dumps(Touch(tmp_path / "sung")))
    assert (tmp_path / "sung").exists()
