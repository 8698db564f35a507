"""Commands as processes, and what is looked at when they have ended."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 240.0  # seconds for a command that takes a few
COLLECT = ("collect", "snake", "--frames=6000", "--shard-steps=300", "--seed=2")
TRAIN = (
    *("train", "snake", "validate_every=2", "updates=12", "contexts=4", "batch_size=2"),
    *("model.grid.encoder_depth=1", "model.grid.width=16", "threads=1", "validation_batches=1"),
)
PPO = (
    *("ppo", "snake", "--world=real", "--steps=640", "--save_every=1", "ppo.num_envs=4"),
    *("ppo.n_steps=8", "ppo.batch_size=16", "ppo.n_epochs=1"),
)


@dataclass
class Row:
    """One promise of the table: how often it was tried, and each try that broke it."""

    promise: str
    tries: int = 0
    broken: list[str] = field(default_factory=list)

    def note(self, right: bool, what: str) -> None:
        self.tries += 1
        if not right:
            self.broken.append(what)

    @property
    def result(self) -> str:
        if not self.tries:
            return "not tried"
        return f"**broken {len(self.broken)} times**" if self.broken else "held"


@dataclass
class Budget:
    """How long and how often a campaign may try."""

    folder: Path
    tries: int
    seconds: float
    seed: int = 0

    def __post_init__(self):
        self.started, self.random = time.monotonic(), random.Random(self.seed)
        self.folder.mkdir(parents=True, exist_ok=True)

    def share(self, part: float) -> Iterator[int]:
        """Numbers of tries, at least one, while this part of the time lasts."""
        begun = time.monotonic()
        for number in range(self.tries):
            if number and time.monotonic() - begun > part * self.seconds:
                return
            yield number


def start(*words: str, **options) -> subprocess.Popen[str]:
    """The command `neural-envs` with these words, in a session of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "neural_envs.cli", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def ended(process: subprocess.Popen[str], seconds: float = PATIENCE) -> tuple[int | None, str]:
    """Exit code and stderr; None for a command that had to be killed."""
    try:
        _, text = process.communicate(timeout=seconds)
        return process.returncode, text
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return None, process.communicate()[1]


def run(*words: str, **options) -> tuple[int | None, str]:
    return ended(start(*words, **options))


def is_sentence(text: str) -> bool:
    """Whether what a command said of its failure is for people: no traceback."""
    return bool(text.strip()) and "Traceback" not in text and "Exception ignored" not in text


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}


def partial_files(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if ".partial" in path.name]


def children(pid: int) -> list[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    )
    return [int(word) for word in listed.stdout.split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(what: Callable[[], object], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if what():
            return True
        time.sleep(0.02)
    return False


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[bool]:
    """A disk of this size at `folder`; yields False where this process may mount none."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    mounted = subprocess.run(words, capture_output=True).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(folder)], capture_output=True)


def remount(folder: Path, *options: str) -> None:
    words = ["mount", "-o", ",".join(("remount", *options)), str(folder)]
    subprocess.run(words, check=True, capture_output=True)
