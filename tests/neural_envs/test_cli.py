"""The command: verbs, and what happens when one cannot run."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import types
from pathlib import Path

import pytest

from collectors.extras import install
from collectors.settings.run_command import OURS
from collectors.size_limits import ALLOW_LARGE, allow_large
from neural_envs import cli

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def verb(monkeypatch):
    """Installs a verb "work" whose main is the function given."""

    def install(main):
        module = types.ModuleType("agents.work")
        module.main = main
        package = types.ModuleType("agents")
        package.__neural_envs__ = True
        monkeypatch.setitem(sys.modules, "agents", package)
        monkeypatch.setitem(sys.modules, "agents.work", module)
        monkeypatch.setitem(cli.VERBS, "work", ("agents.work:main", "work"))

    return install


def foreign_module(name):
    module = types.ModuleType(name)
    module.__spec__ = importlib.util.spec_from_file_location(name, f"/elsewhere/{name}/__init__.py")
    return module


def raising(error):
    def main(argv):
        raise error

    return main


def test_help_lists_every_verb(capsys):
    assert cli.main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in cli.VERBS)


def test_no_verb_shows_the_help_and_fails(capsys):
    assert cli.main([]) == 2 and "usage" in capsys.readouterr().out


def test_version_is_printed(capsys):
    assert cli.main(["--version"]) == 0 and capsys.readouterr().out.startswith("neural-envs 0.")


def test_an_unknown_verb_names_the_nearest(capsys):
    assert cli.main(["trian"]) == 2 and "did you mean 'train'?" in capsys.readouterr().err
    assert (
        cli.main(["xyzzy"]) == 2
        and "collect, record, stats, export, import, train" in capsys.readouterr().err
    )


def test_a_verb_gets_the_rest_of_the_line_and_gives_the_exit_code(verb):
    words = []
    verb(lambda argv: words.append(argv) or 3)
    assert cli.main(["work", "a", "--b=1"]) == 3 and words == [["a", "--b=1"]]


def test_a_missing_extra_is_named(verb, capsys):
    verb(raising(ModuleNotFoundError("No module", name="stable_baselines3.common")))
    assert cli.main(["work"]) == 1 and install("agents") in capsys.readouterr().err


def test_our_own_errors_are_a_sentence_and_others_are_raised(verb, capsys):
    checkpoint = pytest.importorskip("world_models.bundles.bundle")
    verb(raising(checkpoint.BundleError("the bundle is of a newer format")))
    assert (
        cli.main(["work"]) == 1
        and "work: the bundle is of a newer format" in capsys.readouterr().err
    )
    verb(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["work"])


def test_a_reader_that_goes_away_is_no_error():
    code = "import sys; from neural_envs import cli; cli.VERBS['x'] = ('agents.x:main', 'x')\n"
    code += (
        "import types, agents; module = sys.modules['agents.x'] = types.ModuleType('agents.x')\n"
    )
    code += (
        "module.main = lambda words: [print('word' * 1000) for _ in range(1000)] and "
        "0\nsys.exit(cli.main(['x']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 141


def test_a_reader_of_the_help_that_goes_away_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "neural_envs", "train", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 141


def test_an_interrupted_verb_exits_with_130(verb):
    verb(raising(KeyboardInterrupt()))
    assert cli.main(["work"]) == 130


def test_a_foreign_package_of_our_name_is_named_with_its_distribution(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "agents", foreign_module("agents"))
    monkeypatch.setattr(
        cli, "packages_distributions", lambda: {"agents": ["openai-agents", "neural-envs"]}
    )
    assert cli.main(["ppo"]) == 1
    text = capsys.readouterr().err
    assert "'openai-agents'" in text
    assert f"pip uninstall -y openai-agents, then {install()}" in text


def test_a_package_whose_files_went_with_a_foreign_one_is_to_be_installed_again(
    monkeypatch, capsys
):
    """pip uninstall openai-agents takes `agents/__init__.py` along, which both have."""
    monkeypatch.setitem(sys.modules, "agents", types.ModuleType("agents"))
    monkeypatch.setattr(cli, "packages_distributions", lambda: {"agents": ["neural-envs"]})
    assert cli.main(["ppo"]) == 1 and install() in capsys.readouterr().err


def test_a_foreign_folder_of_our_name_is_named_too(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "agents", foreign_module("agents"))
    monkeypatch.setattr(cli, "packages_distributions", dict)
    assert cli.main(["ppo"]) == 1 and "start from another directory" in capsys.readouterr().err


def test_all_four_packages_carry_the_marker():
    for package in OURS:
        assert cli.foreign(package) == "", package


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_switch_for_large_files_is_taken_by_every_verb(place, monkeypatch):
    monkeypatch.delenv(ALLOW_LARGE, raising=False)
    found = []
    stub = types.SimpleNamespace(
        main=lambda words, agents: found.append((words, allow_large())) or 0
    )
    monkeypatch.setattr(cli, "foreign", lambda package: "")
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: stub)
    words = ["play", "snake"]
    words.insert(place, "--allow-large")
    assert cli.main(words) == 0 and cli.main(["play", "snake"]) == 0
    assert found == [(["snake"], True), (["snake"], False)]
