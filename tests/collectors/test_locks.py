"""One process at a time writes a folder, and one that died holds nothing."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from collectors import locks
from collectors.locks import LockError, holds_files, locked
from collectors.recording.collect import collect

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from collectors.locks import locked
with locked(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def rival(tmp_path):
    """Another process that holds the lock of tmp_path / "out"."""
    words = [sys.executable, "-c", HOLD, str(tmp_path / "out")]
    pipe = subprocess.PIPE
    process = subprocess.Popen(words, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_folder_that_another_process_writes_is_refused_with_its_name(rival, tmp_path):
    with pytest.raises(LockError, match=f"out is being written by process {rival.pid} on "):
        with locked(tmp_path / "out"):
            pass
    rival.communicate()
    with locked(tmp_path / "out"):
        assert not holds_files(tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_the_lock_of_a_killed_process_is_taken_over(rival, tmp_path):
    rival.kill()
    rival.wait()
    assert (tmp_path / "out" / locks.LOCK_FILE).exists()
    with locked(tmp_path / "out"):
        pass
    assert list((tmp_path / "out").iterdir()) == []


def test_a_second_collector_is_refused_and_nothing_is_written(rival, tmp_path):
    with pytest.raises(LockError, match="wait for its end, or choose another folder"):
        collect("RealSnake-v0", tmp_path / "out", 100, "random", resume=True)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [locks.LOCK_FILE]


def test_a_lock_that_its_holder_deleted_meanwhile_is_not_taken_for_the_new_one(
    tmp_path, monkeypatch
):
    lock, opened = locks._lock, []

    def deleted_once(file):
        opened.append(file)
        if len(opened) == 1:
            (tmp_path / locks.LOCK_FILE).unlink()
        return lock(file)

    monkeypatch.setattr(locks, "_lock", deleted_once)
    with locked(tmp_path):
        assert len(opened) == 2
        with pytest.raises(LockError):
            with locked(tmp_path):
                pass


def test_a_file_system_without_locks_is_written_all_the_same(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "flock", unsupported)
    with locked(tmp_path):
        assert (tmp_path / locks.LOCK_FILE).exists()


def test_a_collector_killed_before_its_first_manifest_is_gone_on_from(tmp_path):
    (tmp_path / "episodes.csv").write_text("id,shard")
    (tmp_path / ".manifest.partial.json").write_text("{")
    dataset = collect("RealSnake-v0", tmp_path, 100, "random", resume=True)
    assert dataset.steps >= 100
    names = {path.name for path in tmp_path.iterdir()}
    assert ".manifest.partial.json" not in names and locks.LOCK_FILE not in names
