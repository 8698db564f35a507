"""Recordings of one game in one dataset."""

from __future__ import annotations

from pathlib import Path

from collectors.dataset.dataset import Dataset, DatasetError, DatasetWriter, write_shard
from collectors.dataset.shards import is_compressed
from collectors.interchange.writing import header_of


def add_recording(into: str | Path, source: str | Path, first: int) -> Dataset:
    """Adds the shards of the dataset `source` to the dataset `into`, as those from number `first`
    on; what stands there already is replaced, so that doing it twice changes nothing. They are as
    compressed as in `source`. Raises
    DatasetError for games of other frames, actions or rewards that were said beforehand.
    """
    own, other = Dataset(into), Dataset(source)
    header = header_of(own)
    for name in ("frame_shape", "action_names", "action_space"):
        if own.spec.get(name) != other.spec.get(name):
            raise DatasetError(f"{source} has another {name} than {into}")
    if header["spec"]["reward_values"] not in ([], other.spec["reward_values"]):
        raise DatasetError(f"{source} has other rewards than {into}")
    writer = DatasetWriter(into, header)
    for number, entry in enumerate(other.manifest["shards"]):
        start = other.shards[number].first_episode
        games = [other.episode(start + game) for game in range(entry["episodes"])]
        compress = is_compressed(entry)
        writer.add(write_shard(into, first + number, entry["quota"], games, compress))
    return Dataset(into)
