"""The manifest and the table of a dataset that anybody may have made: types, ranges and what must
fit together are checked before anything is used.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from collectors.dataset.shards import ARRAYS, DatasetError, EpisodeRow, array_name
from collectors.spec_checks import check_rewards, check_spec, is_whole
from collectors.untrusted_files import DamagedFileError, checked_json, read_regular_file, reason_of

# 2: what has an `action_space`; 3: compressed frames; all else is still written as 1
FORMAT_VERSION = 3
MOST_BYTES = 64 * 2**20  # of manifest.json
MOST_SHARDS, MOST_STEPS, MOST_LETTERS = 10**6 - 1, 2**40, 2**20
HEADER = {"spec", "env_spec", "policy", "seed"}
ENTRY = {"index", "quota", "episodes", "steps", "frame_shape", "episodes_sha256", "files"}
HASH = re.compile("[0-9a-f]{64}")


def format_version(spec: Mapping[str, Any], compressed: bool = False) -> int:
    """The version of a dataset of this world: the oldest that can hold it, so that older programs
    read what they know.
    """
    if compressed:
        return 3
    return 1 if spec.get("action_space") is None else 2


def read_manifest(path: Path) -> dict:
    """The manifest of a dataset directory, checked. Raises DatasetError."""
    file = path / "manifest.json"
    if not file.exists():
        raise DatasetError(
            f"{path} is not a dataset: it has no manifest.json; make one with `neural-envs collect`"
        )
    try:
        manifest = checked_json(read_regular_file(file), MOST_BYTES)
        if not isinstance(manifest, dict) or "format_version" not in manifest:
            raise DamagedFileError("it has no format_version")
        version = manifest["format_version"]
        if type(version) is int and not 1 <= version <= FORMAT_VERSION:
            raise DatasetError(
                f"{path} has format version {version!r}, this version of neural-envs reads 1 to "
                f"{FORMAT_VERSION}"
            )
        check_manifest(manifest)
    except (DamagedFileError, OSError) as error:
        raise DatasetError(
            f"{file} is damaged ({reason_of(error)}); collect the data again"
        ) from error
    return manifest


def how_recorded(manifest: Mapping[str, Any]) -> str:
    """How a dataset came about, in a line for a model card: the command where one recording by that
    name has these settings, else game, policy and seed.
    """
    if preset := manifest.get("preset"):
        return f"neural-envs collect {preset}"
    game = manifest["spec"]["world"]
    return f"{game}, policy {manifest['policy']:.200}, seed {manifest['seed']}"


def check_manifest(manifest: Mapping[str, Any]) -> None:
    """Raises DamagedFileError for missing entries and for such of wrong types or ranges."""
    if type(manifest["format_version"]) is not int:
        raise DamagedFileError("format_version is no whole number")
    if missing := sorted((HEADER | {"shards"}) - set(manifest)):
        raise DamagedFileError(f"an entry is missing: {missing}")
    check_header(manifest)
    entries = manifest["shards"]
    if not isinstance(entries, list):
        raise DamagedFileError("shards is no list")
    for entry in entries:
        check_entry(entry, manifest["spec"]["frame_shape"])
    if len({entry["index"] for entry in entries}) < len(entries):
        raise DamagedFileError("two shards have the same index")


def check_header(header: Any) -> None:
    """Raises DamagedFileError for what a manifest says of game, policy and seed."""
    if not isinstance(header, Mapping) or not set(header) >= HEADER:
        raise DamagedFileError(f"the header lacks one of {sorted(HEADER)}")
    check_spec(header["spec"], open_rewards=True)
    for name in ("env_spec", "policy"):
        if not isinstance(header[name], str) or len(header[name]) > MOST_LETTERS:
            raise DamagedFileError(f"{name} is no text")
    if not is_whole(header["seed"], -(2**63), 2**64):
        raise DamagedFileError("seed is no whole number")
    rows = header.get("mixture", [])
    if not isinstance(rows, list) or not all(map(_is_share, rows)):
        raise DamagedFileError("mixture is no list of policies with their shares")


def _is_share(row: Any) -> bool:
    """Whether this is a policy's name with its share of the episodes."""
    if not isinstance(row, list) or list(map(type, row)) not in ([str, float], [str, int]):
        return False
    return 0 <= row[1] <= 1


def check_entry(entry: Any, frame_shape: Collection[int]) -> None:
    """Raises DamagedFileError for a wrong entry of a shard. Its files are exactly those of its
    index, so that none outside of the dataset is named.
    """
    if not isinstance(entry, dict) or not set(entry) >= ENTRY:
        raise DamagedFileError("a shard lacks an entry, or is no table")
    ranges = {"index": (0, MOST_SHARDS), "quota": (0, MOST_STEPS)}
    ranges |= {"episodes": (1, MOST_STEPS), "steps": (1, MOST_STEPS)}
    for name, (least, most) in ranges.items():
        if not is_whole(entry[name], least, most):
            raise DamagedFileError(f"{name} of a shard is {entry[name]!r:.60}")
    if entry["frame_shape"] != list(frame_shape):
        raise DamagedFileError(f"frame_shape of a shard is not that of the spec, {frame_shape}")
    check_rewards("reward_values", entry.get("reward_values", []))
    files = entry["files"]
    allowed = [
        {array_name(entry["index"], name, compressed) for name in ARRAYS}
        for compressed in (False, True)
    ]
    if not isinstance(files, dict) or set(files) not in allowed:
        raise DamagedFileError(f"shard {entry['index']} has other files than its own")
    hashes = [entry["episodes_sha256"]]
    for expected in files.values():
        if not isinstance(expected, dict) or not is_whole(expected.get("bytes"), 0, 2**62):
            raise DamagedFileError(f"a file of shard {entry['index']} has no size")
        hashes.append(expected.get("sha256"))
    if not all(isinstance(text, str) and HASH.fullmatch(text) for text in hashes):
        raise DamagedFileError(f"shard {entry['index']} has a hash that is none")


def check_rows(entry: Mapping[str, Any], rows: Collection[EpisodeRow]) -> None:
    """Raises DamagedFileError unless a shard's rows of the table follow each other without a gap
    and are as many episodes and steps as its entry says.
    """
    start = 0
    for row in rows:
        if row.start != start or row.length < 1 or abs(row.return_) > 1e30:
            raise DamagedFileError("its rows do not follow each other")
        if not is_whole(row.seed, -(2**63), 2**64):
            raise DamagedFileError("a seed is no number of 64 bits")
        start += row.length
    if (len(rows), start) != (entry["episodes"], entry["steps"]):
        raise DamagedFileError("its rows are other episodes than the manifest says")
