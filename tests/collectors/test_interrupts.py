"""Ctrl-C and SIGTERM end a command with a sentence and 130 or 143; no process is left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collectors.dataset.dataset import Dataset
from collectors.interrupts import Interrupted, deferred_interrupts, interruptible
from collectors.recording.collect import collect

ROOT = Path(__file__).resolve().parents[2]
LONG = ["--frames=3000000", "--shard-steps=2000", "--seed=2", "--policy=random"]


def children(pid: int) -> set[int]:
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True
    )
    return set(map(int, listed.stdout.split()))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def has_a_shard(out: Path) -> bool:
    manifest = out / "manifest.json"
    return manifest.exists() and '"index": ' in manifest.read_text()


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not (found := what()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


BLOCKED = """
from pathlib import Path
from collectors.recording.worker_pool import WorkerPool
if __name__ == "__main__":
    with WorkerPool(str, 2) as pool:
        for worker in pool.workers:
            status = Path(f"/proc/{worker.process.pid}/status").read_text()
            print(int(status.partition("SigBlk:")[2].split()[0], 16) & 2)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_no_worker_gets_the_interrupt_of_the_terminal_the_first_one_neither(tmp_path):
    script = tmp_path / "pool.py"  # in a process that has started none before
    script.write_text(BLOCKED)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    found = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, env=environment
    )
    assert found.stdout.split() == ["2", "2"], found.stderr


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
@pytest.mark.parametrize(
    ("number", "group", "code", "word"),
    [
        (signal.SIGINT, True, 130, "interrupted"),  # as a terminal does: to all processes
        (signal.SIGTERM, False, 143, "terminated"),
    ],
)
def test_collecting_with_workers_ends_within_two_seconds(tmp_path, number, group, code, word):
    out = tmp_path / "d"
    words = [sys.executable, "-m", "neural_envs.cli", "collect", "snake", *LONG, f"--out={out}"]
    process = subprocess.Popen(
        words,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert wait_for(lambda: has_a_shard(out))
    workers = children(process.pid)
    assert len(workers) >= 2
    started = time.monotonic()
    (os.killpg if group else os.kill)(process.pid, number)
    _, text = process.communicate(timeout=20)
    seconds = time.monotonic() - started
    assert process.returncode == code and seconds < 2, (process.returncode, seconds, text)
    assert text.strip().splitlines()[-1].endswith(word) and "Traceback" not in text
    # one of them is multiprocessing's own, which looks after shared memory
    assert wait_for(lambda: not any(map(alive, workers)), 1)
    assert Dataset(out, verify=True).steps > 0
    assert not (out / ".lock").exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_the_workers_of_a_killed_collector_end(tmp_path):
    out = tmp_path / "d"
    words = [sys.executable, "-m", "collectors.recording.collect", "snake", *LONG, f"--out={out}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(words, cwd=ROOT, env=environment)
    assert wait_for(lambda: has_a_shard(out))
    workers = children(process.pid)
    process.kill()
    process.wait()
    assert len(workers) >= 2 and wait_for(lambda: not any(map(alive, workers)), 5)
    settings = {"seed": 2, "shard_steps": 2000, "resume": True}
    steps = Dataset(out, verify=True).steps
    assert steps > 0  # and its lock is free:
    with pytest.raises(ValueError, match="more frames than asked for"):
        collect("RealSnake-v0", out, 100, "random", **settings)


BUSY = """
import time
from collectors.recording.worker_pool import WorkerPool
if __name__ == "__main__":
    with WorkerPool(time.sleep, 1) as pool:
        print(pool.workers[0].process.pid, flush=True)
        list(pool.map([600]))
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_a_worker_in_the_midst_of_a_long_task_ends_with_its_killed_parent(tmp_path):
    (tmp_path / "busy.py").write_text(BUSY)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, str(tmp_path / "busy.py")]
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        time.sleep(5)  # until it sleeps in its task
        process.kill()
        process.wait()
        ended = wait_for(lambda: not alive(worker), 5)
        if not ended:
            os.kill(worker, signal.SIGKILL)
        assert ended


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_raises_where_work_does_not_choose_its_moment(number, code, word):
    before = signal.getsignal(number)
    with pytest.raises(Interrupted, match=word) as caught, interruptible():
        os.kill(os.getpid(), number)
        time.sleep(1)
    assert caught.value.code == code and isinstance(caught.value, KeyboardInterrupt)
    assert signal.getsignal(number) == before


def test_work_may_end_at_a_moment_of_its_own_choice_but_the_second_signal_ends_it():
    with deferred_interrupts() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)
        assert stop
        with pytest.raises(Interrupted, match="terminated; half is kept"):
            stop.end("half is kept")
        with pytest.raises(Interrupted, match="interrupted"):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)


def test_a_command_that_ignores_ctrl_c_in_the_background_goes_on_ignoring_it():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
