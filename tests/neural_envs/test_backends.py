"""The backends of a dream: what they replace, what they refuse, and that they tell the same dream
as torch.
"""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest
import torch

from neural_envs import bundles
from neural_envs.backends import backends
from neural_envs.backends import onnx as exported
from neural_envs.vector_env import NeuralVectorEnv
from tests.neural_envs.test_released_kinds import MODELS, SPEC
from tests.oracles import counting_bundle
from world_models.bundles.bundle import Bundle
from world_models.bundles.contexts import Contexts
from world_models.noise import NoiseStream


class Counted(exported.Standin):
    """Runs the original and counts."""

    calls = 0

    def run_call(self, method, arguments):
        Counted.calls += 1
        return getattr(self.original, method)(*arguments)


def tiny(kind: str) -> Bundle:
    torch.manual_seed(0)
    model, rng = MODELS[kind]().eval().requires_grad_(False), np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    frames = rng.integers(256, size=(6, model.context_length, *SPEC.frame_shape), dtype=np.uint8)
    return Bundle(
        model, Contexts(frames, rng.integers(4, size=(6, model.context_length - 1))), {}, None
    )


def dreamed_frames(model, contexts, lanes: int) -> torch.Tensor:
    """Dreamed frames before rounding, (B, C, H, W)."""
    lane = torch.arange(lanes)
    state = model.init(contexts.choose(lane % len(contexts)))
    action, noise = lane % len(model.spec.action_names), NoiseStream.from_seeds(lane)
    with torch.inference_mode():
        features = model.encode_state(state, action)
        if model.kind == "tokens":
            return model.tokenizer.decode(model.decide_codes(features, noise).codes)
        return model.predict(features, noise)


@pytest.mark.parametrize("kind", [k for k in MODELS if k != "forcing"])
def test_every_network_that_a_step_calls_is_replaced_in_a_copy(kind, monkeypatch):
    bundle = tiny(kind)
    monkeypatch.setattr(backends, "Exported", Counted)
    monkeypatch.setattr(backends, "require", lambda: None)
    twin, lane = backends.run_by(bundle.model, "onnx"), torch.arange(3)
    state, noise, Counted.calls = (
        bundle.model.init(bundle.contexts.choose(lane)),
        NoiseStream.from_seeds(lane),
        0,
    )
    with torch.inference_mode():
        ours, theirs = (model.step(state, lane, noise) for model in (twin, bundle.model))
    assert (
        Counted.calls >= 3
        and torch.equal(ours.frame, theirs.frame)
        and torch.equal(ours.trust, theirs.trust)
    )
    assert not any(isinstance(module, Counted) for module in bundle.model.modules())
    assert (
        backends.run_by(bundle.model, "onnx") is twin
        and backends.run_by(bundle.model, "eager") is bundle.model
    )


def test_an_unknown_backend_is_refused_with_the_list():
    with pytest.raises(ValueError, match="'eager', 'compile', 'onnx'; got 'tpu'"):
        NeuralVectorEnv(1, counting_bundle(), backend="tpu")


@pytest.mark.parametrize("kind", ["forcing", "counting"])
def test_a_model_that_a_backend_does_not_run_is_refused_by_its_kind(kind):
    bundle = counting_bundle() if kind == "counting" else tiny(kind)
    with pytest.raises(ValueError, match="backend='compile' runs models of kind chance, diffusion"):
        NeuralVectorEnv(1, bundle, backend="compile")


@pytest.mark.parametrize("package", ["onnxruntime", "onnx", "onnxscript"])
def test_a_missing_package_is_named_with_its_extra(package, monkeypatch):
    for name in ("onnxruntime", "onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, name, None if name == package else sys)
    with pytest.raises(
        exported.ExportError, match=rf"needs {package}.*pip install 'neural-envs\[onnx\]'"
    ):
        NeuralVectorEnv(1, tiny("chance"), backend="onnx")


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("NEURAL_ENVS_CACHE", raising=False)
    assert exported.cache_folder() == tmp_path / "neural-envs"
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path / "own"))
    assert exported.cache_folder() == tmp_path / "own"


