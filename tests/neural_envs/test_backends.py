"""Backends: a step as one pure function, what they refuse, that they dream what torch dreams, and
how the fastest is chosen.
"""

from __future__ import annotations

import json
import pickle
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from neural_envs import bundles
from neural_envs.backends import agreement as agreements
from neural_envs.backends import backends, fastest, graph_files, runtimes
from neural_envs.backends.agreement import Agreement, agreement, eager_dreams
from neural_envs.backends.backends import Steps, steps_by
from neural_envs.backends.errors import BackendError, ExportError
from neural_envs.backends.step_function import StepFunction
from neural_envs.vector_env import NeuralVectorEnv
from tests.neural_envs.test_released_kinds import MODELS, SPEC
from tests.oracles import counting_bundle
from world_models.bundles.bundle import Bundle
from world_models.bundles.contexts import Contexts
from world_models.lanes import take_lanes
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS, SamplingOptions, Transition

GRAPHS = [kind for kind in MODELS if kind != "forcing"]


def tiny(kind: str) -> Bundle:
    torch.manual_seed(0)
    model, rng = MODELS[kind]().eval().requires_grad_(False), np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    frames = rng.integers(256, size=(6, model.context_length, *SPEC.frame_shape), dtype=np.uint8)
    return Bundle(
        model, Contexts(frames, rng.integers(4, size=(6, model.context_length - 1))), {}, None
    )


def same(found: Transition, expected: Transition) -> bool:
    leaves = [torch.utils._pytree.tree_leaves(each) for each in (found, expected)]
    return all(torch.equal(a, b) for a, b in zip(*leaves, strict=True))


def plain(function: StepFunction, tensors: list) -> Any:
    """A runtime that is torch itself."""
    return lambda given: list(function(*given))


def wrong(function: StepFunction, tensors: list) -> Any:
    """A runtime whose rewards are off, and half of its frames."""

    def compute(given: list) -> list:
        *state, frame, reward, termination, trust = function(*given)
        frame = frame.clone()
        frame[:, :8] += 100
        return [*state, frame, reward + 1, termination, trust]

    return compute


@pytest.fixture
def toys(monkeypatch, tmp_path):
    """Runtimes that need no package: `plain` computes what torch computes, `wrong` does not."""
    rows = {"plain": runtimes.Runtime(plain), "wrong": runtimes.Runtime(wrong)}
    monkeypatch.setattr(backends, "RUNTIMES", rows)
    monkeypatch.setattr(backends, "BACKENDS", ("eager", *rows, "auto"))
    monkeypatch.setattr(runtimes, "RUNTIMES", rows)
    monkeypatch.setattr(backends, "CANDIDATES", tuple(rows))
    monkeypatch.setattr(fastest, "SECONDS", 0.01)
    monkeypatch.setattr(agreements, "SAMPLES", 6)
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    return tmp_path / "fastest"


@pytest.mark.parametrize("kind", GRAPHS)
def test_a_step_is_a_function_of_state_action_and_draws_alone(kind):
    bundle, lane = tiny(kind), torch.arange(3)
    with torch.inference_mode():
        state = bundle.model.init(bundle.contexts.choose(lane))
        first, second = NoiseStream.from_seeds(lane), NoiseStream.from_seeds(lane + 7).next()
        function = StepFunction(bundle.model, DEFAULT_OPTIONS, state, lane, first)
        for noise, action in ((first, lane), (second, lane.flip(0))):
            tensors = function.tensors(state, action, noise)
            assert all(tensor.numel() for tensor in tensors)
            found = function.transition(list(function(*tensors)))
            assert same(found, bundle.model.step(state, action, noise))


@pytest.mark.parametrize("kind", GRAPHS)
def test_many_lanes_are_stepped_in_blocks_by_one_graph_for_few(kind, monkeypatch):
    monkeypatch.setattr(runtimes, "BLOCK", 2)
    monkeypatch.setattr(runtimes, "open_graph", lambda step, given, opens: opens((step, given)))
    sizes = []

    def session(graph):
        assert len(graph[1][0]) == 2
        return lambda given: sizes.append(len(given[0])) or list(graph[0](*given))

    monkeypatch.setattr(runtimes, "onnx_session", session)
    bundle, lane = tiny(kind), torch.arange(6)
    with torch.inference_mode():
        state = bundle.model.init(bundle.contexts.choose(lane))
        noise, action = NoiseStream.from_seeds(lane), lane % 4
        function = StepFunction(bundle.model, DEFAULT_OPTIONS, state, action, noise)
        tensors = function.tensors(state, action, noise)
        found = runtimes.open_onnx(function, tensors)(tensors)
        expected = []
        for pair in lane.split(2):
            few = (take_lanes(part, pair) for part in (state, action, noise))
            expected.append(function.after.leaves(bundle.model.step(*few)))
    assert sizes == [2, 2, 2]
    assert all(map(torch.equal, found, map(torch.cat, zip(*expected, strict=True))))


