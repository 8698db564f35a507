"""Files that are complete as soon as they have their name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def write_atomically(
    path: str | Path, content: str | bytes | Callable[[Path], object], shared: bool = False
) -> Path:
    """Write `content` under a temporary name in the same folder, then rename it; returns `path`.

    A reader sees the old file or the whole new one. Text is written as UTF-8; a function is called
    with the temporary path, which has the suffix of `path`, and writes the file itself. Missing
    folders are made. After an error (OSError, or what the function raised) the old file is as it
    was, and no temporary file is left; what a killed process leaves, the next write replaces.
    `shared` is for a path that several processes may write at once: each has its own temporary
    file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_path(path, shared)
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


def partial_path(path: Path, shared: bool = False) -> Path:
    """The hidden name under which `path` is written until it is complete."""
    process = f".{os.getpid()}" if shared else ""
    return path.with_name(f".{path.stem}{process}.partial{path.suffix}")
