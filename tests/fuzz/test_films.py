"""Folders of films with their tables, damaged at random, are imported, or refused by a DatasetError
that leaves nothing.
"""

from __future__ import annotations

import functools
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hypothesis")
pytest.importorskip("imageio_ffmpeg")
import imageio_ffmpeg
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.interchange import films
from collectors.size_limits import ALLOW_LARGE_SWITCH
from collectors.untrusted_files import DamagedFileError
from collectors.video_writers import write_video
from tests.fuzz.imports import checked_import, little_memory, written
from tests.fuzz.mutations import FUZZ, Files, damaged_bytes

pytestmark = [pytest.mark.fuzz, pytest.mark.usefixtures("little_memory")]
__all__ = ["little_memory"]
SIDE = 16
TABLES = [
    ["action,reward,terminated", "left,0,0", "right,1,0", "left,0.5,1", ",,"],
    ["t,action", "0,1", "1,0", "2,1", "3,"],
    ["action,truncated", "0.5,0", "-0.25,1", ",", "1,0", "0,1", ",0"],
    ["action_0,action_1,reward", "0,1,0", "2,0,1", "1,1,-1"],
    ["action_0,action_1", "0.5,1", "-2,0", "1e3,1", ","],
]
CELLS = [
    "", " ", "-1", "7", "900", "99999999999999999999", "9" * 18, "nan", "inf", "-inf", "1e29",
    "1e31", "1e400", "0x10", "1_0", "x", '"', '"a\nb"', "\0", "\u0661", "\ud7ff", "true", "maybe",
    "A" * 300, "A" * 200_000, "action", "-0.0", "1e-400", ".", "-", "e5",
]  # fmt: skip
OPTIONS = [
    {},
    {"size": "8"},
    {"size": "8x12"},
    {"actions": ("left", "right", "jump")},
    {"actions": ("stay",)},
    {"bounds": (-1.0, 1.0)},
    {"bounds": (1.0, -1.0)},
    {"bounds": (0.0, float("nan"))},
    {"cut": 1},
    {"cut": 2, "fps": 1000},
    {"world": "W" * 300},
]


@st.composite
def damaged_tables(draw: st.DrawFn, table: list[str]) -> bytes:
    """A table with some cells exchanged, or rows that are ragged, doubled or missing, or damaged
    bytes; or as it is.
    """
    rows = [row.split(",") for row in table]
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        row = draw(st.sampled_from(rows)) if rows else []
        what = draw(st.sampled_from(["cell"] * 9 + ["longer", "shorter", "double", "drop"]))
        if what == "cell" and row:
            row[draw(st.integers(0, len(row) - 1))] = draw(st.sampled_from(CELLS))
        elif what == "longer":
            row.append(draw(st.sampled_from(CELLS)))
        elif what == "shorter":
            del row[-1:]
        elif what == "double":
            rows.append(list(row))
        elif what == "drop" and rows:
            rows.remove(row)
    content = "\n".join(map(",".join, rows)).encode()
    return content if draw(st.integers(0, 7)) else draw(damaged_bytes(content))


@st.composite
def damaged_folders(draw: st.DrawFn) -> tuple[Files, dict[str, int]]:
    """Two tables, and how many frames their films have, mostly as many as there are rows."""
    table = draw(st.sampled_from(TABLES))
    other = draw(st.sampled_from([table, table, table, *TABLES]))
    files = Files({"a.csv": draw(damaged_tables(table)), "b.csv": "\n".join(other).encode()})
    counts = {}
    for name in ("a", "b"):
        rows = files[f"{name}.csv"].count(b"\n")
        counts[name] = max(0, rows + draw(st.sampled_from([0] * 9 + [1, -1, 5, -9])))
    return Files({"a.mp4": b"", "b.mp4": b"", **files}), counts