def test_an_unknown_backend_is_refused_with_the_list():
    with pytest.raises(ValueError, match="'eager', .*'compile', 'onnx'.*'auto'; got 'tpu'"):
        NeuralVectorEnv(1, counting_bundle(), backend="tpu")


@pytest.mark.parametrize("kind", ["forcing", "counting"])
def test_a_model_that_is_no_graph_is_refused_by_its_kind_and_auto_steps_it_as_it_is(kind):
    bundle = counting_bundle() if kind == "counting" else tiny(kind)
    with pytest.raises(ValueError, match="backend='compile' runs models of kind chance, diffusion"):
        NeuralVectorEnv(1, bundle, backend="compile")
    env = NeuralVectorEnv(1, bundle, backend="auto")
    assert env.simulator.steps is None and env.reset(seed=0)[1]["backend"].tolist() == ["eager"]


@pytest.mark.parametrize(
    ("backend", "package", "extra"),
    [
        ("onnx", "onnxruntime", "onnx"),
        ("onnx", "onnxscript", "onnx"),
        ("openvino", "openvino", "fast"),
        ("openvino-bf16", "onnx", "fast"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(backend, package, extra, monkeypatch):
    for name in ("onnxruntime", "onnx", "onnxscript", "openvino"):
        monkeypatch.setitem(sys.modules, name, None if name == package else sys)
    with pytest.raises(ExportError, match=rf"needs {package}, .*pip install .*\[{extra}\]"):
        NeuralVectorEnv(1, tiny("chance"), backend=backend)


def test_a_processor_without_bfloat16_is_told_the_other_backend(monkeypatch):
    monkeypatch.setattr(runtimes, "has_bfloat16", lambda: False)
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: True)
    with pytest.raises(BackendError, match="AVX512_BF16.*use backend='openvino'"):
        NeuralVectorEnv(1, tiny("chance"), backend="openvino-bf16")


def test_a_backend_of_the_processor_is_not_for_a_gpu():
    with pytest.raises(BackendError, match="on cpu, not on cuda.*backend='compile'"):
        runtimes.require("onnx", torch.device("cuda"))


def test_a_backend_of_a_gpu_is_not_for_the_processor():
    with pytest.raises(BackendError, match="on cuda, not on cpu.*backend='onnx'"):
        NeuralVectorEnv(1, tiny("chance"), backend="cuda-graph")


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NEURAL_ENVS_CACHE", raising=False)
    assert graph_files.cache_folder() == tmp_path / "neural-envs"
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path / "own"))
    assert graph_files.cache_folder() == tmp_path / "own"


def test_other_weights_or_rewards_are_another_graph():
    models = [tiny("chance").model for _ in range(3)]
    first, second, third = models
    assert graph_files.fingerprint(first) == graph_files.fingerprint(second)
    second.head.out.bias.data[0] += 1
    third.reward_values = third.reward_values * 2
    assert len({graph_files.fingerprint(model) for model in models}) == 3


def test_another_source_of_the_networks_is_another_graph(monkeypatch, tmp_path):
    model, own = tiny("chance").model, tmp_path / "__init__.py"
    found = [graph_files.fingerprint(model)]
    monkeypatch.setattr(graph_files, "networks", SimpleNamespace(__file__=str(own)))
    for source in ("", "x = 1\n"):
        own.write_text(source)
        graph_files.source_digest.cache_clear()
        found.append(graph_files.fingerprint(model))
    graph_files.source_digest.cache_clear()
    assert len(set(found)) == 3


def test_agreement_counts_pixels_rewards_and_terminations():
    bundle = tiny("chance")
    dreams = eager_dreams(bundle.model, bundle.contexts, 3, DEFAULT_OPTIONS, 256)
    exact = agreement(bundle.model.step, dreams, DEFAULT_OPTIONS)
    assert exact == Agreement(exact.samples, 0.0, 0, 0) and exact.samples >= 128
    assert exact.refusal == "" and Agreement(9, 1e-4, 0, 0).refusal == ""
    assert "0.02 % of its pixels" in Agreement(9, 2e-4, 0, 0).refusal
    assert "1 rewards and 2 terminations of 9" in Agreement(9, 0.0, 1, 2).refusal


