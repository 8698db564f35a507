"""The files of a data set of somebody else: a folder, or a repository of the Hugging Face Hub, of
which only what is asked for is read.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from collectors import network_access
from collectors.dataset.dataset import DatasetError
from collectors.extras import optional

MOST_FILES = 1_000_000
HUB = "hf:"
REPOSITORY = re.compile(r"(?:hf:)?([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?")


class Files(Protocol):
    """Files with names like `data/chunk-000/file-000.parquet`."""

    name: str  # for messages

    def names(self) -> list[str]:
        """The names of all files, sorted."""
        ...

    def open(self, name: str) -> Any:
        """A file for reading bytes, with `seek`: only what is read is fetched."""
        ...

    def path(self, name: str) -> Any:
        """A context manager with the path of a whole file, which is gone afterwards where it was
        fetched for this.
        """
        ...


class Folder:
    """The files of a folder of this machine."""

    def __init__(self, folder: str | Path):
        self.name, self.folder = str(folder), Path(folder)

    def names(self) -> list[str]:
        found = []
        for folder, _, files in os.walk(self.folder):
            found += [Path(folder, file).relative_to(self.folder).as_posix() for file in files]
            if len(found) > MOST_FILES:
                raise DatasetError(f"{self.name} holds more than {MOST_FILES} files")
        return sorted(found)

    def open(self, name: str) -> Any:
        return (self.folder / name).open("rb")

    @contextmanager
    def path(self, name: str) -> Iterator[Path]:
        yield self.folder / name


class HubDataset:
    """A data set of the Hub at one commit, which `revision` (a commit, tag or branch) is turned
    into first. Raises DatasetError where the Hub or the repository cannot be reached.
    """

    def __init__(self, repository: str, revision: str = ""):
        hub = optional("huggingface_hub")
        if reason := network_access.offline():
            raise DatasetError(f"the data set {repository} cannot be read: {reason}")
        try:
            about = hub.HfApi().dataset_info(repository, revision=revision or None, timeout=30)
        except Exception as error:  # the Hub raises many kinds: not found, gated, a bad name
            raise DatasetError(
                f"the data set {repository} cannot be read ({first_line(error)})"
            ) from error
        self.repository, self.commit = repository, str(about.sha)
        self.name = f"{repository}@{self.commit[:8]}"
        self._names = sorted(str(file.rfilename) for file in about.siblings or [])
        self._hub = hub
        self._files = hub.HfFileSystem()

    def names(self) -> list[str]:
        return self._names

    def open(self, name: str) -> Any:
        place = f"datasets/{self.repository}@{self.commit}/{name}"
        return self._files.open(place, "rb")

    @contextmanager
    def path(self, name: str) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix="neural-envs-"))
        options = {"repo_type": "dataset", "revision": self.commit, "local_dir": folder}
        try:
            file = network_access.run_unless_stalled(
                lambda: self._hub.hf_hub_download(self.repository, name, **options),
                lambda: network_access.bytes_in(folder),
                "the Hub answered, and then",
            )
            yield Path(file)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def hub_dataset(source: str) -> HubDataset:
    """The data set that `hf:organization/name@revision` names, `hf:` and the revision optional."""
    found = REPOSITORY.fullmatch(source)
    if found is None:
        raise DatasetError(
            f"there is no folder {source!r}; a data set of the Hub is named organization/name, or "
            "hf:organization/name@revision"
        )
    return HubDataset(found[1], found[2] or "")


def first_line(error: BaseException) -> str:
    """What a library says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
