"""Importing neural_envs."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym

import neural_envs
from neural_envs.registration import environments, register_environments


def fresh(code: str) -> str:
    """What a new interpreter prints for this code."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_importing_registers_the_ids_without_torch():
    code = "import sys, gymnasium, neural_envs, neural_envs.cli, neural_envs.bundles;"
    code += "print('torch' in sys.modules, 'NeuralSnake-v0' in gymnasium.registry)"
    assert fresh(code).split() == ["False", "True"]


def test_importing_adds_little_to_importing_gymnasium():
    code = (
        "import time, gymnasium; start = time.perf_counter(); import neural_envs; "
        "print(time.perf_counter() - start)"
    )
    assert min(float(fresh(code)) for _ in range(2)) < 0.5


def test_registering_twice_is_silent(recwarn):
    register_environments()
    assert not recwarn and all(row.id in gym.registry for row in environments())


def test_the_classes_are_found_when_asked_for():
    assert (
        neural_envs.NeuralEnv.__name__ == "NeuralEnv"
        and neural_envs.NeuralVectorEnv.__name__ == "NeuralVectorEnv"
    )
    assert not hasattr(neural_envs, "Nothing") and neural_envs.__version__
