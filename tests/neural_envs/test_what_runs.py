"""The line that says which backend runs dreams, what was refused, and what is not installed."""

from __future__ import annotations

import pytest

from neural_envs.backends import backends, fastest, runtimes
from neural_envs.backends.backends import Steps
from neural_envs.vector_env import NeuralVectorEnv
from tests.neural_envs.test_backends import tiny, toys
from world_models.protocols import DEFAULT_OPTIONS

__all__ = ["toys"]


@pytest.mark.parametrize("backend", ["wrong", "auto"])
@pytest.mark.filterwarnings("ignore:backend='wrong' is refused")
def test_it_says_what_runs_and_what_was_refused_also_where_the_choice_was_kept(
    toys, monkeypatch, backend
):
    monkeypatch.setattr(backends, "fastest", lambda calls: {"eager": 1.0, "plain": 2.0})
    bundle, ran = tiny("chance"), "eager" if backend == "wrong" else "plain"
    for _ in range(2):
        line = Steps(bundle.model, bundle.contexts, backend).line(2, DEFAULT_OPTIONS)
        assert line.startswith(f"dreams run by {ran}; wrong refused: 50 % of its pixels")
        assert "plain" not in line.partition(";")[2]


def test_it_says_which_candidates_are_not_installed(monkeypatch):
    monkeypatch.setattr(backends, "CANDIDATES", ("onnx", "openvino", "cuda-graph"))
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    bundle = tiny("chance")
    line = Steps(bundle.model, bundle.contexts, "auto").line(2, DEFAULT_OPTIONS)
    assert line == "dreams run by eager; not installed: onnx, openvino"
    one = Steps(bundle.model, bundle.contexts, "compile")
    one._opened[2, DEFAULT_OPTIONS] = ("compile", one.eager)
    assert one.line(2, DEFAULT_OPTIONS) == "dreams run by compile"


def test_of_models_without_graphs_it_says_that():
    for backend, why in (("eager", ""), ("auto", ": no other steps models of kind forcing")):
        simulator = NeuralVectorEnv(1, tiny("forcing"), backend=backend).simulator
        assert simulator.backend_line(1) == f"dreams run by eager{why}"


@pytest.mark.parametrize("text", ["{", "[]", '{"backend": "onnx"}', '{"candidates": [1]}'])
def test_of_a_damaged_choice_no_refusal_is_known(tmp_path, text):
    (tmp_path / "choice.json").write_text(text)
    assert fastest.kept_refusals(tmp_path / "choice.json") == {}
