"""The web server's doubles: a catalogue with the counting model, and a page without a browser."""

from __future__ import annotations

import json
import time

from neural_envs.web.catalogue import BundleCatalogue, BundleInfo
from neural_envs.web.frames import unpack_views
from tests.oracles import counting_bundle

COUNTING = BundleInfo("counting", "counting", "counting")
RIGHT = 3


class CountingCatalogue(BundleCatalogue):
    """The counting double, and where asked for released bundles."""

    def __init__(self, *released: str):
        super().__init__()
        self.bundles = {name: info for name, info in self.bundles.items() if name in released}
        self.bundles = {"counting": COUNTING, **self.bundles}
        self.loaded["counting"], self.hashes["counting"] = counting_bundle(), ("counted",)


class Page:
    """What the page does: sends messages, acknowledges frames, keeps the last header and views."""

    def __init__(self, client, bundle: str = "counting"):
        self.socket = client.websocket_connect("/play")
        self.socket.__enter__()
        client.pages.append(self)
        self.received, self.header, self.frames = 0, None, []
        self.hello = self.message("hello")
        if bundle:
            self.send("choose", bundle=bundle)
            self.dream = self.message("dream")

    def send(self, type_: str, **values) -> None:
        self.socket.send_text(json.dumps({"type": type_, **values}))

    def message(self, kind: str) -> dict:
        """The next text of this kind; frames that come before it are taken."""
        for _ in range(500):
            received = self.socket.receive()
            if received.get("text"):
                message = json.loads(received["text"])
                if message["type"] == kind:
                    return message
            else:
                self._take(received["bytes"])
        raise AssertionError(f"no message '{kind}' came")

    def until(self, condition) -> dict:
        """Frames until condition(header, frames) holds; the header then."""
        for _ in range(500):
            received = self.socket.receive()
            if received.get("bytes"):
                self._take(received["bytes"])
                if condition(self.header, self.frames):
                    return self.header
        raise AssertionError(f"it never came to that; the last header is {self.header}")

    def names(self) -> list[str]:
        """The views that there are."""
        return [view["name"] for view in self.header["views"]]

    def _take(self, data: bytes) -> None:
        self.received += 1
        self.header, self.frames = unpack_views(data)
        self.send("acknowledge", number=self.received)

    def leave(self) -> None:
        if self.socket is not None:
            self.socket.__exit__(None, None, None)
        self.socket = None


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
