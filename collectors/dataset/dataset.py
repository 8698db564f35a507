"""The dataset format, writer and reader. A dataset is a directory:

    manifest.json    format version, spec, EnvSpec, policy and its mixture, seed, shards with sha256
    episodes.csv     a row per episode
    shard_000000_{frames,actions,rewards,terminated,truncated}.npy    memory-mapped

E episodes of a shard follow each other; one of T steps has T + 1 frames. What the manifest lists is
there in full: a shard is written under a temporary name, then renamed, then listed. Windows are cut
by readers.
"""

import hashlib
import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from collectors.action_space import ActionSpace
from collectors.dataset.episode import Episode
from collectors.dataset.manifest import check_rows, format_version, how_recorded, read_manifest
from collectors.dataset.reward_values import MOST_REWARDS, TooManyRewards
from collectors.dataset.shards import (
    ARRAYS,
    TEMPORARY,
    DatasetError,
    EpisodeRow,
    WrittenShard,
    array_name,
    array_names,
    check_values,
    csv_text,
    is_compressed,
    map_array,
    number_rows,
    read_finished,
    read_rows,
    write_shard,
)
from collectors.dataset.splits import PARTS, split_part
from collectors.files import put_in_place, write_atomically
from collectors.untrusted_files import DamagedFileError

__all__ = [
    "Dataset",
    "DatasetError",
    "DatasetWriter",
    "EpisodeRow",
    "Shard",
    "WrittenShard",
    "dataset_name",
    "read_manifest",
    "recorded_dataset",
    "write_shard",
]


class Shard(NamedTuple):
    """Memory maps over E episodes; step t of episode e is at step_starts[e] + t, its frame at
    frame_starts[e] + t.
    """

    frames: np.ndarray  # (S + E, H, W, C) uint8; where compressed, what reads like an array
    actions: np.ndarray  # (S,) int64, (S, P) int64 or (S, P) float32: see `episode.Episode`
    rewards: np.ndarray  # (S,) float32
    terminations: np.ndarray  # (S,) bool
    truncations: np.ndarray  # (S,) bool
    frame_starts: np.ndarray  # (E,) int64
    step_starts: np.ndarray  # (E,) int64
    lengths: np.ndarray  # (E,) int64, steps
    first_episode: int  # the id of its first episode


