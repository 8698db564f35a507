"""The interface for programs, and the command itself."""

from __future__ import annotations

import base64
import io
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

from neural_envs.env import NeuralEnv
from neural_envs.web import api, protocol, server
from tests.neural_envs.web_double import CountingCatalogue, wait_for
from tests.oracles import counting_bundle

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("websockets")


def test_generate_gives_the_frames_of_the_environment(serve):
    answer = serve().post(
        "/api/generate", json={"bundle": "counting", "seed": 3, "actions": [1, 2, 3, 0, 0, 0, 0]}
    )
    assert answer.status_code == 200
    result, env = answer.json(), NeuralEnv(counting_bundle())
    expected = [env.reset(seed=3)[0]]
    rewards = []
    for action in [1, 2, 3, 0, 0, 0, 0][: len(result["rewards"])]:
        frame, reward, terminated, _, _ = env.step(action)
        expected.append(frame)
        rewards.append(reward)
    frames = [
        np.asarray(Image.open(io.BytesIO(base64.b64decode(image)))) for image in result["frames"]
    ]
    assert len(frames) == len(expected) and all(
        (a == b).all() for a, b in zip(frames, expected, strict=True)
    )
    assert (
        result["rewards"] == rewards
        and result["terminations"][-1] == terminated
        and len(result["trust"]) == len(rewards)
    )


@pytest.mark.parametrize(
    ("body", "status", "phrase"),
    [
        (b"x" * 70_000, 413, "65536"),
        (b"\xff\xfe", 422, "utf-8"),
        (b"[]", 422, "JSON object"),
        (b'{"actions": [4]}', 422, "'actions[0]' is 4"),
        (b'{"actions": [0], "world": "chess"}', 422, "unknown world 'chess'"),
        (b'{"actions": [0], "bundle": "/etc"}', 422, "unknown bundle '/etc'"),
        (b'{"actions": [0], "guidance": 2}', 422, "guidance"),
    ],
)
def test_a_wrong_request_gets_its_status_and_a_sentence(serve, body, status, phrase):
    client = serve("snake") if b"world" in body else serve()
    body = (
        body
        if b"world" in body or b"bundle" in body
        else body.replace(b'"actions"', b'"bundle":"counting","actions"')
    )
    answer = client.post("/api/generate", content=body)
    assert answer.status_code == status and phrase in answer.json()["error"]


def test_one_request_at_a_time_a_client_and_no_more_than_there_are_threads(monkeypatch, serve):
    client, go = serve(), threading.Event()
    monkeypatch.setattr(api, "generate", lambda *_: go.wait(20) and {"frames": []})
    answers = []
    ask = lambda: answers.append(client.post("/api/generate", json={"actions": [0]}).status_code)  # noqa: E731
    first = threading.Thread(target=ask)
    first.start()
    limiter = client.app.state.shared.limiter
    wait_for(lambda: limiter.clients)
    assert client.post("/api/generate", json={"actions": [0]}).status_code == 429
    name = limiter.clients.pop()
    limiter.clients |= {"one", "two"}
    refused = client.post("/api/generate", json={"actions": [0]})
    assert (
        refused.status_code == 503
        and refused.headers["retry-after"]
        and "busy" in refused.json()["error"]
    )
    limiter.clients = {name}
    go.set()
    first.join(20)
    assert answers == [200] and not limiter.clients


def test_a_request_that_nobody_waits_for_is_cancelled():
    token = api.CancelToken(threading.Event(), time.monotonic() + 60)
    token.cancelled.set()
    with pytest.raises(api.Refusal) as caught:
        api.generate(protocol.Generate((0, 0), bundle="counting"), CountingCatalogue(), token)
    assert caught.value.status == 503


def test_a_port_in_use_is_a_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert server.main(["--port", str(port)]) == 1
    assert f"port {port} is in use; choose another with --port" in capsys.readouterr().err


def test_a_bundle_that_is_none_is_a_sentence(capsys, tmp_path):
    assert server.main(["--bundle", str(tmp_path), "--port", "0"]) == 1
    assert "is not a bundle" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["--port", "70000"], ["--connections", "0"], ["--idle", "-1"], ["--load-test", "0"]]
)
def test_impossible_settings_are_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        server.main(words)
    assert caught.value.code == 2 and "setting" in capsys.readouterr().err