def test_other_weights_are_another_export():
    first, second = tiny("chance").model.head, tiny("chance").model.head
    assert exported.fingerprint(first) == exported.fingerprint(second)
    second.out.bias.data[0] += 1
    assert exported.fingerprint(first) != exported.fingerprint(second)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [k for k in MODELS if k != "forcing"])
def test_onnx_runtime_paints_what_torch_paints_and_reads_its_cache(kind, monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs neural-envs[onnx]")
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    bundle = tiny(kind)
    model = backends.run_by(bundle.model, "onnx")
    if kind == "joint":
        env, twin = (NeuralVectorEnv(3, bundle, backend=backend) for backend in ("onnx", "eager"))
        frames = [(e.reset(seed=0), e.step([0, 1, 2]))[1][0].astype(int) for e in (env, twin)]
        assert np.abs(frames[0] - frames[1]).max() <= 1
        return
    for lanes in (1, 3):
        assert torch.allclose(
            dreamed_frames(model, bundle.contexts, lanes),
            dreamed_frames(bundle.model, bundle.contexts, lanes),
            atol=exported.TOLERANCE,
        )
    monkeypatch.setattr(exported, "export", lambda *_: pytest.fail("exported twice"))
    backends._run_by.cache_clear()
    dreamed_frames(backends.run_by(bundle.model, "onnx"), bundle.contexts, 2)
    twin = pickle.loads(pickle.dumps(NeuralVectorEnv(2, bundle, backend="onnx")))
    twin.reset(seed=0)


class OneSize(torch.nn.Module):
    def forward(self, x):
        return x.view(len(x), 4) * 2  # the exporter takes len() for a constant


@pytest.mark.slow
def test_a_network_whose_code_fixes_the_number_of_lanes_is_refused_and_not_kept(
    monkeypatch, tmp_path
):
    pytest.importorskip("onnxruntime", reason="needs neural-envs[onnx]")
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    with pytest.raises(
        exported.ExportError, match="fixes the number of lanes at 2.*use backend='eager'"
    ):
        exported.Exported(OneSize())(torch.zeros(3, 2, 2))
    assert not list(tmp_path.rglob("*.onnx"))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", bundles.released_names())
def test_released_bundles_dream_the_same_by_onnx_runtime(name, monkeypatch, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs neural-envs[onnx]")
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path))
    bundle = bundles.load(name)
    try:
        model = backends.run_by(bundle.model, "onnx")
    except backends.BackendError as refusal:
        assert bundle.model.kind in str(refusal)
        return
    for lanes in (1, 5):
        found, expected = (dreamed_frames(m, bundle.contexts, lanes) for m in (model, bundle.model))
        assert (found - expected).abs().max() <= exported.TOLERANCE


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_compiled_networks_paint_what_torch_paints_or_say_why_not():
    bundle = tiny("chance")
    model = backends.run_by(bundle.model, "compile")
    try:
        found = dreamed_frames(model, bundle.contexts, 3)
    except backends.BackendError as refusal:
        assert "compiler" in str(refusal)
        return
    assert torch.allclose(
        found, dreamed_frames(bundle.model, bundle.contexts, 3), atol=exported.TOLERANCE
    )


def test_a_machine_without_a_compiler_is_told_so(monkeypatch):
    def fails(*arguments):
        raise type("InvalidCxxCompiler", (RuntimeError,), {"__module__": "torch._inductor.exc"})(
            "no g++"
        )

    monkeypatch.setattr(torch, "compile", lambda call: fails)
    bundle = tiny("chance")
    with pytest.raises(backends.BackendError, match="no g.. *.*use backend='eager'"):
        dreamed_frames(backends.run_by(bundle.model, "compile"), bundle.contexts, 2)
