"""What type checkers see of this package in a user's script."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import neural_envs

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = """
import neural_envs
from neural_envs import NeuralEnv, NeuralVectorEnv

reveal_type(NeuralEnv)
reveal_type(NeuralVectorEnv)
env = NeuralEnv("snake", max_episode_steps=10)
frame, info = env.reset(seed=0)
frame, reward, terminated, truncated, info = env.step(1)
reveal_type(reward)
lanes = NeuralVectorEnv(2, bundle="snake")
frames, rewards, terminations, truncations, infos = lanes.step([0, 1])
reveal_type(infos)
"""
WRONG = "env.no_such_attribute\nneural_envs.NoSuchName\n"
MYPY = """
[mypy]
follow_imports = silent
ignore_missing_imports = True
[mypy-torch.*]
follow_imports = skip
"""  # reading torch takes a minute, and no type of it is asked for here


@pytest.fixture
def check(tmp_path):
    """check(tool, script) -> (exit code, output) of a type checker."""

    def run(tool: str, script: str) -> tuple[int, str]:
        if importlib.util.find_spec(tool) is None:
            pytest.skip(f"{tool} is not installed: pip install -e '.[dev]'")
        (tmp_path / "script.py").write_text(script)
        (tmp_path / "mypy.ini").write_text(MYPY)
        (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
        words = {
            "mypy": ["--config-file", "mypy.ini", "--cache-dir", "cache"],
            "pyright": ["--pythonpath", sys.executable],
        }
        done = subprocess.run(
            [sys.executable, "-m", tool, *words[tool], "script.py"],
            cwd=tmp_path,
            env={**os.environ, "MYPYPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.timeout(300)
@pytest.mark.parametrize("tool", ["mypy", "pyright"])
def test_the_two_classes_have_types_and_a_wrong_attribute_is_an_error(check, tool):
    code, output = check(tool, SCRIPT + WRONG)
    assert code == 1 and "2 errors" in output, output
    assert "no_such_attribute" in output and "NoSuchName" in output
    revealed = [line for line in output.splitlines() if "Revealed" in line or "Type of" in line]
    names = ("NeuralEnv", "NeuralVectorEnv", "float", "dict[str, Any]")
    assert len(revealed) == len(names), output
    for line, name in zip(revealed, names, strict=True):
        assert name in line and '"Any"' not in line


def test_what_is_listed_of_the_package_is_what_it_offers():
    listed = {name for name in dir(neural_envs) if not name.startswith("_")}
    assert listed == {"NeuralEnv", "NeuralVectorEnv", "register_environments"}
