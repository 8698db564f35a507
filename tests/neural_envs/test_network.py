"""What reaches the network, and what happens where there is none. No test here leaves loopback."""

from __future__ import annotations

import dataclasses
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from collectors import network_access as network
from neural_envs.bundles import resolve_bundle
from neural_envs.commands import push, replay, video
from neural_envs.env import NeuralEnv
from neural_envs.replays.recorder import DreamRecorder
from world_models.bundles import BundleError

QUIET = """
import sys
calls = []
def hook(event, args):
    if event in ("socket.connect", "socket.getaddrinfo", "subprocess.Popen"):
        calls.append(event)
        if event != "subprocess.Popen":
            raise OSError("no network in this test")
sys.addaudithook(hook)
import gymnasium, neural_envs
from neural_envs.bundles import resolve_bundle
from world_models.bundles import BundleError
env = gymnasium.make("NeuralSnake-v0")
env.reset(seed=1); env.step(env.action_space.sample())
for name in ("snake", "snak", "./runs/snake", "~/snake", "a/b/c"):
    try:
        resolve_bundle(name)
    except BundleError:
        pass
assert not calls, calls
try:
    resolve_bundle("somebody/snake")
except BundleError as error:
    assert "no network" in str(error), error
assert calls
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


def use_hub(monkeypatch, port: int) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def silent_hub(monkeypatch):
    """A Hub that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        use_hub(monkeypatch, listening.getsockname()[1])
        yield


@pytest.fixture
def no_hub(monkeypatch):
    """A Hub that nobody can reach."""
    use_hub(monkeypatch, free_port())


def test_nothing_reaches_the_network_but_a_name_with_a_slash():
    environment = {k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"}
    words = [sys.executable, "-c", QUIET]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, env=environment)
    assert done.returncode == 0, done.stderr


def test_without_a_network_a_name_of_the_hub_is_a_sentence_at_once(no_hub):
    begin = time.monotonic()
    with pytest.raises(BundleError, match="no network") as caught:
        resolve_bundle("somebody/snake")
    assert time.monotonic() - begin < 5 and "\n" not in str(caught.value)


def test_push_without_a_network_is_a_sentence(no_hub, capsys):
    assert push.main(["snake", "somebody/snake"]) == 1
    error = capsys.readouterr().err
    assert "no network" in error and error.count("\n") == 1 and "Traceback" not in error


def test_a_hub_that_never_answers_is_given_up(silent_hub, monkeypatch):
    monkeypatch.setattr(network.unreachable, "__defaults__", (0.3,))
    begin = time.monotonic()
    with pytest.raises(BundleError, match="does not answer"):
        resolve_bundle("somebody/snake")
    assert time.monotonic() - begin < 5


def test_whatever_answers_is_a_network():
    def answer():
        line, _ = listening.accept()
        line.recv(1000)
        line.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        line.close()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=answer, daemon=True).start()
        assert network.unreachable(f"http://127.0.0.1:{listening.getsockname()[1]}", 3) == ""


def answer_and_stall(listening: socket.socket) -> None:
    """A Hub that answers whoever asks whether it is there, and then nobody."""
    lines = []
    while True:
        line, _ = listening.accept()
        lines.append(line)
        if line.recv(4) == b"HEAD":
            line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            line.close()


def test_a_hub_that_answers_and_then_stalls_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(network, "STALL_SECONDS", 0.5)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        use_hub(monkeypatch, listening.getsockname()[1])
        threading.Thread(target=answer_and_stall, args=(listening,), daemon=True).start()
        begin = time.monotonic()
        with pytest.raises(BundleError, match="answered, and then sent nothing for 0.5 seconds"):
            resolve_bundle("somebody/snake")
        assert time.monotonic() - begin < 10


def test_a_slow_download_is_waited_for_as_long_as_it_goes_on(tmp_path):
    def slowly() -> str:
        for number in range(8):
            time.sleep(0.1)
            (tmp_path / str(number)).write_text("a part")
        return "whole"

    assert (
        network.run_unless_stalled(slowly, lambda: network.bytes_in(tmp_path), "it", 0.5) == "whole"
    )
    with pytest.raises(KeyError):
        network.run_unless_stalled(lambda: {}["x"], lambda: 0, "it", 0.5)


def test_a_dream_file_reaches_no_network_unless_its_bundle_is_given(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(network, "offline", lambda: asked.append("the Hub") or "no network")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    env, recorder = NeuralEnv("snake"), DreamRecorder()
    env.reset(seed=1)
    recorder.start(env, 1)
    foreign = dataclasses.replace(recorder.file(), bundle="somebody/snake")
    file = str(foreign.save(tmp_path / "a.dream"))
    for number, main in enumerate((replay.main, video.main)):
        film = f"--out={tmp_path / str(number)}.gif"
        assert main([file, film]) == 1
        error = capsys.readouterr().err
        assert "no file reaches the network" in error and "--bundle somebody/snake" in error
        assert asked == []
        assert main([file, film, "--bundle=snake"]) == 0
    assert replay.main([file, "--bundle=somebody/snake"]) == 1 and set(asked) == {"the Hub"}
