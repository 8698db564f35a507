"""Rates of work, measured in turn, and the kinds of work that the benchmark measures."""

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, TypeVar

import gymnasium
import torch
from torch.utils.flop_counter import FlopCounterMode

from collectors.progress import progress
from neural_envs import bundles
from neural_envs.vector_env import NeuralVectorEnv

Advance = Callable[[], int]  # does some work and returns how much (frames, steps, samples)
Name = TypeVar("Name", bound=Hashable)
Rates = Mapping[tuple, list[float]]  # what was timed -> its rates, one per round


def rate(advance: Advance, seconds: float) -> float:
    """Work per second over at least `seconds` and at least one call."""
    done, begun = 0, time.perf_counter()
    while not done or time.perf_counter() - begun < seconds:
        done += advance()
    return done / (time.perf_counter() - begun)


def rates_in_turn(
    subjects: Mapping[Name, Advance], rounds: int, seconds: float
) -> dict[Name, list[float]]:
    """The rates of all subjects, each warmed up by one call, measured in turn, `rounds` times."""
    found: dict[Name, list[float]] = {name: [] for name in subjects}
    turns = [(name, number) for number in range(rounds + 1) for name in subjects]
    for name, number in progress(turns, desc="timing"):
        if number == 0:
            subjects[name]()
        else:
            found[name].append(rate(subjects[name], seconds))
    return found


def ratios(names: list[str], rates: Rates) -> dict:
    """{reference: {bundle: {lanes: {sampler steps: own / reference}}}}, medians over rounds."""
    found: dict = {}
    for (other, lanes, _), theirs in rates.items():
        if other in names:
            continue
        for (name, n, steps), own in rates.items():
            if name in names and n == lanes:
                ratio = statistics.median(a / b for a, b in zip(own, theirs, strict=True))
                rows = found.setdefault(other, {}).setdefault(name, {})
                rows.setdefault(lanes, {})[steps] = ratio
    return found


class Dream:
    """Steps of a vector environment of dreams with random actions; a call counts frames, which come
    as numpy arrays, also from a card.
    """

    def __init__(
        self, bundle: str, lanes: int, steps: int | None, backend: str, device: str = "cpu"
    ):
        self.env = NeuralVectorEnv(
            lanes, bundle, device=device, sampler_steps=steps, backend=backend
        )
        self.env.reset(seed=0)
        # what runs it
        self.backend = self.env.simulator.running_backend(lanes, self.env.sampling)
        self.actions = some_actions(self.env.action_space, 64)
        self.number = 0

    def __call__(self) -> int:
        self.number += 1
        self.env.step(self.actions[self.number % 64])
        return self.env.num_envs


def some_actions(space: gymnasium.Space, count: int) -> list[Any]:
    """Random actions, of which each call gives the same."""
    space.seed(0)
    return [space.sample() for _ in range(count)]


def dream(
    bundle: str,
    lanes: int,
    steps: int | None,
    backend: str = "eager",
    device: str = "cpu",
) -> Dream:
    """A dream to time."""
    return Dream(bundle, lanes, steps, backend, device)


def finish(found: torch.Tensor) -> None:
    """Wait for a card, which computes while the processor goes on."""
    if found.is_cuda:
        torch.cuda.synchronize(found.device)


def network_dream(frames: Iterator[torch.Tensor]) -> Advance:
    """Frames of a comparison network."""

    def advance() -> int:
        with torch.inference_mode():
            frame = next(frames)
        finish(frame)
        return len(frame)

    return advance


def macs(call: Callable[[], Any]) -> int:
    """Multiply-adds of the matrix products and convolutions of one call."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() // 2


CHILD = """
import json, resource, sys, time
begun = time.perf_counter()
import neural_envs
imported, torch_free = time.perf_counter(), "torch" not in sys.modules
import gymnasium
gymnasium.make("neural_envs:NeuralEnv-v0", bundle=sys.argv[1]).reset(seed=0)
made = time.perf_counter()
env = gymnasium.make_vec("neural_envs:NeuralEnv-v0", num_envs=int(sys.argv[2]), bundle=sys.argv[1])
env.reset(seed=0)
for _ in range(5):
    env.step(env.action_space.sample())
if sys.platform == "linux":  # ru_maxrss would be the parent's where that is larger
    with open("/proc/self/status") as status:
        peak = next(int(row.split()[1]) for row in status if row.startswith("VmHWM")) * 1024
else:
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
found = {"import_seconds": imported - begun, "import_without_torch": torch_free}
found["make_and_reset_seconds"] = made - imported
print(json.dumps({**found, "lanes": int(sys.argv[2]), "peak_memory_mib": peak / 2**20}))
"""


def startup(bundle: str, lanes: int) -> dict:
    """Seconds to import and to the first frame, and peak memory of a dream, in a new process."""
    words = [sys.executable, "-c", CHILD, str(bundles.resolve_bundle(bundle)), str(lanes)]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"a dream of {bundle} fails in a fresh process: {done.stderr.strip().splitlines()[-1]}"
        )
    return json.loads(done.stdout.strip().splitlines()[-1])


def real_env(identifier: str, **options) -> Advance:
    """Steps of the real game with random actions, starting again when it ends."""
    env = gymnasium.make(identifier, **options)
    env.reset(seed=0)
    actions = some_actions(env.action_space, 1000)

    def advance() -> int:
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return len(actions)

    return advance
