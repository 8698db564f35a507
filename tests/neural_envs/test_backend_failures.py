"""Runtimes that fail: what `auto` makes of them, what a backend that was named says."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch

from neural_envs.backends import backends, graph_files, runtimes
from neural_envs.backends.backends import Steps
from neural_envs.backends.errors import ExportError
from neural_envs.backends.step_function import StepFunction
from neural_envs.vector_env import NeuralVectorEnv
from tests.neural_envs.test_backends import installed, plain, tiny, toys
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS

__all__ = ["toys"]


class RuntimeOfOthers(Exception):
    """An error of a kind that this package does not know."""


def no_operator(function: StepFunction, tensors: list) -> Any:
    """A runtime that rejects an operator as it opens a graph."""
    raise RuntimeOfOthers("no kernel for GridSample\nat node 7")


def breaks(function: StepFunction, tensors: list) -> Any:
    """A runtime that opens a graph and cannot run it."""

    def compute(given: list) -> list:
        raise RuntimeOfOthers("shapes differ")

    return compute


def no_memory(function: StepFunction, tensors: list) -> Any:
    """A runtime that lacks memory at present."""
    raise MemoryError("too little")


@pytest.fixture
def failing(toys, monkeypatch):
    """The runtimes `no_operator`, `breaks`, `no_memory` and `plain`, which works."""
    opens = {"no_operator": no_operator, "breaks": breaks, "no_memory": no_memory, "plain": plain}
    rows = {name: runtimes.Runtime(each) for name, each in opens.items()}
    for module in (backends, runtimes):
        monkeypatch.setattr(module, "RUNTIMES", rows)
    monkeypatch.setattr(backends, "BACKENDS", ("eager", *rows, "auto"))
    rates = dict.fromkeys(rows, 2.0) | {"eager": 1.0}
    monkeypatch.setattr(backends, "fastest", lambda calls: {name: rates[name] for name in calls})
    return toys


def auto(bundle, monkeypatch, *names: str) -> str:
    """What `auto` runs where it may choose from these."""
    monkeypatch.setattr(backends, "CANDIDATES", names)
    return Steps(bundle.model, bundle.contexts, "auto").opened(2, DEFAULT_OPTIONS)[0]


def test_auto_passes_over_runtimes_that_fail_and_keeps_why(failing, monkeypatch):
    assert auto(tiny("chance"), monkeypatch, "no_operator", "breaks", "plain") == "plain"
    (file,) = failing.iterdir()
    kept = json.loads(file.read_text())["candidates"]
    assert "(no kernel for GridSample)" in kept["no_operator"]
    assert "(shapes differ)" in kept["breaks"] and kept["plain"] == 2


def test_eager_goes_on_where_every_runtime_fails_and_they_are_not_tried_again(failing, monkeypatch):
    bundle = tiny("chance")
    assert auto(bundle, monkeypatch, "no_operator") == "eager"
    monkeypatch.setattr(Steps, "_graph", None)
    assert auto(bundle, monkeypatch, "no_operator") == "eager"


def test_a_lack_of_memory_is_not_remembered(failing, monkeypatch):
    assert auto(tiny("chance"), monkeypatch, "no_memory") == "eager"
    assert not failing.exists()


def test_a_choice_that_the_disk_does_not_take_is_made_again(failing, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path / "file"))
    assert auto(tiny("chance"), monkeypatch, "plain") == "plain"


@pytest.mark.parametrize("name", ["no_operator", "breaks"])
def test_a_backend_that_was_named_and_fails_is_one_sentence(failing, name):
    env = NeuralVectorEnv(2, tiny("chance"), backend=name)
    with pytest.raises(ExportError, match=f"'{name}' cannot run a step.*use backend='eager'") as no:
        env.reset(seed=0)
    assert "\n" not in str(no.value)


def test_a_damaged_installation_of_openvino_is_one_sentence_and_auto_goes_on(monkeypatch):
    def fails():
        raise RuntimeOfOthers("libtbb is damaged")

    monkeypatch.setattr(runtimes, "has_bfloat16", fails)
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: True)
    with pytest.raises(ExportError, match="libtbb is damaged.*use backend='eager'"):
        runtimes.require("openvino-bf16", torch.device("cpu"))
    bundle = tiny("chance")
    assert auto(bundle, monkeypatch, "openvino-bf16") == "eager"


def example(bundle) -> tuple[StepFunction, list]:
    """A step of two lanes as a function, and its tensors."""
    with torch.inference_mode():
        lane = torch.arange(2)
        state, noise = bundle.model.init(bundle.contexts.choose(lane)), NoiseStream.from_seeds(lane)
        function = StepFunction(bundle.model, DEFAULT_OPTIONS, state, lane, noise)
        return function, function.tensors(state, lane, noise)


@pytest.fixture
def exported(monkeypatch, tmp_path) -> list:
    """The files that were exported, each of which says "graph"."""
    files = []

    def export(function, tensors, file):
        files.append(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("graph")

    monkeypatch.setattr(graph_files, "export", export)
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    return files


def read(file) -> str:
    """Opens a file as a runtime does."""
    if file.read_text() != "graph":
        raise RuntimeOfOthers("protobuf parsing failed")
    return "opened"


def test_a_kept_graph_that_does_not_open_is_exported_once_more(exported):
    step = example(tiny("chance"))
    assert graph_files.open_graph(*step, read) == graph_files.open_graph(*step, read) == "opened"
    assert len(exported) == 1
    exported[0].write_text("gra")
    assert graph_files.open_graph(*step, read) == "opened" and len(exported) == 2


def test_a_new_graph_that_does_not_open_is_not_exported_again(exported):
    def rejects(file):
        raise RuntimeOfOthers("no kernel")

    with pytest.raises(RuntimeOfOthers):
        graph_files.open_graph(*example(tiny("chance")), rejects)
    assert len(exported) == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("backend", ["onnx", "openvino"])
def test_a_runtime_mends_a_graph_that_was_cut_off(backend, monkeypatch, tmp_path):
    if not installed(*runtimes.RUNTIMES[backend].packages):
        pytest.skip("needs neural-envs[fast]")
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    bundle = tiny("chance")
    for damaged in (False, True):
        if damaged:
            (file,) = (tmp_path / "steps").iterdir()
            file.write_bytes(file.read_bytes()[:-1000])
        name, _ = Steps(bundle.model, bundle.contexts, backend).opened(3, DEFAULT_OPTIONS)
        assert name == backend


def test_what_a_cuda_graph_fails_at_before_it_is_recorded_is_one_sentence(monkeypatch):
    def fails(function, given):
        raise RuntimeError("CUDA error: no kernel image\nCompile with ...")

    monkeypatch.setattr(runtimes, "recorded", fails)
    with pytest.raises(ExportError, match="recorded as a CUDA graph .CUDA error: no kernel image."):
        runtimes.open_cuda_graph(*example(tiny("chance")))
