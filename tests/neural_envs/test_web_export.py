"""`neural-envs export-web`: where the runtime comes from, what the page loads, what is refused."""

from __future__ import annotations

import hashlib
import io
import re
import tarfile

import pytest

from neural_envs.backends.errors import ExportError
from neural_envs.web.agent_list import AgentList
from neural_envs.web_export import command, runtime
from neural_envs.web_export.dreams import note_of
from neural_envs.web_export.exported_agents import export_agents
from neural_envs.web_export.graphs import dream_graphs
from tests.oracles import counting_bundle
from world_models.protocols import SamplingOptions

CONTENT = {"ort.mjs": b"export {}", "ort.wasm": b"\0asm"}


@pytest.fixture
def pinned(monkeypatch, tmp_path):
    """A runtime of two small files, and a cache of its own; nothing is fetched."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in CONTENT.items()}
    monkeypatch.setattr(runtime, "FILES", hashes)
    monkeypatch.setenv("NEURAL_ENVS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(runtime.shutil, "which", lambda name: None)

    def no_network(address, timeout):
        raise OSError("no network")

    monkeypatch.setattr(runtime.urllib.request, "urlopen", no_network)
    return tmp_path


def packed(files) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


def test_the_runtime_is_read_from_a_package_and_from_its_folder(pinned):
    (pinned / "package.tgz").write_bytes(packed(CONTENT))
    (pinned / "folder/dist").mkdir(parents=True)
    for name, data in CONTENT.items():
        (pinned / "folder/dist" / name).write_bytes(data)
    for source in ("package.tgz", "folder"):
        found = runtime.web_runtime(str(pinned / source))
        assert found.files == CONTENT and found.source == str(pinned / source)


def test_a_runtime_with_other_bytes_is_refused_by_name(pinned):
    (pinned / "package.tgz").write_bytes(packed({**CONTENT, "ort.wasm": b"\0other"}))
    with pytest.raises(runtime.RuntimeCopyError, match="ort.wasm of .* sha256 differs.*npm pack"):
        runtime.web_runtime(str(pinned / "package.tgz"))
    (pinned / "package.tgz").write_bytes(packed({"ort.mjs": CONTENT["ort.mjs"]}))
    with pytest.raises(runtime.RuntimeCopyError, match="is no copy of onnxruntime-web"):
        runtime.web_runtime(str(pinned / "package.tgz"))


def test_without_a_network_the_sentence_says_how_to_bring_the_runtime(pinned):
    with pytest.raises(runtime.RuntimeCopyError, match="no network.*npm pack.*--runtime FILE"):
        runtime.web_runtime()


def test_what_was_fetched_once_is_kept(pinned, monkeypatch):
    answers = [io.BytesIO(packed(CONTENT))]
    monkeypatch.setattr(runtime.urllib.request, "urlopen", lambda *_, **__: answers.pop())
    assert runtime.web_runtime().source == runtime.REGISTRY
    again = runtime.web_runtime()  # a second answer would be an IndexError
    assert again.files == CONTENT and "copy in" in again.source


def test_the_page_loads_its_own_files_alone_and_has_no_inline_script(tmp_path):
    command.write_page(tmp_path)
    page = (tmp_path / "index.html").read_text()
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy
    assert not re.search(r"'unsafe-eval'|https?:|\*|data:.*script", policy)
    assert re.findall(r"<script[^>]*>(.*?)</script>", page) == [""]
    assert not re.search(r"<style|\son\w+=|\sstyle=|https?://", page)
    for address in re.findall(r'(?:src|href)="([^"]+)"', page):
        assert (tmp_path / address).is_file(), address
    for file in (tmp_path / "static").glob("*.js"):
        for name in re.findall(r'from "\./([^"]+)"', file.read_text()):
            assert (tmp_path / "static" / name).is_file(), name


def test_a_bundle_whose_step_is_no_graph_is_refused_by_name(tmp_path):
    with pytest.raises(ExportError, match="mine cannot be exported: a step of a .* not one graph"):
        dream_graphs(counting_bundle(), "mine", tmp_path / "start.onnx")


def test_an_agent_that_is_no_network_is_refused_by_name(tmp_path):
    agents = AgentList(["runs/mine/policy.zip"], lambda file, actions, world: object())
    spec = counting_bundle().model.spec
    with pytest.raises(ExportError, match="agent mine cannot be exported: a object is no network"):
        export_agents(agents, spec, tmp_path)


def test_the_page_says_how_its_frames_are_drawn():
    assert note_of(SamplingOptions(3, 1.5, None)) == "Exported with sampler steps 3, guidance 1.5."
    assert "in one call" in note_of(SamplingOptions())


def test_a_folder_that_is_there_is_not_written_into_unasked(tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("mine")
    assert command.main(["snake", "pong", "--out", str(tmp_path)]) == 1
    assert "is there already; --overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
