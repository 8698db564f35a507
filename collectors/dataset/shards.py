"""One shard on disk: its arrays, and its rows of the dataset's table of episodes."""

import csv
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collectors.action_space import ActionSpace
from collectors.dataset.compressed_frames import SUFFIX, CompressedFrames, write_frames
from collectors.dataset.episode import Episode
from collectors.files import write_atomically, writing
from collectors.untrusted_files import (
    PARSE_ERRORS,
    checked_json,
    read_array_header,
    read_regular_file,
    reason_of,
)

ARRAYS = ("frames", "actions", "rewards", "terminated", "truncated")
MOST_TABLE_BYTES = 2**30
TEMPORARY, NOTE = ".writing_", "finished.json"


class DatasetError(ValueError):
    """A dataset that cannot be used; the message says why and what to do."""


class EpisodeRow(NamedTuple):
    """A row of episodes.csv. `start` is the first step in the shard's actions; its first frame is
    at start + (number of episodes before it in the shard)."""

    id: int
    shard: int
    start: int
    length: int
    return_: float
    terminated: bool
    truncated: bool
    policy: str
    seed: int
    # equal keys fall into one split; "train:...", "validation:..." and "test:..." say into which
    key: str = ""


class WrittenShard(NamedTuple):
    """A finished shard that is not yet part of its dataset."""

    directory: str
    entry: dict  # its manifest entry
    rows: list[EpisodeRow]


def write_shard(
    path: str | Path, index: int, quota: int, episodes: list[Episode], compress: bool = False
) -> WrittenShard:
    """Writes the arrays of a shard into a temporary directory inside `path`; `DatasetWriter.add`
    makes them count. `compress`: frames as `compressed_frames` has them. Raises WriteError, and
    leaves nothing, where the disk does not take them.
    """
    directory = Path(path) / f"{TEMPORARY}{index:06d}"
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    with _removed_on_failure(directory):
        return _write_shard(directory, index, quota, episodes, compress)


def mark_finished(written: WrittenShard) -> WrittenShard:
    """Leaves a note beside a shard's arrays, so that it counts even if nobody lives to hear of
    it. Raises WriteError, and leaves nothing of the shard, where the note cannot be written.
    """
    directory = Path(written.directory)
    with _removed_on_failure(directory):
        write_atomically(directory / NOTE, json.dumps([written.entry, written.rows]))
    return written


@contextmanager
def _removed_on_failure(directory: Path) -> Iterator[None]:
    """On a full disk what was written of a shard only takes room."""
    try:
        with writing(directory.parent):
            yield
    except OSError:
        shutil.rmtree(directory, ignore_errors=True)
        raise


def read_finished(directory: Path) -> WrittenShard | None:
    """The shard in a temporary directory, None where it was not finished."""
    try:
        entry, rows = checked_json(read_regular_file(directory / NOTE))
        array_name(entry["index"], "frames")
        return WrittenShard(str(directory), dict(entry), [EpisodeRow(*row) for row in rows])
    except PARSE_ERRORS:
        return None


def _write_shard(
    directory: Path, index: int, quota: int, episodes: list[Episode], compress: bool
) -> WrittenShard:
    entry: dict[str, Any] = {
        "index": index,
        "quota": quota,
        "episodes": len(episodes),
        "steps": sum(len(e) for e in episodes),
    }
    entry["frame_shape"] = list(episodes[0].frames.shape[1:])
    files = {}
    for name, parts in zip(
        ARRAYS, zip(*(episode[:5] for episode in episodes), strict=True), strict=True
    ):
        file = array_name(index, name, compress)
        if file.endswith(SUFFIX):
            files[file] = _write_compressed(directory / file, parts)
        else:
            files[file] = _write_array(directory / file, parts)
    rows = _rows(index, episodes)
    rows_hash = hashlib.sha256(csv_text(number_rows(rows)).encode()).hexdigest()
    return WrittenShard(
        str(directory), {**entry, "episodes_sha256": rows_hash, "files": files}, rows
    )


def array_name(index: int, name: str, compressed: bool = False) -> str:
    """The file of an array (one of ARRAYS) of a shard, of which frames may be compressed."""
    suffix = SUFFIX if compressed and name == "frames" else ".npy"
    return f"shard_{index:06d}_{name}{suffix}"


def is_compressed(entry: Mapping[str, Any]) -> bool:
    """Whether the frames of a shard, by its entry of the manifest, are compressed."""
    return array_name(entry["index"], "frames", True) in entry["files"]


def array_names(entry: Mapping[str, Any]) -> list[str]:
    """The files of a shard, in the order of ARRAYS."""
    compressed = is_compressed(entry)
    return [array_name(entry["index"], name, compressed) for name in ARRAYS]