def test_a_graph_that_disagrees_is_refused_with_its_figures_and_eager_goes_on(toys):
    bundle = tiny("chance")
    env = NeuralVectorEnv(2, bundle, backend="wrong")
    with pytest.warns(UserWarning, match=r"'wrong' is refused.*50 % of its pixels.*eager"):
        _, info = env.reset(seed=0)
    assert info["backend"].tolist() == ["eager"] * 2
    twin = NeuralVectorEnv(2, bundle)
    twin.reset(seed=0)
    assert np.array_equal(env.step([0, 1])[0], twin.step([0, 1])[0])


def test_a_dream_by_a_graph_says_so_and_is_the_same_dream(toys):
    bundle = tiny("tokens")
    env, twin = (NeuralVectorEnv(2, bundle, backend=name) for name in ("plain", "eager"))
    env = pickle.loads(pickle.dumps(env))
    (frames, info), (expected, bare) = env.reset(seed=3), twin.reset(seed=3)
    assert info["backend"].tolist() == ["plain"] * 2 and "backend" not in bare
    for actions in ([0, 1], [2, 3], [1, 1]):
        assert np.array_equal(frames, expected)
        (frames, *outcomes, _), (expected, *others, _) = env.step(actions), twin.step(actions)
        assert all(map(np.array_equal, outcomes, others))


def test_auto_takes_the_fastest_that_agrees_and_keeps_its_choice(toys, monkeypatch):
    bundle, asked = tiny("chance"), []

    def ratios(candidates):
        asked.append(set(candidates))
        return {"eager": 1.0, "plain": 2.0}

    monkeypatch.setattr(backends, "fastest", ratios)
    assert Steps(bundle.model, bundle.contexts, "auto").opened(2, DEFAULT_OPTIONS)[0] == "plain"
    assert asked == [{"eager", "plain"}]
    (file,) = toys.iterdir()
    kept = json.loads(file.read_text())
    assert kept["backend"] == "plain" and "% of its pixels" in kept["candidates"]["wrong"]
    assert Steps(bundle.model, bundle.contexts, "auto").opened(2, DEFAULT_OPTIONS)[0] == "plain"
    assert len(asked) == 1
    Steps(bundle.model, bundle.contexts, "auto").opened(3, DEFAULT_OPTIONS)
    assert len(asked) == 2  # other lanes are timed anew
    file.write_text("{")
    Steps(bundle.model, bundle.contexts, "auto").opened(2, DEFAULT_OPTIONS)
    assert len(asked) == 3


def test_auto_keeps_no_graph_of_sampling_options_that_are_not_the_bundles_own(toys):
    bundle = tiny("diffusion")
    steps = Steps(bundle.model, bundle.contexts, "auto")
    assert steps.opened(2, SamplingOptions(steps=7))[0] == "eager" and not toys.exists()


def test_auto_without_any_package_is_eager_and_keeps_nothing(toys, monkeypatch):
    monkeypatch.setattr(backends, "CANDIDATES", ("onnx",))
    monkeypatch.setattr(backends, "require", lambda *_: (_ for _ in ()).throw(ExportError("no")))
    bundle = tiny("chance")
    assert Steps(bundle.model, bundle.contexts, "auto").opened(2, DEFAULT_OPTIONS)[0] == "eager"
    assert not toys.exists()


def test_the_same_model_has_its_graphs_once():
    bundle = tiny("chance")
    assert steps_by(bundle.model, bundle.contexts, "eager") is None
    first = steps_by(bundle.model, bundle.contexts, "compile")
    assert first is not None and first is steps_by(bundle.model, bundle.contexts, "compile")
    assert steps_by(tiny("chance").model, bundle.contexts, "compile") is not first


def test_never_one_slower_than_eager():
    assert fastest.best_of({"eager": 1.0, "onnx": 1.01}) == "eager"
    assert fastest.best_of({"eager": 1.0, "onnx": 1.4, "openvino": 1.3}) == "onnx"


def test_candidates_are_timed_in_turn(monkeypatch):
    monkeypatch.setattr(fastest, "SECONDS", 0.01)
    order = []
    steps = {name: lambda name=name: order.append(name) for name in ("a", "eager")}
    ratios = fastest.fastest(steps)
    assert ratios["eager"] == 1.0 and ratios["a"] > 0
    assert order[0] == "a" and "eager" in order


