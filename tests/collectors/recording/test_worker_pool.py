"""Workers that share no lock: a killed one is noticed at once, whatever the others do."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from collectors.recording import worker_pool
from collectors.recording.worker_pool import WorkerDied, WorkerPool


def double(number):
    return 2 * number


def fail_at_three(number):
    if number == 3:
        raise ValueError("three")
    return number


def sleep_or_die(seconds):
    if seconds < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(seconds)


def stubborn(seconds):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(seconds)


def test_every_task_is_done_once():
    with WorkerPool(double, 2) as pool:
        assert sorted(pool.map(range(7))) == [0, 2, 4, 6, 8, 10, 12]
    assert not any(worker.process.is_alive() for worker in pool.workers)


def test_what_a_task_raises_is_raised():
    with WorkerPool(fail_at_three, 2) as pool, pytest.raises(ValueError, match="three"):
        list(pool.map(range(5)))


def test_a_killed_worker_is_noticed_while_another_one_works():
    with WorkerPool(sleep_or_die, 2) as pool:
        started = time.monotonic()
        with pytest.raises(WorkerDied):
            list(pool.map([60, -1]))
    assert time.monotonic() - started < 20
    assert not any(worker.process.is_alive() for worker in pool.workers)


def test_a_worker_killed_while_it_waits_holds_up_neither_the_others_nor_the_end():
    """With one queue for all, the others would wait for the dead one's lock for ever."""
    with WorkerPool(double, 3) as pool:
        assert sorted(pool.map(range(3))) == [0, 2, 4]
        pool.workers[0].process.kill()
        pool.workers[0].process.join()
        with pytest.raises(WorkerDied):
            list(pool.map(range(3)))


def test_a_worker_that_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(worker_pool, "PATIENCE", 0.2)
    with WorkerPool(stubborn, 1) as pool:
        pool.workers[0].pipe.send(60)
        time.sleep(0.5)
        started = time.monotonic()
    assert time.monotonic() - started < 5 and not pool.workers[0].process.is_alive()


POOL = """
import sys, time
from collectors.recording.worker_pool import WorkerPool
if __name__ == "__main__":
    pool = WorkerPool(time.sleep, 1)
    pool.workers[0].pipe.send(100)
    print(pool.workers[0].process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at /proc")
def test_a_worker_ends_with_a_killed_parent_whatever_it_does(tmp_path):
    (tmp_path / "pool.py").write_text(POOL)
    root, pipe = Path(__file__).resolve().parents[3], subprocess.PIPE
    parent = subprocess.Popen(
        [sys.executable, str(tmp_path / "pool.py")],
        env={**os.environ, "PYTHONPATH": str(root)},
        stdin=pipe,
        stdout=pipe,
        text=True,
    )
    worker = Path(f"/proc/{int(parent.stdout.readline())}/stat")
    time.sleep(1.5)  # it has its task
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    while worker.exists() and " Z " not in worker.read_text() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not worker.exists() or " Z " in worker.read_text()