def _write_array(file: Path, parts: tuple[np.ndarray, ...]) -> dict:
    """Writes the parts one after the other as one .npy file; its size and sha256."""
    total = (sum(len(part) for part in parts), *parts[0].shape[1:])
    head = io.BytesIO()
    description = {
        "descr": np.lib.format.dtype_to_descr(parts[0].dtype),
        "fortran_order": False,
        "shape": total,
    }
    np.lib.format.write_array_header_1_0(head, description)
    digest, size = hashlib.sha256(), 0
    with file.open("wb") as stream:
        for piece in (
            head.getvalue(),
            *(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data for part in parts),
        ):
            stream.write(piece)
            digest.update(piece)
            size += len(piece)
        stream.flush()
        os.fsync(stream.fileno())  # the note that the shard is finished must not come before it
    return {"bytes": size, "sha256": digest.hexdigest()}


def _write_compressed(file: Path, parts: tuple[np.ndarray, ...]) -> dict:
    """As `_write_array`, for frames that are compressed."""
    write_frames(file, iter(parts))
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def _rows(index: int, episodes: list[Episode]) -> list[EpisodeRow]:
    rows, start = [], 0
    for e in episodes:
        total = round(float(e.rewards.astype(np.float64).sum()), 6)
        ending = (bool(e.terminations[-1]), bool(e.truncations[-1]))
        rows.append(
            EpisodeRow(
                len(rows), index, start, len(e), total, *ending, e.policy_name, e.seed, e.key
            )
        )
        start += len(e)
    return rows


def number_rows(rows: list[EpisodeRow]) -> list[EpisodeRow]:
    """The rows with ids 0, 1, 2, ..."""
    return [row._replace(id=index) for index, row in enumerate(rows)]


def csv_text(rows: list[EpisodeRow], header: bool = False) -> str:
    """The rows as a table; without a header, as they are hashed: without empty keys, as before
    there were keys.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    if header:
        table.writerow([name.rstrip("_") for name in EpisodeRow._fields])
    for row in rows:
        cells = row._replace(terminated=int(row.terminated), truncated=int(row.truncated))
        table.writerow(cells if header or row.key else cells[:-1])
    return text.getvalue()


def read_rows(path: Path, entries: list[dict]) -> list[EpisodeRow]:
    """The rows of the listed shards, shard by shard, each checked against the manifest's hash."""
    rows: dict[int, list[EpisodeRow]] = {}
    try:
        text = read_regular_file(path / "episodes.csv", MOST_TABLE_BYTES).decode()
        for line in csv.DictReader(text.splitlines()):
            numbers = (int(line["id"]), int(line["shard"]), int(line["start"]), int(line["length"]))
            ending = (line["terminated"] == "1", line["truncated"] == "1")
            last = (line["policy"], int(line["seed"]), line.get("key") or "")
            row = EpisodeRow(*numbers, float(line["return"]), *ending, *last)
            rows.setdefault(row.shard, []).append(row)
    except (csv.Error, *PARSE_ERRORS) as error:
        raise DatasetError(
            f"{path}/episodes.csv is missing or damaged ({reason_of(error)}); collect again"
        ) from error
    for entry in entries:
        text = csv_text(number_rows(rows.get(entry["index"], [])))
        if hashlib.sha256(text.encode()).hexdigest() != entry["episodes_sha256"]:
            raise DatasetError(
                f"{path}/episodes.csv does not fit shard {entry['index']}: a row is missing or "
                "altered"
            )
    return [row for entry in entries for row in rows.get(entry["index"], [])]


def map_array(file: Path, entry: dict, name: str, actions: ActionSpace) -> Any:
    """The memory map of one array, its dtype and shape checked; compressed frames as what reads
    like one.
    """
    steps = entry["steps"]
    shape, kind = {
        "frames": ((steps + entry["episodes"], *entry["frame_shape"]), np.uint8),
        "actions": ((steps, *actions.row), actions.dtype),
        "rewards": ((steps,), np.float32),
    }.get(name, ((steps,), np.bool_))
    try:
        if file.suffix == SUFFIX:
            return CompressedFrames(file, shape)
        with file.open("rb") as stream:
            found = read_array_header(stream, name)
        if found.shape != shape or found.dtype != kind:
            raise DatasetError(
                f"{file} holds {found.dtype}{found.shape}, the manifest says "
                f"{np.dtype(kind)}{shape}"
            )
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except DatasetError:
        raise
    except PARSE_ERRORS as error:
        raise DatasetError(f"{file} is not a readable array ({reason_of(error)})") from error


def check_values(path: Path, entry: dict, space: ActionSpace, arrays: list[np.ndarray]) -> None:
    """Raises DatasetError for actions that the game has not, rewards that are no numbers, and for
    truth values that are neither true nor false.
    """
    _, actions, rewards, *flags = arrays
    if not space.holds(actions):
        raise DatasetError(f"{path}: shard {entry['index']} has actions that are not in {space}")
    if not np.isfinite(rewards).all() or any(part.view(np.uint8).max() > 1 for part in flags):
        raise DatasetError(
            f"{path}: shard {entry['index']} has rewards that are not finite, or wrong flags"
        )
