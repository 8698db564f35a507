"""What is installed with what: a light base, extras listed once, sentences for missing ones."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib

import pytest

import neural_envs
from collectors.extras import EXTRAS, MissingExtra, install, optional
from neural_envs.cli import VERBS
from tests.source_tree import FILES, PACKAGES, ROOT, imports

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LISTED = PROJECT["optional-dependencies"]
DISTRIBUTIONS = {"cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml"}
NOT_FOR_USERS = {"docs", "dev", "examples", "games", "wandb", "aim"}
# in it every optional package is as if it were not installed
BASE_ONLY = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {set(EXTRAS)}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
"""


def base_only(code: str, folder) -> str:
    """What a new interpreter without optional packages prints for this code."""
    done = subprocess.run(
        [sys.executable, "-c", BASE_ONLY + code],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def brought(extra: str) -> set[str]:
    """The distributions of an extra, those of the extras that it includes among them."""
    names = set()
    for line in LISTED[extra]:
        name, inner = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?", line).groups()
        if name == PROJECT["name"]:
            names |= {one for part in inner.split(",") for one in brought(part)}
        else:
            names.add(name.lower().replace("_", "-"))
    return names


def test_what_is_imported_is_in_the_base_or_in_an_extra_that_can_be_named():
    used = {name.split(".")[0] for file in FILES for name in imports(file)}
    used -= {*PACKAGES, *sys.stdlib_module_names, *EXTRAS}
    base = {re.split(r"[<>=!;\[ ]", line)[0].lower() for line in PROJECT["dependencies"]}
    assert {DISTRIBUTIONS.get(name, name).lower() for name in used} <= base
    for module, extra in EXTRAS.items():
        distribution = DISTRIBUTIONS.get(module, module).replace("_", "-")
        assert distribution in brought(extra), module


def test_the_citation_has_the_version_of_the_package():
    assert f"\nversion: {neural_envs.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"{{{neural_envs.__version__}}}" in (ROOT / "README.md").read_text()


def test_the_package_runs_as_the_command(tmp_path):
    code = "import runpy; sys.argv = ['x', '--version']; "
    code += "runpy.run_module('neural_envs', None, '__main__', True)"
    assert base_only(code, tmp_path).startswith("neural-envs ")


def test_all_is_everything_for_users():
    assert brought("all") == {
        name for extra in set(LISTED) - NOT_FOR_USERS for name in brought(extra)
    }


def test_every_extra_is_described_once():
    table = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/quickstart.md").read_text(), re.MULTILINE)
    assert sorted(table) == sorted(LISTED)


def test_the_base_alone_makes_and_steps_dreams_and_games_and_records(tmp_path):
    code = """
import gymnasium as gym, neural_envs, collectors
for name in ("NeuralSnake-v0", "NeuralPong-v0", "NeuralWorldMap-v0", "NeuralCoinRun-v0",
             "RealSnake-v0", "RealPong-v0", "RealWorldMap-v0"):
    env = gym.make(name)
    env.reset(seed=0)
    env.step(0)
    env.get_wrapper_attr("get_keys_to_action")()
from neural_envs.cli import main
assert main(["collect", "snake", "--frames", "200"]) == 0
try:
    gym.make("neural_envs:NeuralEnv-v0", bundle="organization/repository")
except gym.error.Error as error:
    print(error)
"""
    assert install("hub") in base_only(code, tmp_path)


def test_a_verb_without_its_extra_names_the_command_that_installs_it(tmp_path):
    code = """
import contextlib, io
from neural_envs.cli import VERBS, main
for verb in VERBS:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([verb, "--help"])
        except SystemExit as stop:
            code = stop.code
    print(verb, code, err.getvalue().replace("\\n", " "))
"""
    lines = [line.split(maxsplit=2) for line in base_only(code, tmp_path).splitlines()]
    failed = {verb: text[0] for verb, code, *text in lines if code != "0"}
    assert failed and all(install("agents") in text for text in failed.values()), failed
    assert all(VERBS[verb][0].startswith("agents.") for verb in failed)


def test_a_missing_package_is_an_error_of_gymnasium_and_of_python(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    for kind in (MissingExtra, ImportError):
        with pytest.raises(kind, match=re.escape(install("play"))):
            optional("pygame")


@pytest.mark.parametrize(
    ("origin", "extra", "whole"),
    [
        (None, '"neural-envs[web]"', '--force-reinstall --no-deps "neural-envs"'),
        (
            '{"url": "file:///src", "dir_info": {"editable": true}}',
            '-e "/src[web]"',
            '--force-reinstall --no-deps -e "/src"',
        ),
        (
            '{"url": "file:///a.whl", "archive_info": {}}',
            '"neural-envs[web] @ file:///a.whl"',
            '--force-reinstall --no-deps "neural-envs @ file:///a.whl"',
        ),
        (
            '{"url": "https://host/a.git", "vcs_info": {"vcs": "git"}}',
            '"neural-envs[web] @ git+https://host/a.git"',
            '--force-reinstall --no-deps "neural-envs @ git+https://host/a.git"',
        ),
    ],
)
def test_the_command_installs_from_where_the_package_came(origin, extra, whole, monkeypatch):
    class Installed:
        def read_text(self, name):
            return origin

    monkeypatch.setattr("collectors.extras.distribution", lambda name: Installed())
    assert install("web") == f"pip install {extra}" and install() == f"pip install {whole}"
