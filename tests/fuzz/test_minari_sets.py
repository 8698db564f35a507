"""Minari sets damaged at random are imported, or refused by a DatasetError that leaves nothing."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("hypothesis")
pytest.importorskip("minari")
pytest.importorskip("h5py")
import h5py
from hypothesis import given
from hypothesis import strategies as st

from collectors.dataset.dataset import DatasetError
from collectors.dataset.minari import OURS, export_dataset, import_dataset
from collectors.interchange.options import SourceOptions
from collectors.recording.collect import collect
from collectors.size_limits import ALLOW_LARGE, ALLOW_LARGE_SWITCH
from tests.fuzz.mutations import FUZZ, Files, damaged_bytes, damaged_json

pytestmark = [pytest.mark.fuzz, pytest.mark.filterwarnings("ignore")]
SET, ABOUT, DATA = "ours/pong-v0", "metadata.json", "main_data.hdf5"
NESTED = ("observation_space", "action_space", "env_spec", OURS)  # JSON inside of JSON
EVIL = {"id": "Evil-v0", "entry_point": "evilmod:Game", "kwargs": {}, "additional_wrappers": []}
HUGE = (10**6, 10**6, 3)


@functools.cache
def whole() -> dict[str, bytes]:
    """The files of a set of two shards."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", folder)
        path = Path(folder) / "pong"
        options = {"size": 24, "points_to_win": 1}
        collect("RealPong-v0", path, 60, "random", seed=1, shard_steps=30, env_options=options)
        export_dataset(path, SET)
        return {name: (Path(folder) / SET / "data" / name).read_bytes() for name in (ABOUT, DATA)}


@pytest.fixture(scope="module")
def evil():
    """A file that must not appear, which the module `evilmod` would make."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        path = Path(folder) / "canary"
        (Path(folder) / "evilmod.py").write_text(f"open({str(path)!r}, 'w').close()\n")
        patch.syspath_prepend(folder)
        yield path


@st.composite
def damaged_metadata(draw: st.DrawFn) -> bytes:
    """The metadata with one part damaged, at times inside of a text that is JSON itself; of a
    stranger half of the time, and with a game that is a module of his.
    """
    about = json.loads(whole()[ABOUT])
    if draw(st.booleans()):
        del about[OURS]
    if draw(st.booleans()):
        about["env_spec"] = json.dumps({**json.loads(about["env_spec"]), **EVIL})
        for name in draw(st.sets(st.sampled_from(["observation_space", "action_space"]))):
            del about[name]
    nested = [name for name in NESTED if name in about]
    if not draw(st.integers(0, 2)):
        return draw(damaged_json(about))
    name = draw(st.sampled_from(nested))
    about[name] = draw(damaged_json(json.loads(about[name]))).decode(errors="replace")
    return json.dumps(about).encode()


def odd_arrays(draw: st.DrawFn, group, name: str) -> None:
    """Put another array in place of one: of other type, shape, values or size, or elsewhere."""
    array = np.zeros(3) if name == "infos" else group[name][()]
    kinds = ["dtype", "shape", "values", "huge", "outside", "soft", "group", "text"]
    what = draw(st.sampled_from(kinds))
    if name in group:
        del group[name]
    if what == "dtype":
        group[name] = array.astype(draw(st.sampled_from(["u1", "i8", "f4", "f8", "?", "c8", "S3"])))
    elif what == "shape":
        group[name] = np.zeros(draw(st.lists(st.integers(0, 4), max_size=4)), array.dtype)
    elif what == "values":
        fresh = array.astype(np.float64)
        fresh.reshape(-1)[:1] = draw(st.sampled_from([np.nan, np.inf, -1, 0.5, 10**9, 1e300]))
        group[name] = fresh if draw(st.booleans()) else fresh.astype(array.dtype)
    elif what == "huge":
        group.create_dataset(name, HUGE, array.dtype, chunks=(1, 100, 3))
    elif what == "outside":
        group[name] = h5py.ExternalLink("/etc/hostname", "/x")
    elif what == "soft":
        group[name] = h5py.SoftLink(draw(st.sampled_from([group.name, "/nowhere"])))
    elif what == "group":
        group.create_group(name)
    else:
        group[name] = "A" * 1000


@st.composite
def damaged_data(draw: st.DrawFn) -> bytes:
    """The HDF5 file with one array or attribute damaged, absent or new, or with damaged bytes."""
    if not draw(st.integers(0, 5)):
        return draw(damaged_bytes(whole()[DATA]))
    target = io.BytesIO(whole()[DATA])
    with h5py.File(target, "r+") as file:
        episode = draw(st.sampled_from(sorted(file)))
        arrays = ["observations", "actions", "rewards", "terminations", "truncations", "infos"]
        name = draw(st.sampled_from(arrays))
        what = draw(st.sampled_from(["array", "array", "array", "remove", "episode", "attribute"]))
        if what == "array":
            odd_arrays(draw, file[episode], name)
        elif what == "remove" and name in file[episode]:
            del file[episode][name]
        elif what == "episode":
            del file[episode]
        else:
            values = [float("nan"), -1, 2**63, "x", "a\nb,\"'", np.zeros((30, 30)), "A" * 9000]
            attribute = draw(st.sampled_from(["seed", "policy", "split_key", "id", "options/a"]))
            file[episode].attrs[attribute] = draw(st.sampled_from(values))
    return target.getvalue()


@st.composite
def damaged_sets(draw: st.DrawFn) -> Files:
    """The files of a set, one of them damaged or absent."""
    files: dict[str, bytes | None] = dict(whole())
    what = draw(st.sampled_from([ABOUT, ABOUT, DATA, DATA, "absent"]))
    if what == ABOUT:
        files[ABOUT] = draw(damaged_metadata())
    elif what == DATA:
        files[DATA] = draw(damaged_data())
        if draw(st.booleans()):
            files[ABOUT] = json.dumps(
                {key: value for key, value in json.loads(whole()[ABOUT]).items() if key != OURS}
            ).encode()
    else:
        files[draw(st.sampled_from(sorted(files)))] = None
    return Files(files)


def tried(files: Files, size: str = "") -> str:
    """Import the set, read it to the end and export it again; the sentence where it is refused."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("MINARI_DATASETS_PATH", folder)
        stored, out = Path(folder) / SET / "data", Path(folder) / "out"
        stored.mkdir(parents=True)
        for name, content in files.items():
            if content is not None:
                (stored / name).write_bytes(content)
        try:
            dataset = import_dataset(SET, out, SourceOptions(size=size))
        except DatasetError as error:
            assert not out.exists() and {*os.listdir(folder)} == {"ours"}
            assert len(str(error)) < 2000 and "\n" not in str(error)
            return str(error)
        for row in dataset.episodes:
            episode = dataset.episode(row.id)
            assert len(episode.frames) == len(episode.actions) + 1
            assert np.isfinite(episode.rewards).all()
        if dataset.episodes:
            export_dataset(out, "again/pong-v0")
        shutil.rmtree(out)
        return ""


