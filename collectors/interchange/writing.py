"""How what was recorded elsewhere becomes a dataset: under a temporary name until it is whole."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from collectors.dataset.dataset import (
    Dataset,
    DatasetError,
    DatasetWriter,
    write_shard,
)
from collectors.dataset.episode import Episode
from collectors.dataset.reward_values import TooManyRewards
from collectors.files import put_in_place
from collectors.untrusted_files import DamagedFileError

SHARD_STEPS = 20_000
FRAMES_PER_SECOND = 30  # of a source whose game does not say
STEPS = 10_000  # limit of a source whose game sets none


class Recorded(NamedTuple):
    """What was recorded elsewhere: episodes that are read as they are asked for."""

    header: Mapping[str, Any]  # of the manifest, see `DatasetWriter`
    episodes: Iterator[Episode]
    shards: list[dict]  # index, quota and episodes of each, where the source says how it was cut


def header_of(dataset: Dataset) -> dict:
    """The manifest without its shards, as it was given to the writer: rewards that were found are
    open again.
    """
    left_out = ("shards", "format_version")  # which follow from what is written
    header = {key: value for key, value in dataset.manifest.items() if key not in left_out}
    if any("reward_values" in entry for entry in dataset.manifest["shards"]):
        header["spec"] = {**header["spec"], "reward_values": []}
    return header


def check_empty(out: str | Path) -> Path:
    """The path of a new dataset. Raises DatasetError where something lies there already."""
    out = Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} is not empty; choose another directory")
    return out


def write_dataset(
    recorded: Recorded, out: str | Path, name: str, compress: bool = False
) -> Dataset:
    """Writes episodes into the new directory `out` and opens it; `name` is the source's, for
    messages, and `compress` as in `write_shard`. Raises DatasetError, and what reading
    the episodes raises; then nothing is left.
    """
    out = check_empty(out)
    temporary = out.with_name(out.name + ".importing")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        writer = DatasetWriter(temporary, dict(recorded.header))
        for index, quota, episodes in grouped(recorded.episodes, recorded.shards):
            writer.add(write_shard(temporary, index, quota, episodes, compress))
        _check_written(temporary, name)
        if out.exists():
            out.rmdir()
        put_in_place(temporary, out)
    except TooManyRewards as error:
        raise TooManyRewards(error.found, "import") from None
    except DamagedFileError as error:  # of what is read only now
        raise DatasetError(f"{name} cannot be imported: {error}") from None
    except OSError as error:
        raise DatasetError(f"{out} cannot be written: {error}; {name} is as it was") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Dataset(out)


def _check_written(path: Path, name: str) -> None:
    """Raises DatasetError where what was taken over is no dataset; nothing is in place yet."""
    try:
        Dataset(path)
    except DatasetError as error:
        raise DatasetError(f"{name} is damaged ({error}); get it again") from error


def grouped(
    episodes: Iterator[Episode], shards: list[dict]
) -> Iterator[tuple[int, int, list[Episode]]]:
    """(index, quota, episodes) of one shard after the other; without `shards`, of some SHARD_STEPS
    steps each.
    """
    if shards:
        for shard in shards:
            yield shard["index"], shard["quota"], [next(episodes) for _ in range(shard["episodes"])]
        return
    group: list[Episode] = []
    index = 0
    for episode in episodes:
        group.append(episode)
        if sum(map(len, group)) >= SHARD_STEPS:
            yield index, SHARD_STEPS, group
            group, index = [], index + 1
    if group:
        yield index, SHARD_STEPS, group
