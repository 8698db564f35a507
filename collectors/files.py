"""Files that are complete as soon as they have their name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(path: str | Path, content: str | bytes | Callable[[Path], object]) -> Path:
    """Write `content` under a temporary name in the same folder, then rename it; returns `path`.

    A reader sees the old file or the whole new one. Text is written as UTF-8; a function is called
    with the temporary path, which has the suffix of `path`, and writes the file itself. Missing
    folders are made. After an error (OSError, or what the function raised) the old file is as it
    was, and no temporary file is left.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path)
    try:
        if isinstance(content, str):
            partial.write_text(content, encoding="utf-8")
        elif isinstance(content, bytes):
            partial.write_bytes(content)
        else:
            content(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path


def partial_path(path: Path) -> Path:
    """The hidden name under which this process writes `path` until it is complete."""
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