@FUZZ
@given(files=damaged_sets(), size=st.sampled_from(["", "", "8x12"]))
def test_a_damaged_set_is_imported_or_refused_by_a_sentence(evil, files, size):
    tried(files, size)
    assert not evil.exists() and "evilmod" not in sys.modules


@pytest.mark.parametrize("missing", ["observation_space", "action_space"])
def test_a_set_without_a_space_makes_no_game_of_its_own(evil, missing):
    about = json.loads(whole()[ABOUT])
    del about[missing]
    about["env_spec"] = json.dumps({**json.loads(about["env_spec"]), **EVIL})
    files = Files({**whole(), ABOUT: json.dumps(about).encode()})
    assert f"its metadata has no {missing}" in tried(files)
    assert not evil.exists() and "evilmod" not in sys.modules


@pytest.mark.parametrize(
    "change, words",
    [
        ({"total_episodes": 10**9}, "total_episodes is no whole number up to"),
        (
            {"action_space": '{"type": "Discrete", "n": 10000000, "start": 0}', OURS: None},
            "actions",
        ),
    ],
)
def test_counts_that_fill_the_memory_are_refused(change, words):
    about = json.loads(whole()[ABOUT]) | change
    about = {key: value for key, value in about.items() if value is not None}
    assert words in tried(Files({**whole(), ABOUT: json.dumps(about).encode()}))


def test_a_set_whose_size_is_told_nowhere_waits_for_the_word_of_the_user(monkeypatch):
    about = json.loads(whole()[ABOUT]) | {"data_format": "arrow"}
    files = Files({**whole(), ABOUT: json.dumps(about).encode()})
    assert "is kept as arrow" in (refused := tried(files)) and ALLOW_LARGE_SWITCH in refused
    monkeypatch.setenv(ALLOW_LARGE, "1")
    assert "is kept as arrow" not in tried(files)  # and Minari says what it lacks


def test_an_array_that_unpacks_to_much_or_lies_elsewhere_is_refused():
    for put, words in (
        (
            lambda group: group.create_dataset("rewards", HUGE, "f4", chunks=(1, 100, 3)),
            "more than",
        ),
        (lambda group: group.__setitem__("rewards", h5py.ExternalLink("x", "/x")), "is a link"),
    ):
        target = io.BytesIO(whole()[DATA])
        with h5py.File(target, "r+") as file:
            del file["episode_0"]["rewards"]
            put(file["episode_0"])
        assert words in tried(Files({**whole(), DATA: target.getvalue()}))


def test_actions_that_are_no_whole_numbers_are_refused():
    target = io.BytesIO(whole()[DATA])
    with h5py.File(target, "r+") as file:
        actions = file["episode_0"]["actions"][()]
        del file["episode_0"]["actions"]
        file["episode_0"]["actions"] = actions + 0.5
    files = Files({**whole(), DATA: target.getvalue()})
    assert "actions of float64, which are not in Discrete" in tried(files)