def converted(source: str | Path, out: Path, *options: str, codec: Sequence[str] = ()) -> None:
    """Let ffmpeg write a film."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *options]
    subprocess.run([*program, "-i", source, *codec, out], check=True)


@functools.cache
def whole(suffix: str) -> bytes:
    """A film of four frames, in this container."""
    with tempfile.TemporaryDirectory() as folder:
        levels = 60 * np.arange(4, dtype=np.uint8)[:, None, None, None]
        file = Path(folder) / "a.mp4"
        write_video(file, np.broadcast_to(levels, (4, SIDE, SIDE, 3)).copy(), 5, 1)
        if suffix != ".mp4":
            converted(file, file.with_suffix(suffix), codec=("-c", "copy"))
        return file.with_suffix(suffix).read_bytes()


@settings(FUZZ, max_examples=700)
@given(
    damaged=damaged_folders(),
    options=st.sampled_from([{}, {}, *OPTIONS]),
    shape=st.sampled_from([(SIDE, SIDE, 3)] * 8 + [(18, 16, 3), (4, 400, 3)]),
    lost=st.sampled_from([0] * 9 + [1]),
)
def test_films_with_damaged_tables_are_imported_or_refused_by_a_sentence(
    damaged, options, shape, lost
):
    """The films are stood in for: ffmpeg takes a tenth of a second for each."""
    files, counts = damaged

    def decoded(path: Path):
        yield from np.zeros((max(0, counts[path.stem] - lost), *shape), np.uint8)
        if lost:
            raise DamagedFileError(f"{path} cannot be decoded")

    with tempfile.TemporaryDirectory() as place, pytest.MonkeyPatch.context() as patch:
        patch.setattr(films, "count_frames", lambda path: counts[path.stem])
        patch.setattr(films, "read_film", decoded)
        folder = written(Path(place) / "in", files)
        checked_import(folder, Path(place) / "out", options)


@settings(FUZZ, max_examples=60)
@given(suffix=st.sampled_from([".mp4", ".mp4", ".mkv", ".avi", ".mov"]), data=st.data())
def test_damaged_films_are_imported_or_refused_by_a_sentence(suffix, data):
    content = data.draw(damaged_bytes(whole(suffix)))
    files = Files({f"a{suffix}": content, "a.csv": b"action\n0\n1\n0\n"})
    with tempfile.TemporaryDirectory() as place:
        folder = written(Path(place) / "in", files)
        checked_import(folder, Path(place) / "out", {"size": "16"})


def test_the_whole_films_are_imported():
    for suffix in (".mp4", ".mkv", ".avi", ".mov"):
        files = Files({f"a{suffix}": whole(suffix), "a.csv": b"action\n0\n1\n0\n"})
        with tempfile.TemporaryDirectory() as place:
            folder = written(Path(place) / "in", files)
            assert checked_import(folder, Path(place) / "out", {}) == ""


def test_a_small_film_of_huge_frames_is_refused_before_there_is_room_for_them():
    """A film of 12 000 x 12 000 pixels, of 0.4 MB, made ffmpeg take 1.5 GB."""
    with tempfile.TemporaryDirectory() as place:
        folder = written(Path(place) / "in", Files({"a.csv": b"action\n0\n"}))
        converted(
            "color=black:s=4200x4200:d=0.08",
            folder / "a.mp4",
            "-f",
            "lavfi",
            codec=("-preset", "ultrafast", "-threads", "1"),
        )
        refused = checked_import(folder, Path(place) / "out", {"size": "16"})
        assert "has frames of more than 1.678e+07 pixels" in refused
        assert ALLOW_LARGE_SWITCH in refused


def test_a_table_of_too_many_cells_is_refused_before_it_is_taken_apart():
    """34 MB of short rows made a list of 3 GB, in a minute."""
    files = Files({"a.mp4": b"", "a.csv": b"action\n" + b"\n" * 2**22})
    with tempfile.TemporaryDirectory() as place:
        refused = checked_import(written(Path(place) / "in", files), Path(place) / "out", {})
    assert "cells, more than 4.194e+06" in refused and ALLOW_LARGE_SWITCH in refused
