"""Which backend is the fastest here: candidates are timed in turn, once for this machine, bundle
and number of lanes, and the choice is kept on disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from collectors.files import write_atomically
from neural_envs.backends.graph_files import cache_folder, fingerprint
from neural_envs.backends.runtimes import BLOCK
from world_models.protocols import SamplingOptions, WorldModel

SECONDS = 4.0  # that the timing may take, all candidates together
ROUNDS = 5
GAIN = 1.05  # times eager, from which another backend is worth its trouble
PACKAGES = ("torch", "onnx", "onnxruntime", "openvino")


def fastest(candidates: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Rates relative to "eager", medians over rounds in which all are timed in turn.

    Each candidate makes one step. It takes about SECONDS, and at least one step of each.
    """
    block = SECONDS / ROUNDS / len(candidates)
    rates: dict[str, list[float]] = {name: [] for name in candidates}
    begun = time.perf_counter()
    while not rates["eager"] or time.perf_counter() - begun < SECONDS * (1 - 1 / ROUNDS):
        for name, step in candidates.items():
            rates[name].append(_rate(step, block))
    return {
        name: statistics.median(a / b for a, b in zip(values, rates["eager"], strict=True))
        for name, values in rates.items()
    }


def _rate(step: Callable[[], object], seconds: float) -> float:
    count, begun = 0, time.perf_counter()
    while not count or time.perf_counter() - begun < seconds:
        step()
        count += 1
    return count / (time.perf_counter() - begun)


def best_of(ratios: Mapping[str, float]) -> str:
    """The fastest; eager unless another one gains."""
    name = max(ratios, key=lambda name: ratios[name])
    return name if ratios[name] >= GAIN else "eager"


def choice_file(model: WorldModel, lanes: int, options: SamplingOptions) -> Path:
    """Where the choice for this machine, these versions, weights, lanes and options is kept."""
    facts = (
        *(processor(), os.cpu_count(), torch.get_num_threads()),
        *(next(model.parameters()).device.type, lanes, model.resolve_options(options)),
        *(fingerprint(model), [installed(package) for package in PACKAGES], BLOCK),
    )
    digest = hashlib.sha256(" ".join(map(str, facts)).encode()).hexdigest()[:32]
    return cache_folder() / "fastest" / f"{model.kind}_{lanes}_{digest}.json"


def kept_choice(file: Path) -> str | None:
    """The backend that was chosen before, None where there is none or the file is damaged."""
    try:
        chosen = json.loads(file.read_text())["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return chosen if isinstance(chosen, str) else None


def kept_refusals(file: Path) -> dict[str, str]:
    """Which backends were refused when it was chosen, and why; none where that is not known."""
    try:
        candidates = json.loads(file.read_text())["candidates"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    found = candidates.items() if isinstance(candidates, dict) else ()
    return {name: why for name, why in found if isinstance(why, str)}


def keep_choice(file: Path, chosen: str, figures: Mapping[str, object]) -> None:
    """Write the choice and what it was made by; where the disk takes no file it is made again."""
    text = json.dumps({"backend": chosen, "candidates": dict(figures)}, indent=1)
    try:
        write_atomically(file, text + "\n", shared=True)
    except OSError:
        pass


def installed(package: str) -> str:
    """The version of a package, "" where it is missing."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def processor() -> str:
    """The name of this machine's processor and the vectors that torch uses on it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name} {torch.backends.cpu.get_cpu_capability()}"