def installed(*packages: str) -> bool:
    return all(runtimes.importlib.util.find_spec(package) for package in packages)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", GRAPHS)
def test_graphs_dream_what_torch_dreams_and_are_exported_once(kind, monkeypatch, tmp_path):
    if not installed(*runtimes.RUNTIMES["onnx"].packages):
        pytest.skip("needs neural-envs[onnx]")
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    bundle = tiny(kind)
    steps = Steps(bundle.model, bundle.contexts, "onnx")
    assert steps.opened(3, DEFAULT_OPTIONS)[0] == "onnx"
    if not installed("openvino"):
        return
    monkeypatch.setattr(graph_files, "export", lambda *_: pytest.fail("exported twice"))
    steps = Steps(bundle.model, bundle.contexts, "openvino")
    assert steps.opened(3, DEFAULT_OPTIONS)[0] == "openvino"
    if runtimes.has_bfloat16():  # random weights decide by a hair, so it need not agree
        dreams = eager_dreams(bundle.model, bundle.contexts, 3, DEFAULT_OPTIONS, 64)
        steps._graph("openvino-bf16", DEFAULT_OPTIONS, dreams)


@pytest.mark.guard
@pytest.mark.timeout(300)
def test_the_dream_of_snake_is_the_same_by_the_runtimes_themselves(monkeypatch, tmp_path):
    """What CI runs of the slow tests above and below: one export, which all three open."""
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    bundle, ran = bundles.load("snake"), []
    for backend in ("onnx", "openvino", "openvino-bf16"):
        try:
            runtimes.require(backend, torch.device("cpu"))
        except (BackendError, ExportError):
            continue  # not installed, or a processor without bfloat16
        steps = Steps(bundle.model, bundle.contexts, backend)
        assert steps.opened(3, DEFAULT_OPTIONS)[0] == backend
        ran.append(backend)
    if not ran:
        pytest.skip("needs neural-envs[onnx]")
    assert len(list((tmp_path / "steps").iterdir())) == 1


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("name", bundles.released_names())
def test_released_bundles_dream_the_same_by_every_backend(name, lanes, monkeypatch, tmp_path):
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    bundle = bundles.load(name)
    if not bundle.model.one_graph:
        pytest.skip("it has a loop of its own")
    for backend in ("onnx", "openvino"):
        if installed(*runtimes.RUNTIMES[backend].packages):
            steps = Steps(bundle.model, bundle.contexts, backend)
            assert steps.opened(lanes, DEFAULT_OPTIONS)[0] == backend


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_compiled_step_dreams_what_torch_dreams_or_says_why_not():
    bundle = tiny("chance")
    try:
        name, _ = Steps(bundle.model, bundle.contexts, "compile").opened(2, DEFAULT_OPTIONS)
    except BackendError as refusal:
        assert "compiler" in str(refusal)
        return
    assert name == "compile"


def test_a_machine_without_a_compiler_is_told_so(monkeypatch):
    def fails(*arguments):
        raise type("InvalidCxxCompiler", (RuntimeError,), {"__module__": "torch._inductor.exc"})(
            "no g++"
        )

    monkeypatch.setattr(torch, "compile", lambda call, **options: fails)
    bundle = tiny("chance")
    with pytest.raises(BackendError, match="no g.. *.*use backend='eager'"):
        Steps(bundle.model, bundle.contexts, "compile").opened(2, DEFAULT_OPTIONS)


@pytest.mark.gpu
@pytest.mark.timeout(600)
@pytest.mark.parametrize("lanes", [1, 64])
@pytest.mark.parametrize("name", bundles.released_names())
def test_released_bundles_dream_the_same_by_cuda_graphs_or_say_why_not(name, lanes):
    bundle = bundles.load(name, "cuda")
    if not bundle.model.one_graph:
        pytest.skip("it has a loop of its own")
    steps = Steps(bundle.model, bundle.contexts, "cuda-graph")
    try:
        assert steps.opened(lanes, DEFAULT_OPTIONS)[0] == "cuda-graph"
    except ExportError as refusal:
        assert "recorded as a CUDA graph" in str(refusal)


@pytest.mark.gpu
def test_auto_on_a_gpu_runs_and_says_what_runs(monkeypatch, tmp_path):
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    env = NeuralVectorEnv(2, "snake", device="cuda", backend="auto", output="torch")
    _, info = env.reset(seed=0)
    assert info["backend"][0] in ("eager", "cuda-graph")
    assert env.step(torch.tensor([0, 1], device="cuda"))[0].is_cuda
