"""Tables of images, our own, those of others and LeRobot's, damaged at random, are imported, or
refused by a DatasetError that leaves nothing.
"""

from __future__ import annotations

import functools
import io
import json
import struct
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("hypothesis")
pytest.importorskip("pyarrow")
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from collectors.interchange import lerobot, parquet
from collectors.interchange.own_tables import OWN
from collectors.interchange.table_writing import export_tables
from collectors.recording.collect import collect
from collectors.untrusted_files import DamagedFileError
from tests.fuzz.imports import checked_import, little_memory, written
from tests.fuzz.mutations import FUZZ, Files, damaged_bytes, damaged_json

pytestmark = [pytest.mark.fuzz, pytest.mark.usefixtures("little_memory")]
__all__ = ["little_memory"]
SIDE, ROWS = 8, 6


def png(level: int, side: int = SIDE) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (level, level, level)).save(stream, "PNG")
    return stream.getvalue()


def huge_png(side: int) -> bytes:
    """A PNG of some bytes that says that it has side x side pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0" * 1000)
    parts = [head, body, b"IEND"]
    chunks = [struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


COLUMNS: dict[str, list[Any]] = {
    "episode_index": [0, 0, 0, 0, 1, 1],
    "frame_index": [0, 1, 2, 3, 0, 1],
    "observation.image": [{"bytes": png(40 * row), "path": None} for row in range(ROWS)],
    "action": [1, 0, 2, 0, 1, 1],
    "next.reward": [0.0, 1.0, 0.0, 5.0, 0.0, 0.0],
    "next.done": [False, False, False, True, False, False],
}
GOOD_ACTIONS: list[list[Any]] = [
    COLUMNS["action"],
    [[0.5, 1.0], [0.0, 0.0], [1.0, -1.0], [0.5, 1.0], [0.25, 1.0], [0.5, 1.0]],
    ["left", "right", "left", None, "stay", None],
    [[1, 0]] * ROWS,
]
# what stands where one number, truth value, word or image is expected
CELLS: list[Any] = [
    None, True, -1, 0, 1, 3, 900, 2**40, 2**63, 2**64 - 1, -(2**62), 0.5, 1e308, float("nan"),
    float("inf"), "", "x", "A" * 5000, b"", b"\x89PNG", [], [1], [0.5, 1.0], [None], [[1]], ["x"],
    {"a": 1},    {"bytes": None, "path": "/etc/hostname"}, {"bytes": b"GIF89a", "path": None},
    {"bytes": png(9, 32), "path": None}, {"bytes": huge_png(60_000), "path": None},
    {"bytes": huge_png(4096), "path": None}, {"bytes": png(1)[:-20], "path": None},
]  # fmt: skip
TYPES = [
    pa.uint64(), pa.int8(), pa.float16(), pa.string(), pa.large_string(), pa.binary(),
    pa.large_binary(), pa.bool_(), pa.timestamp("s"), pa.date32(), pa.decimal128(30, 2),
    pa.dictionary(pa.int8(), pa.string()), pa.dictionary(pa.int8(), pa.int64()),
    pa.list_(pa.int64()), pa.list_(pa.float32(), 2), pa.large_list(pa.float64()),
    pa.list_(pa.list_(pa.int64())), pa.struct({"bytes": pa.binary()}),
    pa.map_(pa.string(), pa.int64()),
    pa.struct({"bytes": pa.string(), "path": pa.string()}), pa.null(), pa.duration("s"),
    pa.binary(3), pa.string_view(), pa.binary_view(), pa.list_view(pa.int64()),
]  # fmt: skip
OPTIONS = [
    {"size": "8x12"},
    {"actions": ("left", "right", "stay")},
    {"bounds": (-1.0, 1.0)},
    {"action_column": "next.reward"},
    {"action_column": "episode_index"},
    {"image_column": "action"},
    {"image_column": "observation.image", "fps": 7},
    {"world": "W" * 300},
]


def made(values: list[Any], kind: Any = None) -> Any:
    """A column of Arrow of these values; None where there is none such."""
    try:
        return pa.array(values, kind) if kind is not None else pa.array(values)
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        return None


@st.composite
def damaged_columns(draw: st.DrawFn, columns: dict[str, list[Any]]) -> dict[str, Any]:
    """Columns of Arrow, of which some have another type, another cell, other values, or are not
    there.
    """
    given: dict[str, Any] = {**columns, "action": draw(st.sampled_from(GOOD_ACTIONS))}
    found = {name: made(values) for name, values in given.items()}
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2]))):
        name = draw(st.sampled_from(sorted(given)))
        values = list(given[name])
        what = draw(st.sampled_from(["cell", "cell", "cell", "type", "all", "drop", "name"]))
        if what == "drop":
            found.pop(name, None)
        elif what == "name":
            found[draw(st.sampled_from(["done", "step", "truncated", "image"]))] = made(values)
        elif what == "type":
            kind = draw(st.sampled_from(TYPES))
            column = made(values, kind)
            found[name] = pa.nulls(len(values), kind) if column is None else column
        else:
            places = range(ROWS) if what == "all" else [draw(st.integers(0, ROWS - 1))]
            for place in places:
                values[place] = draw(st.sampled_from(CELLS))
            found[name] = made(values) or found.get(name)
    return {name: column for name, column in found.items() if column is not None}


def stored(columns: dict[str, Any], about: dict[bytes, bytes] | None = None, **how: Any) -> bytes:
    """A Parquet file of some columns."""
    target = io.BytesIO()
    table = pa.table(columns)
    pq.write_table(table.replace_schema_metadata(about) if about else table, target, **how)
    return target.getvalue()


@st.composite
def damaged_tables(draw: st.DrawFn) -> Files:
    """Two tables of which one is damaged, or is no Parquet any more."""
    columns = draw(damaged_columns(COLUMNS))
    how = draw(st.sampled_from([{}, {"compression": "none"}, {"row_group_size": 2}]))
    content = stored(columns, **how) if columns else b""
    if not draw(st.integers(0, 5)):
        content = draw(damaged_bytes(content))
    files = Files({"data/a.parquet": content})
    if not draw(st.integers(0, 3)):
        games = {
            "episode_index": [2] * ROWS,
            "frame_index": [*range(ROWS)],
            "next.done": [False] * ROWS,
        }
        files["data/b.parquet"] = stored({k: made(v) for k, v in {**COLUMNS, **games}.items()})
    return files


@settings(FUZZ, max_examples=500)
@given(files=damaged_tables(), options=st.sampled_from([{}, {}, {}, *OPTIONS]))
def test_damaged_tables_are_imported_or_refused_by_a_sentence(files, options):
    with tempfile.TemporaryDirectory() as place:
        checked_import(written(Path(place) / "in", files), Path(place) / "out", options)


# ------------------------------------------------------------------ tables of ours


@functools.cache
def ours() -> dict[str, bytes]:
    """The tables of an export of two shards."""
    with tempfile.TemporaryDirectory() as place:
        path, out = Path(place) / "pong", Path(place) / "tables"
        options = {"size": 24, "points_to_win": 1}
        collect("RealPong-v0", path, 16, "random", seed=1, shard_steps=8, env_options=options)
        export_tables(path, out)
        return {f"data/{file.name}": file.read_bytes() for file in (out / "data").iterdir()}


@st.composite
def damaged_exports(draw: st.DrawFn) -> Files:
    """An export of ours with one table damaged, absent, double, or saying something else of its
    shard.
    """
    files: dict[str, bytes | None] = dict(ours())
    name = draw(st.sampled_from(sorted(files)))
    content = files[name] or b""
    what = draw(st.sampled_from(["about", "about", "about", "bytes", "end", "drop", "double"]))
    if what == "about":
        table = pq.read_table(io.BytesIO(content))
        about = dict(table.schema.metadata)
        about[OWN] = draw(damaged_json(json.loads(about[OWN])))
        target = io.BytesIO()
        pq.write_table(table.replace_schema_metadata(about), target, compression="zstd")
        files[name] = target.getvalue()
    elif what == "bytes":
        files[name] = draw(damaged_bytes(content))
    elif what == "end":  # where the sizes of everything are
        files[name] = content[:-3000] + draw(damaged_bytes(content[-3000:]))
    elif what == "drop":
        files[name] = None
    else:
        files["data/z.parquet"] = content
    return Files(files)


@settings(FUZZ, max_examples=200)
@given(files=damaged_exports(), options=st.sampled_from([{}, {}, {}, {"size": "16"}]))
def test_damaged_exports_of_ours_are_imported_or_refused_by_a_sentence(files, options):
    with tempfile.TemporaryDirectory() as place:
        checked_import(written(Path(place) / "in", files), Path(place) / "out", options)


# ------------------------------------------------------------------ LeRobot's

CAMERA = "observation.image"
INFO = {
    "codebase_version": "v3.0",
    "fps": 10,
    "chunks_size": 1000,
    "features": {
        CAMERA: {"dtype": "video", "shape": [SIDE, SIDE, 3]},
        "observation.side": {"dtype": "video", "shape": [3, SIDE, SIDE]},
        "action": {"dtype": "int64", "shape": [1]},
    },
}
EPISODES: dict[str, list[Any]] = {
    "episode_index": [0, 1],
    f"videos/{CAMERA}/chunk_index": [0, 0],
    f"videos/{CAMERA}/file_index": [0, 0],
    f"videos/{CAMERA}/from_timestamp": [0.0, 0.4],
}
FILMS = (
    f"videos/{CAMERA}/chunk-000/file-000.mp4",
    *(f"videos/chunk-000/{CAMERA}/episode_{game:06d}.mp4" for game in (0, 1)),
)


@st.composite
def damaged_lerobots(draw: st.DrawFn) -> Files:
    """A data set of LeRobot's, of version 2 or 3, with its description, its places or its steps
    damaged, or without a film.
    """
    version = draw(st.sampled_from(["v2.1", "v3.0"]))
    info = {**INFO, "codebase_version": version}
    steps = {name: column for name, column in COLUMNS.items() if name != CAMERA}
    files = {
        "meta/info.json": json.dumps(info).encode(),
        "meta/episodes/a.parquet": stored({k: made(v) for k, v in EPISODES.items()}),
        "data/a.parquet": stored({k: made(v) for k, v in steps.items()}),
        **dict.fromkeys(FILMS, b""),
    }
    what = draw(st.sampled_from(["info", "info", "episodes", "episodes", "steps", "film"]))
    if what == "info":
        files["meta/info.json"] = draw(damaged_json(info))
    elif what == "episodes":
        columns = {name: list(values) for name, values in EPISODES.items()}
        name = draw(st.sampled_from(sorted(columns)))
        columns[name][draw(st.integers(0, 1))] = draw(st.sampled_from(CELLS))
        column = made(columns[name])
        files["meta/episodes/a.parquet"] = stored(
            {k: made(v) for k, v in EPISODES.items()} | ({name: column} if column else {})
        )
    elif what == "steps":
        files["data/a.parquet"] = stored(draw(damaged_columns(steps)))
    else:
        del files[draw(st.sampled_from(FILMS))]
    return Files(files)


@settings(FUZZ, max_examples=200)
@given(
    files=damaged_lerobots(),
    frames=st.sampled_from([6, 6, 6, 4, 0, 100]),
    counted=st.sampled_from([0, 0, 0, 3]),
    shape=st.sampled_from([(SIDE, SIDE, 3)] * 5 + [(12, 8, 3)]),
    options=st.sampled_from([{}, {}, {"size": "8"}, {"image_column": "observation.side"}]),
)
def test_damaged_data_sets_of_lerobot_are_imported_or_refused_by_a_sentence(
    files, frames, counted, shape, options
):
    """The films are stood in for: they have so many frames, and say that they had some more."""

    def decoded(path: Path):
        yield from np.zeros((frames, *shape), np.uint8)
        if counted:
            raise DamagedFileError(f"{path} cannot be decoded")

    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(lerobot, "count_frames", lambda path: frames + counted)
        patch.setattr(lerobot, "read_film", decoded)
        checked_import(written(Path(place) / "in", files), Path(place) / "out", options)


def bomb(**changed: Any) -> str:
    """The sentence that refuses a table of which some columns are small in the file only."""
    columns: dict[str, Any] = {name: made(column) for name, column in COLUMNS.items()}
    content = stored({**columns, **changed}, compression="zstd", dictionary_pagesize_limit=2**30)
    assert len(content) < 10_000
    return tried({"a.parquet": content})


def test_cells_that_are_alike_are_not_unpacked_without_end(monkeypatch):
    """Tables of 2 kB took 2 to 6.5 GB: the file holds a long cell once, and how often it is."""
    word = "A" * 2**20
    assert "a row of" in bomb(episode_index=pa.array([word] * ROWS))
    assert "a row of" in bomb(**{"next.reward": pa.array([{"a": word}] * ROWS)})
    numbers = pa.array([[0] * 10_000] * ROWS)
    monkeypatch.setattr(parquet, "MOST_COLUMN_BYTES", 2**18)
    assert "bytes, more than" in bomb(action=numbers)
    monkeypatch.undo()
    assert "has lists of words" in bomb(action=pa.array([["left"]] * ROWS))
    images = pa.array([{"bytes": b"A" * 2**22, "path": None}] * ROWS)
    assert "is none of PNG" in bomb(**{"observation.image": images})


def test_what_is_whole_is_imported():
    steps = {name: made(column) for name, column in COLUMNS.items()}
    assert tried({"a.parquet": stored(steps)}) == "" and tried(ours()) == ""


def tried(files: dict[str, bytes]) -> str:
    with tempfile.TemporaryDirectory() as place:
        return checked_import(written(Path(place) / "in", Files(files)), Path(place) / "out", {})
