"""Bundles that ask for more than they hold, or hold what is no number, are refused at once."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import time
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from collectors.size_limits import ALLOW_LARGE
from collectors.untrusted_files import DamagedFileError, check_size, read_arrays
from neural_envs.bundles import resolve_bundle
from world_models.bundles import BundleError
from world_models.bundles.bundle import load_bundle
from world_models.bundles.identity import bundle_hash
from world_models.bundles.memory_budget import AllocationBudget
from world_models.bundles.reading import check_numbers


@pytest.fixture
def bundle(tmp_path):
    return shutil.copytree(resolve_bundle("snake"), tmp_path / "bundle")


def set_value(path, place, value):
    config = json.loads((path / "config.json").read_text())
    *above, last = place.split(".")
    part = config
    for name in above:
        part = part[name]
    part[last] = value
    (path / "config.json").write_text(json.dumps(config))


HUGE = {
    "model.grid.width": 40_000,
    "model.grid.encoder_depth": 10**6,
    "model.grid.decoder_depth": 10**30,
    "model.grid.patch": 0,
    "model.context_length": 10**9,
    "model.chance.categories": 10**9,
    "spec.frame_shape": [10**6, 10**6, 3],
    "spec.action_names": ["a"] * 10_000,
    "spec.fps": 0,
    "spec.reward_values": [1e999],
    "model.change_weight": float("nan"),
}


@pytest.mark.parametrize("place", HUGE)
def test_a_config_that_asks_for_too_much_is_refused_before_anything_is_built(bundle, place):
    set_value(bundle, place, HUGE[place])
    begin = time.monotonic()
    with pytest.raises(BundleError):
        load_bundle(bundle)
    assert time.monotonic() - begin < 5


def test_work_without_end_in_every_step_is_refused_by_its_name():
    for place, most in {"passes": 256, "sampler.steps": 1000}.items():
        check_numbers(most, f"model.{place}")
        with pytest.raises(DamagedFileError, match=f"model.{place} has .* more than"):
            check_numbers(most + 1, f"model.{place}")


def test_a_budget_is_checked_before_memory_is_taken():
    with pytest.raises(DamagedFileError, match="more than"), AllocationBudget(1000):
        torch.nn.Linear(10**6, 10**6)  # 4 TB
    with AllocationBudget(1000):
        assert torch.nn.Linear(10, 10).weight.shape == (10, 10)


def test_a_user_may_lift_the_limits(monkeypatch):
    with pytest.raises(DamagedFileError, match=f"give --allow-large .*{ALLOW_LARGE}=1"):
        check_size("it", 2, 1)
    monkeypatch.setenv(ALLOW_LARGE, "1")
    check_size("it", 2, 1)
    with AllocationBudget(10):
        torch.nn.Linear(10, 10)


def npz_with(header: dict, size: int) -> io.BytesIO:
    """An .npz whose arrays' headers say one thing; `size` zeros follow them."""
    head, target = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(head, header)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("frames.npy", "actions.npy"):
            with archive.open(name, "w", force_zip64=True) as member:
                member.write(head.getvalue())
                for _ in range(size // 2**20):
                    member.write(b"\0" * 2**20)
    return target


@pytest.mark.parametrize("shape", [(931 * 2**30,), (2**62,), (2**40, 2**40), (0, 2**62, 2**62)])
def test_a_header_that_asks_for_more_than_there_is_costs_no_memory(bundle, shape):
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    (bundle / "contexts.npz").write_bytes(npz_with(header, 0).getvalue())
    with pytest.raises(BundleError, match="contexts"):
        load_bundle(bundle)


def test_contexts_that_unpack_to_gigabytes_are_not_unpacked(bundle, monkeypatch):
    header = {"descr": "|u1", "fortran_order": False, "shape": (600 * 2**20,)}
    packed = npz_with(header, 600 * 2**20)
    (bundle / "contexts.npz").write_bytes(packed.getvalue())
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: pytest.fail("unpacked"))
    with pytest.raises(BundleError, match="more than"):
        load_bundle(bundle)


def test_an_array_of_objects_is_never_unpickled():
    target = io.BytesIO()
    np.savez(target, frames=np.array([{}], object))
    with pytest.raises(DamagedFileError, match="objects"):
        read_arrays(target, 1000)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "contexts.npz", "trust.npz"])
@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_in_place_of_a_file_is_refused_and_not_waited_for(tmp_path, name):
    path = shutil.copytree(resolve_bundle("pong-chance"), tmp_path / "bundle")
    (path / name).unlink()
    os.mkfifo(path / name)
    with pytest.raises(BundleError, match="regular file"):
        load_bundle(path)
    if name in ("config.json", "model.safetensors"):
        with pytest.raises(ValueError, match="regular file"):
            bundle_hash(path)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_refused(bundle, number):
    weights = load_file(bundle / "model.safetensors")
    weights["head.out.bias"][0] = number
    save_file(weights, bundle / "model.safetensors")
    with pytest.raises(BundleError, match="head.out.bias holds numbers that are not finite"):
        load_bundle(bundle)


def test_a_trust_that_is_no_number_is_refused(tmp_path):
    path = shutil.copytree(resolve_bundle("pong-chance"), tmp_path / "bundle")
    with np.load(path / "trust.npz") as arrays:
        found = dict(arrays)
    np.savez(path / "trust.npz", **{**found, "weights": found["weights"] * np.nan})
    with pytest.raises(BundleError, match="finite"):
        load_bundle(path)


def test_contexts_with_actions_that_the_game_has_not_are_refused(tmp_path):
    path = shutil.copytree(resolve_bundle("pong-chance"), tmp_path / "bundle")
    with np.load(path / "contexts.npz") as arrays:
        found = dict(arrays)
    np.savez(path / "contexts.npz", **{**found, "actions": found["actions"] + 3})
    with pytest.raises(BundleError, match="actions are whole numbers from 0 to 2"):
        load_bundle(path)


def test_settings_that_are_in_range_but_dream_no_numbers_are_found_by_the_first_step(tmp_path):
    path = shutil.copytree(resolve_bundle("worldmap-diffusion"), tmp_path / "bundle")
    set_value(path, "model.objective.sigma_min", 0.0)
    set_value(path, "model.objective.sigma_max", 0.0)
    with pytest.raises(BundleError):
        load_bundle(path)


@pytest.mark.parametrize(
    "content", [b"", b"12345678", struct.pack("<Q", 2**62) + b"{}", struct.pack("<Q", 2) + b"[]"]
)
def test_a_header_of_weights_that_lies_is_a_sentence(bundle, content):
    (bundle / "model.safetensors").write_bytes(content)
    with pytest.raises(BundleError, match="damaged"):
        load_bundle(bundle)


def test_deep_json_is_a_sentence(bundle):
    (bundle / "config.json").write_text("[" * 100_000)
    with pytest.raises(BundleError, match="nested too deeply"):
        load_bundle(bundle)
