"""`.dream` files damaged at random are dreamed again, or refused by a DreamFileError."""

from __future__ import annotations

import functools
import io
import json
import zipfile

import numpy as np
import pytest

pytest.importorskip("hypothesis")
from hypothesis import given
from hypothesis import strategies as st

from neural_envs import bundles
from neural_envs.backends.backends import BackendError
from neural_envs.env import NeuralEnv
from neural_envs.replays.dream_format import JSON_MEMBER, DreamFileError
from neural_envs.replays.recorder import DreamRecorder
from neural_envs.replays.replay_file import DreamFile, check, replay
from tests.fuzz.mutations import (
    FUZZ,
    Files,
    damaged_array,
    damaged_bytes,
    damaged_json,
    npy,
    zipped,
)
from world_models.bundles import BundleError

pytestmark = pytest.mark.fuzz


@functools.cache
def whole() -> tuple[dict, dict[str, np.ndarray]]:
    """The parts of a dream, with a change of its settings and a resync."""
    env, recorder = NeuralEnv("worldmap"), DreamRecorder()
    first, _ = env.reset(seed=1)
    recorder.start(env, 1)
    for step in range(4):
        if step == 2:
            env.sampling = env.sampling._replace(steps=1)
        if step == 3:
            env.continue_from(first)
            recorder.resync(first)
        frame, reward, terminated, truncated, _ = env.step(1)
        recorder.add(1, frame, float(reward), terminated, truncated)
    with zipfile.ZipFile(io.BytesIO(recorder.file().to_bytes())) as archive:
        head = json.loads(archive.read(JSON_MEMBER))
        arrays = {
            name.removesuffix(".npy"): np.load(io.BytesIO(archive.read(name)))
            for name in archive.namelist()
            if name != JSON_MEMBER
        }
    return head, arrays


@st.composite
def damaged_dreams(draw: st.DrawFn) -> Files:
    """One file: a dream with one of its members, or the zip itself, damaged."""
    head, arrays = whole()
    members = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    members[JSON_MEMBER] = json.dumps(head).encode()
    what = draw(st.sampled_from(["json", "json", "array", "array", "remove", "add", "zip"]))
    if what == "json":
        members[JSON_MEMBER] = draw(damaged_json(head))
    elif what == "array":
        name = draw(st.sampled_from(sorted(arrays)))
        members[f"{name}.npy"] = draw(damaged_array(arrays[name]))
    elif what == "remove":
        del members[draw(st.sampled_from(sorted(members)))]
    elif what == "add":
        members["segment_7_frames.npy"] = npy(np.zeros(3))
    content = zipped(members)
    return Files(dream=draw(damaged_bytes(content)) if what == "zip" else content)


@FUZZ
@given(files=damaged_dreams())
def test_a_damaged_dream_is_dreamed_again_or_refused_by_a_sentence(files):
    bundle = bundles.load("worldmap")
    try:
        file = DreamFile.from_bytes(files["dream"] or b"")
        assert isinstance(check(file), str)
        for frame in replay(file, bundle):
            assert frame.shape == (64, 64, 3) and frame.dtype == np.uint8
        assert np.isfinite(file.rewards).all()
        assert file.to_bytes()
    except (DreamFileError, BackendError) as error:
        assert len(str(error)) < 5000 and "\n" not in str(error)


def test_arrays_without_a_length_are_a_sentence():
    head, arrays = whole()
    members = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    members[JSON_MEMBER] = json.dumps(head).encode()
    for name in sorted(arrays):
        scalar = {**members, f"{name}.npy": npy(np.zeros((), arrays[name].dtype))}
        with pytest.raises(DreamFileError, match="do not fit together"):
            DreamFile.from_bytes(zipped(scalar))


def test_a_damaged_bundle_in_a_dream_is_a_sentence():
    head, arrays = whole()
    members = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    members[JSON_MEMBER] = json.dumps({**head, "bundle": "nosuch"}).encode()
    with pytest.raises(BundleError, match="no bundle"):
        list(replay(DreamFile.from_bytes(zipped(members))))