class Dataset:
    """Reads a dataset. Opening checks every file's presence and size; `verify=True` also every
    sha256.

    Raises DatasetError for a directory that is none, a newer format, and a missing, truncated or
    altered file.
    """

    def __init__(self, path: str | Path, verify: bool = False):
        self.path = Path(path)
        self.manifest = read_manifest(self.path)
        self.spec: dict = self.manifest["spec"]
        self.actions = ActionSpace.of_spec(self.spec)
        entries = self.manifest["shards"]
        rows = read_rows(self.path, entries)
        unnumbered = _by_shard(rows)
        for entry in entries:
            _check_rows(self.path, entry, unnumbered[entry["index"]])
        self.episodes = number_rows(rows)
        for entry in entries:
            _check_files(self.path, entry, verify)
        own = _by_shard(self.episodes)
        self.shards = [self._open(entry, own[entry["index"]]) for entry in entries]
        self._position = {entry["index"]: position for position, entry in enumerate(entries)}

    @property
    def fingerprint(self) -> str:
        """sha256 of the manifest, and so of everything: equal for equal data."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    @property
    def how_recorded(self) -> str:
        """In a line for a model card, see `manifest.how_recorded`."""
        return how_recorded(self.manifest)

    @property
    def steps(self) -> int:
        """How many steps there are in all shards."""
        return sum(len(shard.actions) for shard in self.shards)

    def episode(self, index: int) -> Episode:
        """Episode number `index`, its arrays copied out of the shard."""
        row = self.episodes[index]
        shard = self.shards[self._position[row.shard]]
        steps = slice(row.start, row.start + row.length)
        first = int(shard.frame_starts[index - shard.first_episode])
        return Episode(
            np.array(shard.frames[first : first + row.length + 1]),
            np.array(shard.actions[steps]),
            np.array(shard.rewards[steps]),
            np.array(shard.terminations[steps]),
            np.array(shard.truncations[steps]),
            row.seed,
            row.policy,
            row.key,
        )

    def split(self, validation: float = 0.1, test: float = 0.1) -> dict[str, list[int]]:
        """Episode ids for train, validation and test, by a hash of each episode's key or, where it
        has none, its seed: more data moves no episode. A key that begins with a part's name and a
        colon belongs to that part."""
        if min(validation, test) < 0 or validation + test >= 1:
            raise ValueError(
                f"validation and test are shares that leave some to train on, got {validation} and "
                f"{test}"
            )
        parts: dict[str, list[int]] = {part: [] for part in PARTS}
        for row in self.episodes:
            part = split_part(row.key or str(row.seed), validation, test)
            parts[part].append(row.id)
        return parts

    def _open(self, entry: dict, rows: list[EpisodeRow]) -> Shard:
        arrays = [
            map_array(self.path / file, entry, name, self.actions)
            for name, file in zip(ARRAYS, array_names(entry), strict=True)
        ]
        check_values(self.path, entry, self.actions, arrays)
        lengths = np.array([row.length for row in rows], np.int64)
        steps = np.cumsum(lengths) - lengths
        frames, actions, rewards, terminations, truncations = arrays
        starts = steps + np.arange(len(rows))
        first = rows[0].id if rows else 0
        return Shard(
            frames, actions, rewards, terminations, truncations, starts, steps, lengths, first
        )


class DatasetWriter:
    """Adds shards to a dataset directory. `header` is what the manifest says apart from its shards:
    at least `spec` (a WorldSpec as dict; where its `reward_values` are empty they are found in the
    data), `env_spec` (EnvSpec as JSON text), `policy` and `seed`."""

    def __init__(self, path: str | Path, header: dict):
        self.path = Path(path)
        self.header = json.loads(json.dumps({"format_version": 0, **header}))
        self.path.mkdir(parents=True, exist_ok=True)
        left_over = sorted(
            self.path.glob(TEMPORARY + "*")
        )  # of a killed writer: finished shards are kept
        finished = [shard for shard in map(read_finished, left_over) if shard is not None]
        for directory in {*map(str, left_over)} - {shard.directory for shard in finished}:
            shutil.rmtree(directory)
        listed = (self.path / "manifest.json").exists()
        self.shards: dict[int, dict] = (
            {e["index"]: e for e in read_manifest(self.path)["shards"]} if listed else {}
        )
        rows = read_rows(self.path, list(self.shards.values())) if listed else []
        self._rows = {index: [row for row in rows if row.shard == index] for index in self.shards}
        self._write_tables()
        for shard in finished:
            self.add(shard)

    def add(self, written: WrittenShard) -> None:
        """Moves a finished shard from its temporary directory into the dataset, in place of an
        older one. Raises TooManyRewards, and then moves nothing.
        """
        entry = self._with_rewards(written)
        if written.entry["index"] in self.shards:
            self.remove(written.entry["index"])
        for file in array_names(written.entry):
            played, own = Path(written.directory) / file, self.path / file
            if played.exists() or not own.exists():  # a killed writer may have moved it already
                put_in_place(played, own)
        self.shards[written.entry["index"]] = entry
        self._rows[written.entry["index"]] = written.rows
        self._write_tables()
        shutil.rmtree(written.directory)  # last: its note makes the shard count until it is listed

    def remove(self, index: int) -> None:
        """Takes a shard out, to be written anew."""
        del self.shards[index], self._rows[index]
        self._write_tables()

    @property
    def _finds_rewards(self) -> bool:
        return not self.header["spec"]["reward_values"]

    def _with_rewards(self, written: WrittenShard) -> dict:
        """The entry with the rewards of its shard where the header's spec has none: they are found
        while collecting. Raises TooManyRewards where those of all shards are too many.
        """
        entry = written.entry
        if not self._finds_rewards:
            return entry
        file = array_name(entry["index"], "rewards")
        played = Path(written.directory) / file
        # a killed writer may have moved it already
        values = np.unique(np.load(played if played.exists() else self.path / file)).tolist()
        others = [shard for index, shard in self.shards.items() if index != entry["index"]]
        found = {*values}.union(*(shard["reward_values"] for shard in others))
        if len(found) > MOST_REWARDS:
            raise TooManyRewards(len(found))
        return {**entry, "reward_values": values}

    def _write_tables(self) -> None:
        """Rows first: a reader ignores rows of shards that the manifest does not list."""
        rows = number_rows([row for index in sorted(self.shards) for row in self._rows[index]])
        write_atomically(self.path / "episodes.csv", csv_text(rows, header=True))
        entries = [self.shards[index] for index in sorted(self.shards)]
        version = format_version(self.header["spec"], any(map(is_compressed, entries)))
        manifest = {**self.header, "format_version": version, "shards": entries}
        if self._finds_rewards:
            found = {value for entry in entries for value in entry["reward_values"]}
            manifest["spec"] = {**self.header["spec"], "reward_values": sorted(found)}
        write_atomically(self.path / "manifest.json", json.dumps(manifest, indent=1) + "\n")


def recorded_dataset(path: str | Path, verify: bool = False) -> Dataset:
    """Opens a dataset of at least one episode. Raises DatasetError for one that has none yet, and
    what `Dataset` does.
    """
    dataset = Dataset(path, verify)
    if not dataset.episodes:
        raise DatasetError(f"{path} has no finished shard yet; go on with `collect --resume`")
    return dataset


def dataset_name(world: str) -> str:
    """The name of a world's dataset directory: an id without what a file name must not hold."""
    return world.replace("/", "-").replace(":", "-")


def sha256_of(file: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _by_shard(rows: list[EpisodeRow]) -> defaultdict[int, list[EpisodeRow]]:
    found: defaultdict[int, list[EpisodeRow]] = defaultdict(list)
    for row in rows:
        found[row.shard].append(row)
    return found


def _check_files(path: Path, entry: dict, verify: bool) -> None:
    for name, expected in entry["files"].items():
        file = path / name
        if not file.is_file():
            raise DatasetError(f"{file} is missing; `collect --resume` makes it again")
        size = file.stat().st_size
        if size != expected["bytes"]:
            raise DatasetError(
                f"{file} has {size} bytes, not {expected['bytes']}; `collect --resume` makes it "
                "again"
            )
        if verify:
            if sha256_of(file) != expected["sha256"]:
                raise DatasetError(
                    f"{file} is altered; delete it and `collect --resume` makes it again"
                )


def _check_rows(path: Path, entry: dict, rows: list[EpisodeRow]) -> None:
    try:
        check_rows(entry, rows)
    except DamagedFileError as error:
        raise DatasetError(
            f"{path}/episodes.csv does not fit shard {entry['index']}: {error}"
        ) from None
