"""The web server's doubles: a shelf with the counting model, and a page without a browser."""

from __future__ import annotations

import json
import time

from neural_envs.web.catalogue import BundleCatalogue, BundleInfo
from neural_envs.web.frames import unpack_picture
from tests.oracles import counting_bundle

COUNTING = BundleInfo("counting", "counting", "counting")
RIGHT = 3


class CountingShelf(BundleCatalogue):
    """The counting double, and where asked for released bundles."""

    def __init__(self, *released: str):
        super().__init__()
        self.offers = {name: offer for name, offer in self.offers.items() if name in released}
        self.offers = {"counting": COUNTING, **self.offers}
        self.loaded["counting"], self.hashes["counting"] = counting_bundle(), "counted"


class Page:
    """What the page does: says messages, acknowledges pictures, keeps what it was told."""

    def __init__(self, client, bundle: str = "counting", **message):
        self.socket = client.websocket_connect("/play")
        self.socket.__enter__()
        client.pages.append(self)
        self.received, self.header, self.panes = 0, None, []
        self.hello = self.told("hello")
        if bundle:
            self.say("choose", bundle=bundle)
            self.dream = self.told("dream")

    def say(self, type_: str, **values) -> None:
        self.socket.send_text(json.dumps({"type": type_, **values}))

    def told(self, kind: str) -> dict:
        """The next text of this kind; pictures that come before it are taken."""
        for _ in range(500):
            message = self.socket.receive()
            if message.get("text"):
                said = json.loads(message["text"])
                if said["type"] == kind:
                    return said
            else:
                self._take(message["bytes"])
        raise AssertionError(f"no message '{kind}' came")

    def until(self, condition) -> dict:
        """Pictures until condition(header, panes) holds; the header then."""
        for _ in range(500):
            message = self.socket.receive()
            if message.get("bytes"):
                self._take(message["bytes"])
                if condition(self.header, self.panes):
                    return self.header
        raise AssertionError(f"it never came to that; the last picture is {self.header}")

    def _take(self, data: bytes) -> None:
        self.received += 1
        self.header, self.panes = unpack_picture(data)
        self.say("seen", picture=self.received)

    def leave(self) -> None:
        if self.socket is not None:
            self.socket.__exit__(None, None, None)
        self.socket = None


def wait_for(condition, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)
