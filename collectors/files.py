"""Files that are complete as soon as they have their name, and one sentence where that fails."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
REMEDIES = {
    **dict.fromkeys(FULL, "make room and give the same command again"),
    errno.EROFS: "choose a folder on a disk that can be written",
    errno.EACCES: "choose a folder that you may write",
    errno.EPERM: "choose a folder that you may write",
}
TORCH_WRITER = ("PytorchStreamWriter", "inline_container", "iostream error")


class ExistingFileError(ValueError):
    """A file of an earlier command would be replaced; the message says what to do."""


class WriteError(OSError):
    """Something cannot be written; the message says what, why, and what to do. It has the `errno`
    of the system's error, None where a library hid it.
    """


def write_atomically(
    path: str | Path, content: str | bytes | Callable[[Path], object], shared: bool = False
) -> Path:
    """Write `content` under a temporary name in the same folder, then rename it; returns `path`.

    A reader sees the old file or the whole new one, also after a power failure: the content is
    flushed to the disk before it gets its name. Text is written as UTF-8; a function is called
    with the temporary path, which has the suffix of `path`, and writes the file itself. Missing
    folders are made. After an error (WriteError, or what the function raised) the old file is as
    it was, and no temporary file is left; what a killed process leaves, the next write replaces.
    `shared` is for a path that several processes may write at once: each has its own temporary
    file.
    """
    path = Path(path)
    partial = partial_path(path, shared)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            if isinstance(content, str):
                partial.write_text(content, encoding="utf-8")
            elif isinstance(content, bytes):
                partial.write_bytes(content)
            else:
                content(partial)
            complete(partial, path)
        except BaseException:
            remove(partial)
            raise
    return path


def complete(partial: Path, path: Path) -> None:
    """Flush a finished temporary file to the disk and give it its name."""
    with open(partial, "rb+") as file:
        os.fsync(file.fileno())  # some file systems report only now that they are full
    put_in_place(partial, path)


def put_in_place(finished: Path, path: Path) -> None:
    """Give a finished file or folder its final name, on the same disk, in one step."""
    os.replace(finished, path)


def remove(partial: Path) -> None:
    """Delete a temporary file, where there is one and its disk can be written."""
    try:
        partial.unlink(missing_ok=True)
    except OSError:
        pass  # the error that is being raised is the one to read


def partial_path(path: Path, shared: bool = False) -> Path:
    """The hidden name under which `path` is written until it is complete."""
    process = f".{os.getpid()}" if shared else ""
    return path.with_name(f".{path.stem}{process}.partial{path.suffix}")


@contextmanager
def writing(path: str | Path, remedy: str = "") -> Iterator[None]:
    """Turn an error of the disk into a WriteError about `path`, with `remedy` instead of the usual
    one. Other errors pass as they are.
    """
    try:
        yield
    except WriteError as error:
        if not remedy:
            raise
        raise write_error(path, error, remedy) from error
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(w in str(error) for w in TORCH_WRITER):
            raise
        raise write_error(path, error, remedy) from error


def write_error(path: str | Path, error: Exception, remedy: str = "") -> WriteError:
    """The WriteError for an error that was raised while `path` was written."""
    cause = disk_error(error)
    number = cause.errno if cause else None
    reason = (os.strerror(number) if number else "") or str(error).partition("\n")[0]
    remedy = remedy or REMEDIES.get(number or 0, "")
    found = WriteError(f"{path} cannot be written ({reason})" + (f"; {remedy}" if remedy else ""))
    found.errno = number
    return found


def disk_error(error: BaseException | None) -> OSError | None:
    """The error of the system behind `error`: torch's writer raises another one on top of it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error
        error = error.__cause__ or error.__context__
    return None


def check_free(path: str | Path, overwrite: bool) -> None:
    """Raise ExistingFileError where `path` is there already, unless it may be replaced.

    For commands, before their work: what somebody waited for is never replaced unasked.
    """
    if not overwrite and Path(path).exists():
        raise ExistingFileError(
            f"{path} is there already; --overwrite replaces it, --out NAME writes elsewhere"
        )


def check_writable(folder: str | Path) -> None:
    """Raise WriteError where no file can be made in `folder`, which is made if it is not there.

    For commands that work for a long time before they write.
    """
    with writing(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
