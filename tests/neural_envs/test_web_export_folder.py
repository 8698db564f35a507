"""The whole folder of one bundle, exported and read again in Python: `pytest -m slow`."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
import torch

from agents.ppo import player, policy_file
from agents.ppo.presets import PPOSettings
from neural_envs import bundles
from neural_envs.backends.errors import ExportError
from neural_envs.backends.graph_files import write_graph
from neural_envs.backends.runtimes import onnx_session
from neural_envs.cli import trained_agent
from neural_envs.web_export import command, runtime
from neural_envs.web_export.config import ExportWebConfig

pytestmark = pytest.mark.slow
for package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(package)


@pytest.fixture(scope="module")
def agent(tmp_path_factory):
    stored = {"frames": [3, 64, 64], "actions": 4, "lanes": 1}
    model = policy_file.make_ppo(None, PPOSettings(features_dim=16, width=4), 0, stored)
    path = tmp_path_factory.mktemp("untrained") / "policy.zip"
    return str(policy_file.save_policy(model, path, policy_file.Origin("snake")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, agent):
    """Snake with an agent, and a stand-in for the runtime."""
    out = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        stand_in = runtime.WebRuntime(dict.fromkeys(runtime.FILES, b"runtime"), "here")
        patch.setattr(runtime, "web_runtime", lambda local: stand_in)
        config = ExportWebConfig(("snake",), str(out), (agent,), webgpu=False, overwrite=True)
        assert "snake: " in command.run(config, trained_agent)
    return out


@pytest.fixture(scope="module")
def row(folder):
    (found,) = json.loads((folder / "site.json").read_text())["dreams"]
    return found


def test_the_folder_has_what_the_page_loads_with_its_licenses(folder, row):
    assert {path.name for path in (folder / "dreams/snake").iterdir()} == {
        *("step.onnx", "start.onnx", "starts.bin", "README.md", "agent-0.onnx")
    }
    assert {path.name for path in (folder / "runtime").iterdir()} == {
        *(name for name in runtime.FILES if name not in runtime.WEBGPU)
    }
    text = (folder / "LICENSES.txt").read_text()
    assert "MIT License" in text and "Microsoft" in text and "ETOPO1" not in text
    assert row["start"] and row["twin"] and row["spec"]["world"] == "snake"


def test_the_start_contexts_are_those_of_the_bundle(folder, row):
    contexts = bundles.load("snake").contexts
    content = gzip.decompress((folder / "dreams/snake/starts.bin").read_bytes())
    assert row["starts"]["count"] == len(contexts)
    assert content[: contexts.frames.nbytes] == contexts.frames.tobytes()
    assert [leaf["frames"] for leaf in row["starts"]["state"]] == [True]  # the frames themselves


def test_the_graph_of_an_agent_has_the_probabilities_of_the_agent(folder, row, agent):
    (listed,) = row["agents"]
    frame = np.random.default_rng(0).integers(0, 256, (1, *listed["shape"]), np.uint8)
    graph = onnx_session(folder / "dreams/snake" / listed["file"])
    expected = player._probabilities(player._agent(agent), frame)
    (found,) = graph([torch.from_numpy(frame)])
    np.testing.assert_allclose(found[0], expected, atol=1e-6)


def test_what_the_exporter_cannot_express_is_named(tmp_path):
    class Decomposes(torch.nn.Module):
        def forward(self, x):
            return torch.linalg.svd(x)[1]

    with pytest.raises(ExportError, match="aten._linalg_svd"):
        write_graph(Decomposes(), [torch.eye(3)], tmp_path / "graph.onnx")
