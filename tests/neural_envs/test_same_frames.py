"""Every released bundle dreams the same bytes as when its row was written: moving code must not
change a frame.

The hashes hold for one kind of processor and one version of torch, both named in the file;
elsewhere rounding differs and the test is skipped. Write them anew with `python
tests/neural_envs/test_same_frames.py` (only when a dream is meant to change) and say why in
CHANGELOG.md.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from platform import machine

import gymnasium as gym
import numpy as np
import pytest
import torch

import neural_envs  # noqa: F401  registers the ids
from neural_envs import bundles

HASHES = Path(__file__).with_name("same_frames.json")
STEPS, LANES, SEED = 10, 2, 7


def platform() -> str:
    """What rounding depends on: torch's version and the kind of processor."""
    cpuinfo = Path("/proc/cpuinfo")
    facts = (
        dict(re.findall(r"(?m)^(cpu family|model|stepping|flags)\s*: (.*)$", cpuinfo.read_text()))
        if cpuinfo.exists()
        else {}
    )
    kind = (
        hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:8]
        if facts
        else machine()
    )
    return f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, processor {kind}"


def names() -> list[str]:
    return sorted(path.parent.name for path in Path(bundles.__file__).parent.glob("*/config.json"))


def dream_hash(name: str) -> str:
    """sha256 of ten steps of two lanes: frames, rewards, terminations and trust."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        lanes = {"num_envs": LANES, "autoreset_mode": "SameStep"}
        envs = gym.make_vec("NeuralEnv-v0", bundle=name, **lanes)
        digest = hashlib.sha256(envs.reset(seed=SEED)[0].tobytes())
        actions = np.random.default_rng(SEED).integers(
            envs.single_action_space.n, size=(STEPS, LANES)
        )
        for action in actions:
            frame, reward, terminated, _, info = envs.step(action)
            for part in (frame, reward, terminated, info["trust"]):
                digest.update(np.ascontiguousarray(part).tobytes())
        envs.close()
        return digest.hexdigest()
    finally:
        torch.set_num_threads(threads)


def test_every_released_bundle_has_its_row():
    assert set(names()) <= set(next(iter(json.loads(HASHES.read_text()).values())))


@pytest.mark.parametrize("name", names())
def test_ten_steps_are_byte_for_byte_those_of_the_release(name):
    known = json.loads(HASHES.read_text()).get(platform())
    if known is None:
        pytest.skip(f"no hashes are kept for {platform()}")
    assert dream_hash(name) == known[name]


if __name__ == "__main__":
    table = json.loads(HASHES.read_text()) if HASHES.exists() else {}
    table[platform()] = {name: dream_hash(name) for name in names()}
    HASHES.write_text(json.dumps(table, indent=1) + "\n")
