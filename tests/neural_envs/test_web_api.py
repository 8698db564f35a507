"""The interface for programs, and the command itself."""

from __future__ import annotations

import base64
import io
import socket
import threading
import time
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from neural_envs.env import NeuralEnv
from neural_envs.web import api, protocol, server
from neural_envs.web.limits import MAX_GENERATING, Refusal
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
        (b'{"actions": [0], "temperature": 0.8}', 422, "no temperature"),
        (b'{"actions": [0], "temperature": -1}', 422, "'temperature'"),
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


def test_one_request_at_a_time_a_client_and_a_short_queue(monkeypatch, serve):
    client, go = serve(), threading.Event()
    body = {"bundle": "counting", "actions": [0]}
    monkeypatch.setattr(api.GenerateJob, "advance", lambda _: go.wait(20))
    monkeypatch.setattr(api.GenerateJob, "result", lambda _: {"frames": []})
    answers = []
    ask = lambda: answers.append(client.post("/api/generate", json=body).status_code)  # noqa: E731
    first = threading.Thread(target=ask)
    first.start()
    requests = client.app.state.shared.requests
    wait_for(lambda: requests.clients)
    assert client.post("/api/generate", json=body).status_code == 429
    (name,) = requests.clients
    requests.clients = Counter({str(i): 1 for i in range(MAX_GENERATING)})
    refused = client.post("/api/generate", json=body)
    assert (
        refused.status_code == 503
        and refused.headers["retry-after"]
        and "busy" in refused.json()["error"]
    )
    requests.clients = Counter({name: 1})
    go.set()
    first.join(20)
    assert answers == [200] and not requests.clients


def test_a_request_that_takes_too_long_is_given_up(monkeypatch, serve):
    client = serve()
    monkeypatch.setattr(api, "MAX_SECONDS", 0.2)
    monkeypatch.setattr(api, "SLICE_SECONDS", 0.01)
    step = api.GenerateJob._step
    monkeypatch.setattr(api.GenerateJob, "_step", lambda job: (time.sleep(0.1), step(job)))
    begin = time.monotonic()
    answer = client.post("/api/generate", json={"bundle": "counting", "actions": [0] * 256})
    assert answer.status_code == 503 and "longer than 0.2 seconds" in answer.json()["error"]
    assert time.monotonic() - begin < 2 and not client.app.state.shared.requests.clients


def test_the_time_of_a_request_counts_its_waiting(monkeypatch, serve):
    client = serve()
    monkeypatch.setattr(api, "MAX_SECONDS", 0.3)
    deadline = time.monotonic() + 5
    monkeypatch.setattr(
        api.GenerateJob, "advance", lambda _: time.sleep(0.01) or time.monotonic() > deadline
    )
    monkeypatch.setattr(api.GenerateJob, "result", lambda _: {})
    answer = client.post("/api/generate", json={"bundle": "counting", "actions": [0]})
    assert answer.status_code == 503 and "longer than 0.3 seconds" in answer.json()["error"]


def test_a_turn_of_a_request_ends_with_its_slice_and_its_deadline():
    request = protocol.Generate((0,) * 5, bundle="counting")
    job = api.GenerateJob(request, CountingCatalogue(), time.monotonic() + 60)
    job._step = lambda: time.sleep(0.03)  # a step is not interrupted, and no third one begins
    begin = time.monotonic()
    assert not job.advance() and time.monotonic() - begin < 0.2
    job.deadline = time.monotonic() - 1
    with pytest.raises(Refusal) as caught:
        job.advance()
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
