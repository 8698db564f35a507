"""Datasets damaged at random are read to the end, or refused by a DatasetError."""

from __future__ import annotations

import functools
import hashlib
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import given
from hypothesis import strategies as st

from collectors.dataset.dataset import Dataset, DatasetError
from collectors.dataset.stats import contact_sheet, statistics, table
from collectors.recording.collect import collect
from tests.fuzz.mutations import FUZZ, Files, damaged_array, damaged_bytes, damaged_json

pytestmark = pytest.mark.fuzz


@functools.cache
def whole() -> dict[str, bytes]:
    """The files of a dataset of two shards."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        collect("RealPong-v0", path, 60, "random", seed=1, shard_steps=30, env_options=SMALL)
        return {file.name: file.read_bytes() for file in path.iterdir() if not file.is_dir()}


SMALL = {"size": 24, "points_to_win": 1}


@st.composite
def damaged_table(draw: st.DrawFn, content: bytes) -> bytes:
    """episodes.csv with one cell exchanged, or damaged bytes."""
    if draw(st.booleans()):
        return draw(damaged_bytes(content))
    rows = [line.split(",") for line in content.decode().splitlines()]
    row = draw(st.sampled_from(rows[1:]))
    cells = ["", "-1", "7", "99999999999999999999", "nan", "inf", "x", "1e9", '"', "A" * 200_000]
    row[draw(st.integers(0, len(row) - 1))] = draw(st.sampled_from(cells))
    return "\n".join(map(",".join, rows)).encode() + b"\n"


def with_matching_hashes(files: dict[str, bytes]) -> dict[str, bytes]:
    """The manifest says size and hash of what is there, as somebody who forges a file would."""
    manifest = json.loads(files["manifest.json"])
    lines = files["episodes.csv"].decode(errors="replace").splitlines(keepends=True)[1:]
    for entry in manifest["shards"]:
        own = [line.rstrip("\n").split(",") for line in lines]
        own = [row for row in own if len(row) > 1 and row[1] == str(entry["index"])]
        text = "".join(
            ",".join([str(number), *row[1:-1]] + ([row[-1]] if row[-1] else [])) + "\n"
            for number, row in enumerate(own)
        )
        entry["episodes_sha256"] = hashlib.sha256(text.encode()).hexdigest()
        for name in entry["files"]:
            content = files[name]
            digest = hashlib.sha256(content).hexdigest()
            entry["files"][name] = {"bytes": len(content), "sha256": digest}
    return {**files, "manifest.json": json.dumps(manifest).encode()}


@st.composite
def damaged_datasets(draw: st.DrawFn) -> Files:
    """The files of a dataset, one of them damaged or absent."""
    files = dict(whole())
    arrays = sorted(name for name in files if name.endswith(".npy"))
    what = draw(st.sampled_from(["manifest", "manifest", "table", "array", "remove"]))
    if what == "manifest":
        files["manifest.json"] = draw(damaged_json(json.loads(files["manifest.json"])))
    elif what == "table":
        files["episodes.csv"] = draw(damaged_table(files["episodes.csv"]))
        files = with_matching_hashes(files) if draw(st.booleans()) else files
    elif what == "array":
        name = draw(st.sampled_from(arrays))
        files[name] = draw(damaged_array(np.load(_bytes(files[name]))))
        files = with_matching_hashes(files) if draw(st.integers(0, 3)) else files
    else:
        del files[draw(st.sampled_from(sorted(files)))]
    return Files(files)


def _bytes(content: bytes):
    import io

    return io.BytesIO(content)


@FUZZ
@given(files=damaged_datasets())
def test_a_damaged_dataset_is_read_to_the_end_or_refused_by_a_sentence(files):
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content or b"")
        try:
            dataset = Dataset(folder)
            for row in dataset.episodes:
                episode = dataset.episode(row.id)
                assert len(episode.frames) == len(episode.actions) + 1
                assert np.isfinite(episode.rewards).all()
            if dataset.episodes:
                assert table(statistics(dataset))
                assert contact_sheet(dataset, 2, 2).dtype == np.uint8
            dataset.split()
            assert dataset.fingerprint
        except DatasetError as error:
            assert len(str(error)) < 5000 and "\n" not in str(error)
