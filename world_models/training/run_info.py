"""What a run was made with: resolved_config.yaml and run.json in its directory."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from collectors.files import write_atomically
from collectors.settings.parse import as_text
from world_models.training.config import TrainConfig

RESOLVED, RECORD = "resolved_config.yaml", "run.json"  # in the directory of a run
LIBRARIES = (
    "neural-envs",
    "torch",
    "numpy",
    "gymnasium",
    "accelerate",
    "safetensors",
    "pillow",
    "imageio",
)


def write_record(config: TrainConfig, command: str, about: dict[str, Any]) -> None:
    """Writes both files.

    A resumed run's earlier starts stay in run.json, for they may have had other code.
    """
    path = config.out / RECORD
    write_atomically(config.out / RESOLVED, as_text(config) + "\n")
    start = {"time": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "command": command, **about}
    start |= {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": versions(),
    }
    start |= {"cuda": torch.version.cuda, "git_commit": git_commit(Path(__file__))}
    try:
        earlier = json.loads(path.read_text())["starts"]
    except (OSError, ValueError, KeyError, TypeError):
        earlier = []
    earlier = [row for row in earlier if row["from_update"] < start["from_update"]]
    write_atomically(path, json.dumps({**start, "starts": [*earlier, start]}, indent=1) + "\n")


def versions() -> dict[str, str | None]:
    """Of this package and of what decides its results;
    None for one that was not installed as a package.
    """
    found: dict[str, str | None] = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def git_commit(file: Path) -> str | None:
    """The commit of the repository that `file` belongs to,
    with "+changes" where its tree differs; None without one.
    """

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(file.parent), *words], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    if git("ls-files", "--error-unmatch", file.name) is None:
        return None  # an installed copy, perhaps inside somebody else's repository
    return f"{git('rev-parse', 'HEAD')}{'+changes' if git('status', '--porcelain', '-uno') else ''}"


def today() -> str:
    """The date, in UTC, as in cards and files of figures."""
    return datetime.now(UTC).strftime("%Y-%m-%d")


def command_line() -> str:
    """How this process was called."""
    return " ".join(sys.argv[1:])


def machine_class(device: str = "cuda") -> dict[str, Any]:
    """What decides speeds and last digits: processor, its vectors, cores, threads, libraries, and
    the card, which on the device cpu does nothing.
    """
    card = device != "cpu" and torch.cuda.is_available()
    return {
        "processor": platform.machine(),
        "vectors": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if card else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def machine_text(device: str = "cuda") -> str:
    """The class of this machine in a line, for a model card."""
    return ", ".join(f"{name} {value}" for name, value in machine_class(device).items() if value)
