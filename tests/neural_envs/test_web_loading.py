"""Bundles are read on threads of their own while the dreams of others go on."""

from __future__ import annotations

import json
import threading
import time

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from neural_envs.web import app
from neural_envs.web import catalogue as catalogues
from tests.neural_envs.web_double import CountingCatalogue
from tests.neural_envs.web_live import live, longest_gap, play
from tests.oracles import counting_bundle


class SlowLoader:
    """A loader of bundles that takes a while; `calls` are the names that it was asked for."""

    def __init__(self, seconds: float):
        self.seconds, self.calls, self.broken = seconds, [], 0

    def __call__(self, source, device):
        self.calls.append(source)
        time.sleep(self.seconds)
        if self.broken:
            self.broken -= 1
            raise ValueError("this bundle cannot be read")
        return counting_bundle()


@pytest.fixture
def loader(monkeypatch):
    found = SlowLoader(0.9)
    monkeypatch.setattr(catalogues, "load", found)
    return found


@pytest.fixture
def catalogue():
    """The counting bundle, loaded, and three more that nobody asked for yet."""
    found = CountingCatalogue()
    for name in ("first", "second", "third"):
        found.bundles[name] = catalogues.BundleInfo(name, "counting", name)
    return found


def post(server, address: str, body: bytes) -> bytes:
    """The status of the answer."""
    with server.connect(20) as line:
        head = f"POST {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body)
        return line.recv(100).split()[1]


def until_dream(page) -> str:
    """The bundle of the dream that the page is told of next."""
    while True:
        message = page.recv(timeout=10)
        if isinstance(message, str) and json.loads(message)["type"] == "dream":
            return json.loads(message)["bundle"]


def test_dreams_go_on_while_others_wait_for_bundles(loader, catalogue):
    body = json.dumps({"bundle": "third", "actions": [0]}).encode()
    with live(threads=1, catalogue=catalogue) as server:
        times: list[float] = []
        neighbour, pages = server.page(), [server.page() for _ in range(3)]
        thread = threading.Thread(target=lambda: times.extend(play(neighbour, 1.7)))
        thread.start()
        time.sleep(0.3)
        begin = time.monotonic()
        for page, bundle in zip(pages, ("first", "first", "second"), strict=True):
            page.send(json.dumps({"type": "choose", "bundle": bundle}))
        assert post(server, "/api/generate", body) == b"200"
        assert [until_dream(page) for page in pages] == ["first", "first", "second"]
        assert time.monotonic() - begin < 1.7  # all three bundles at once
        thread.join(10)
    assert sorted(loader.calls) == ["first", "second", "third"]
    assert len(times) > 10 and longest_gap(times) < 0.6


def test_a_bundle_that_could_not_be_read_is_tried_again(loader, catalogue):
    loader.seconds, loader.broken = 0.0, 1
    with live(catalogue=catalogue) as server:
        page = server.page()
        page.recv()
        page.send(json.dumps({"type": "choose", "bundle": "first"}))
        notice = json.loads(page.recv(timeout=10))
        assert (notice["type"], notice["message"]) == ("notice", "this bundle cannot be read")
        page.send(json.dumps({"type": "choose", "bundle": "first"}))
        assert until_dream(page) == "first"
    assert loader.calls == ["first", "first"]


def test_a_file_is_shown_once_its_bundle_is_loaded(loader, catalogue, monkeypatch):
    def view(file, info, catalogue):
        loaded.append(info.name in catalogue.loaded)
        raise ValueError("this file is none")

    loader.seconds, loaded = 0.1, []
    monkeypatch.setattr(app, "read_dream", lambda *_: (None, catalogue.bundles["first"]))
    monkeypatch.setattr(app, "ReplayView", view)
    with live(catalogue=catalogue) as server:
        token = json.loads(server.page().recv())["token"]
        assert post(server, f"/dreams/{token}", b"PK") == b"422"
    assert loaded == [True]
