"""What every import of damaged recordings is held to: a good dataset, or one sentence and nothing
left; in little memory.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collectors.dataset.dataset import DatasetError
from collectors.interchange.import_command import ImportSettings, import_dataset
from tests.fuzz.mutations import Files

MOST_GROWTH = 2**29  # bytes of memory that a campaign may add at its highest


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Fails where this process, or one that it started, took much memory."""
    before, children = highest(resource.RUSAGE_SELF), highest(resource.RUSAGE_CHILDREN)
    yield
    after = highest(resource.RUSAGE_SELF)
    assert after - before < MOST_GROWTH
    # what is started begins with as much as what starts it
    assert highest(resource.RUSAGE_CHILDREN) - max(children, after) < MOST_GROWTH


def highest(whose: int) -> int:
    """The most memory so far, in bytes."""
    return 1024 * resource.getrusage(whose).ru_maxrss


def checked_import(folder: Path, out: Path, options: dict[str, Any]) -> str:
    """Import a folder and read the dataset to its end; the sentence where it is refused."""
    try:
        dataset = import_dataset(ImportSettings(str(folder), str(out), **options))
    except DatasetError as error:
        assert [path.name for path in out.parent.iterdir()] == [folder.name]
        assert len(str(error)) < 2000 and "\n" not in str(error)
        return str(error)
    assert dataset.episodes
    for row in dataset.episodes:
        episode = dataset.episode(row.id)
        assert len(episode.frames) == len(episode.actions) + 1 > 1
        assert np.isfinite(episode.rewards).all()
        assert dataset.actions.holds(episode.actions)
    return ""


def written(folder: Path, files: Files) -> Path:
    """The folder with these files."""
    folder.mkdir()
    for name, content in files.items():
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    return folder
