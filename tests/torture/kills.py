"""Processes killed and interrupted at random moments."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

from tests.torture.runs import (
    COLLECT,
    PPO,
    TRAIN,
    Budget,
    Row,
    alive,
    children,
    contents,
    ended,
    is_sentence,
    partial_files,
    run,
    start,
    wait_for,
)


def campaign(budget: Budget) -> Iterator[Row]:
    yield from killed_collectors(budget)
    yield killed_workers(budget)
    yield killed_trainers(budget)
    yield killed_ppo(budget)
    yield from signals(budget)


def kill_at_random(budget: Budget, out: Path, sign: str, *words: str) -> list[int]:
    """Start a command, kill it -9 a random moment after `sign` is there; its children."""
    process = start(*words, f"--out={out}")
    wait_for(lambda: list(out.glob(sign)) or process.poll() is not None)
    time.sleep(budget.random.uniform(0, 1.5))
    left = children(process.pid)
    process.kill()
    process.communicate()
    return left


def killed_collectors(budget: Budget) -> Iterator[Row]:
    whole = budget.folder / "collect-whole"
    run(*COLLECT, f"--out={whole}")
    same = Row("collect goes on to the same bytes after `kill -9`")
    orphans = Row("no worker outlives a killed collector")
    for number in budget.share(0.2):
        out, workers = budget.folder / f"collect-{number}", f"--workers={1 + number % 2}"
        for _ in range(2):
            left = kill_at_random(budget, out, "manifest.json", *COLLECT, workers, "--resume")
            gone = wait_for(lambda left=left: not any(map(alive, left)), 5)
            orphans.note(gone, f"processes {left} live on")
        code, text = run(*COLLECT, workers, "--resume", f"--out={out}")
        same.note(code == 0 and contents(out) == contents(whole), f"exit code {code}: {text}")
        shutil.rmtree(out)
    yield same
    yield orphans


def killed_workers(budget: Budget) -> Row:
    whole = budget.folder / "collect-whole"
    row = Row("a killed worker is a sentence at once, and `--resume` goes on to the same bytes")
    for number in budget.share(0.2):
        out = budget.folder / f"worker-{number}"
        words = (*COLLECT, "--workers=2", f"--out={out}", "--resume")
        process = start(*words)
        wait_for(lambda out=out: list(out.glob(".writing_*")) or list(out.glob("shard_*")))
        time.sleep(budget.random.uniform(0, 1))
        found = [pid for pid in children(process.pid) if is_worker(pid)]
        if found:
            try:
                os.kill(budget.random.choice(found), signal.SIGKILL)
            except ProcessLookupError:
                pass
        code, text = ended(process, 20)
        explained = code == 0 or (code == 1 and "a worker was killed" in text and is_sentence(text))
        if code == 1:
            again, _ = run(*words)
            explained = explained and again == 0
        row.note(explained and contents(out) == contents(whole), f"exit code {code}: {text}")
        shutil.rmtree(out)
    return row


def is_worker(pid: int) -> bool:
    try:
        return b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def data_of(budget: Budget) -> Path:
    """The dataset that training uses."""
    out = budget.folder / "collect-whole"
    if not (out / "manifest.json").is_file():
        run(*COLLECT, f"--out={out}")
    return out


def killed_trainers(budget: Budget) -> Row:
    row, data = Row("train goes on to the same weights after `kill -9`"), data_of(budget)
    words, whole = (*TRAIN, f"data={data}"), budget.folder / "train-whole"
    run(*words, f"--out={whole}")
    for number in budget.share(0.2):
        out = budget.folder / f"train-{number}"
        kill_at_random(budget, out, "checkpoint_*", *words)
        code, text = run(*words, f"--out={out}")
        models = [folder / "bundle" / "model.safetensors" for folder in (out, whole)]
        right = code == 0 and models[0].read_bytes() == models[1].read_bytes()
        row.note(right and not partial_files(out), f"exit code {code}: {text}")
    return row


def killed_ppo(budget: Budget) -> Row:
    row = Row("ppo goes on after `kill -9`, and its policy is whole")
    for number in budget.share(0.1):
        out = budget.folder / f"ppo-{number}"
        kill_at_random(budget, out, "checkpoint*", *PPO)
        code, text = run(*PPO, f"--out={out}")
        right = code == 0 and zipfile.ZipFile(out / "policy.zip").testzip() is None
        row.note(right and not partial_files(out), f"exit code {code}: {text}")
    return row


def signals(budget: Budget) -> Iterator[Row]:
    finished = Row("Ctrl-C and SIGTERM end collect, train and ppo with a sentence and 130 or 143")
    fast = Row("`collect --workers 2` ends within 2 seconds of them, with its workers")
    long_ones = {
        "collect": (*COLLECT, "--workers=2", "--frames=3000000"),
        "train": (*TRAIN, f"data={data_of(budget)}", "updates=100000"),
        "ppo": (*PPO, "--steps=10000000"),
    }
    signs = {"collect": "shard_*", "train": "checkpoint_*", "ppo": "checkpoint*"}
    for number in budget.share(0.2):
        for name, words in long_ones.items():
            out, what = budget.folder / f"signal-{name}-{number}", signal.SIGINT
            if number % 2:
                what = signal.SIGTERM
            process = start(*words, f"--out={out}")
            wait_for(lambda out=out, name=name: list(out.glob(signs[name])))
            left, begun = children(process.pid), time.monotonic()
            os.killpg(process.pid, what)
            code, text = ended(process, 30)
            seconds = time.monotonic() - begun
            right = code == 128 + what and is_sentence(text)
            finished.note(right, f"{name}, {what.name}: exit code {code}: {text}")
            if name == "collect":
                gone = wait_for(lambda left=left: not any(map(alive, left)), 1)
                fast.note(seconds <= 2 and gone, f"{what.name}: {seconds:.1f} s, {left}")
    yield finished
    yield fast


def commit() -> str:
    words = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(words, capture_output=True, text=True).stdout.strip()
