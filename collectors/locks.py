"""One process at a time writes a folder: an advisory lock that ends with its process.

The system holds the lock, so one of a process that was killed is free at once. The file `.lock`
only says who has it.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from collectors.files import writing

LOCK_FILE = ".lock"
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # of some network disks
FAR = 1 << 30  # Windows locks bytes against reading too: one behind what is written


class LockError(ValueError):
    """Another process writes the folder; the message names it."""


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Hold the lock of an output folder, which is made if it is not there.

    Raises LockError, which names the holder, where another process has it, and WriteError where the
    folder cannot be written. A file system without locks is written without one.
    """
    folder = Path(folder)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        file = _take(folder / LOCK_FILE)
    try:
        yield
    finally:
        _release(file, folder / LOCK_FILE)


def holds_files(folder: Path) -> bool:
    """Whether there is anything in a folder but its lock; False where there is no folder."""
    return folder.exists() and any(path.name != LOCK_FILE for path in folder.iterdir())


def _take(path: Path) -> IO[str]:
    while True:
        file = open(path, "a+")
        try:
            taken = _lock(file)
        except BaseException:
            file.close()
            raise
        if not taken:
            holder = _holder(file)
            file.close()
            raise LockError(
                f"{path.parent} is being written by {holder}; wait for its end, or choose another "
                "folder"
            )
        if _is_at(file, path):
            break
        file.close()  # its last holder deleted it meanwhile
    try:
        file.truncate(0)
        file.write(json.dumps(_own_words()))
        file.flush()
    except BaseException:
        _release(file, path)
        raise
    return file


def _release(file: IO[str], path: Path) -> None:
    try:
        path.unlink()  # while it is still held: who waits for this one sees that it has gone
    except OSError:
        pass  # Windows deletes no open file, and a folder may have been deleted or made read-only
    try:
        file.close()
    except OSError:
        pass


def _is_at(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _own_words() -> dict[str, str | int]:
    words = [Path(sys.argv[0]).name, *sys.argv[1:]][:4]
    command, started = " ".join(words), time.strftime("%Y-%m-%d %H:%M:%S")
    return {"process": os.getpid(), "host": socket.gethostname(), "command": command,
            "since": started}  # fmt: skip


def _holder(file: IO[str]) -> str:
    """The holder of a lock, from what it wrote."""
    file.seek(0)
    try:
        found = json.loads(file.read(4096))
        who = f"process {int(found['process'])} on {found['host']}"
        return f"{who} ({found['command']}, since {found['since']})"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[str]) -> bool:
        file.seek(FAR)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(file: IO[str]) -> bool:
        """Whether the lock could be taken, or there are none on this file system."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
        return True
