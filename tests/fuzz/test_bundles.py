"""Bundles damaged at random are played, or refused by a BundleError."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save

pytest.importorskip("hypothesis")
from hypothesis import given
from hypothesis import strategies as st

from neural_envs.bundles import resolve_bundle
from neural_envs.env import NeuralEnv
from tests.fuzz.mutations import FUZZ, Files, damaged_bytes, damaged_json, damaged_npz
from world_models.bundles import BundleError

pytestmark = pytest.mark.fuzz
NAMES = ("snake", "snake-eqm", "worldmap", "worldmap-diffusion", "pong", "pong-sprites")
WHOLE = {
    name: {
        file.name: file.read_bytes() for file in resolve_bundle(name).iterdir() if file.is_file()
    }
    for name in NAMES
}
TENSORS = {name: load_file(resolve_bundle(name) / "model.safetensors") for name in NAMES}


def arrays_of(name: str, file: str) -> dict[str, np.ndarray]:
    with np.load(resolve_bundle(name) / file) as arrays:
        return dict(arrays)


ARRAYS = {
    (name, file): arrays_of(name, file)
    for name in NAMES
    for file in ("contexts.npz", "trust.npz")
    if file in WHOLE[name]
}


@st.composite
def damaged_weights(draw: st.DrawFn, name: str) -> bytes:
    """A file of weights with one tensor changed, absent or new, or with damaged bytes."""
    tensors = dict(TENSORS[name])
    chosen = draw(st.sampled_from(sorted(tensors)))
    what = draw(st.sampled_from(["nan", "dtype", "shape", "remove", "add", "bytes", "cut"]))
    if what == "nan":
        fresh = tensors[chosen].clone().float()
        fresh.view(-1)[0] = draw(st.sampled_from([torch.nan, torch.inf]))
        tensors[chosen] = fresh
    elif what == "dtype":
        kinds = [torch.int64, torch.float64, torch.bool, torch.bfloat16, torch.uint8]
        tensors[chosen] = tensors[chosen].to(draw(st.sampled_from(kinds)))
    elif what == "shape":
        tensors[chosen] = torch.zeros(draw(st.lists(st.integers(0, 5), max_size=4)))
    elif what == "remove":
        del tensors[chosen]
    elif what == "add":
        tensors["surprise"] = torch.zeros(3)
    content = save(tensors)
    if what == "bytes":
        return draw(damaged_bytes(content[:8000])) + content[8000:]
    return content[: draw(st.integers(0, len(content)))] if what == "cut" else content


@st.composite
def damaged_bundles(draw: st.DrawFn) -> dict[str, bytes | None]:
    """The files of a bundle, one of them damaged or absent (None)."""
    name = draw(st.sampled_from(NAMES))
    files: dict[str, bytes | None] = dict(WHOLE[name])
    file = draw(st.sampled_from(["config.json"] * 4 + sorted(set(files) - {"README.md"})))
    if draw(st.integers(0, 19)) == 0:
        files[file] = None
    elif file == "config.json":
        files[file] = draw(damaged_json(json.loads(WHOLE[name][file])))
    elif file == "contexts.json":
        files[file] = draw(damaged_json(json.loads(WHOLE[name][file])))
    elif file == "model.safetensors":
        files[file] = draw(damaged_weights(name))
    else:
        files[file] = draw(damaged_npz(ARRAYS[name, file]))
    return Files(files)


@FUZZ
@given(files=damaged_bundles())
def test_a_damaged_bundle_is_played_or_refused_by_a_sentence(files, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "bundle"
    path.mkdir()
    for name, content in files.items():
        if content is not None:
            (path / name).write_bytes(content)
    try:
        env = NeuralEnv(str(path))
        env.reset(seed=1)
        for action in (0, 1, 0):
            _, reward, terminated, truncated, info = env.step(action)
            if terminated or truncated:
                env.reset()
            assert np.isfinite(reward) and 0 <= info.get("trust", 0.5) <= 1
    except BundleError as error:
        assert len(str(error)) < 2000 and "\n" not in str(error)
    finally:
        shutil.rmtree(path.parent)
