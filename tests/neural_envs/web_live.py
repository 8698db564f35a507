"""A server as people reach it, uvicorn and all, on loopback and in a thread."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time

from neural_envs.web.access import access_for
from neural_envs.web.app import AppState, make_app
from neural_envs.web.server import UVICORN, listen
from tests.neural_envs.web_double import CountingCatalogue, wait_for

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"


class Address:
    """Where a server is, and how to reach it."""

    def __init__(self, host: str, port: int):
        self.host, self.port = host, port

    def connect(self, timeout: float = 10.0) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=timeout)

    def health(self) -> float:
        """The seconds that /healthz took; it must be 200."""
        begin = time.monotonic()
        with self.connect() as line:
            line.sendall(REQUEST + b"Connection: close\r\n\r\n")
            assert line.recv(100).startswith(b"HTTP/1.1 200")
        return time.monotonic() - begin

    def page(self, **options):
        """A WebSocket client."""
        from websockets.sync.client import connect

        page = connect(f"ws://{self.host}:{self.port}/play", max_size=None, **options)
        return page.__enter__()


class LiveServer(Address):
    """A server; `uvicorn` and its `table` of sockets are for a test to look at."""

    def __init__(self, state, host="127.0.0.1", sockets=(64, 64), header_seconds=10.0):
        import uvicorn

        from neural_envs.web.transport import guarded_protocols

        self.state = state
        protocols = guarded_protocols(*sockets)
        protocols["http"].header_seconds = header_seconds
        self.table = protocols["http"].table
        self.listening = listen(host, 0)
        super().__init__(host, self.listening.getsockname()[1])
        app = make_app(state, access_for(host))
        self.uvicorn = uvicorn.Server(uvicorn.Config(app, **UVICORN, **protocols))
        self.thread = threading.Thread(
            target=self.uvicorn.run, kwargs={"sockets": [self.listening]}, daemon=True
        )
        self.thread.start()
        wait_for(lambda: self.uvicorn.started, 20)

    def stop(self) -> None:
        self.uvicorn.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()


@contextlib.contextmanager
def live(connections=8, idle=60.0, per_address=8, threads=2, catalogue=None, **options):
    state = AppState(catalogue or CountingCatalogue(), connections, idle, threads, per_address)
    server = LiveServer(state, **options)
    try:
        yield server
    finally:
        server.stop()


def is_closed(line: socket.socket, seconds: float) -> bool:
    """Whether the server ends the connection within that time, whatever it sends before."""
    line.settimeout(0.2)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if not line.recv(65_536):
                return True
        except TimeoutError:
            continue
        except OSError:
            return True
    return False


def play(page, seconds: float, bundle: str = "counting", **settings) -> list[float]:
    """The times at which frames arrive, of a page that lets a policy play."""
    page.send(json.dumps({"type": "choose", "bundle": bundle}))
    settings = {"sampler_steps": None, "guidance": None, "speed": 1.0, **settings}
    received, times, end = 0, [], time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            message = page.recv(timeout=max(0.01, end - time.monotonic()))
        except TimeoutError:
            break
        if isinstance(message, str):
            if json.loads(message)["type"] == "dream":
                page.send(json.dumps({"type": "settings", **settings}))
                page.send(json.dumps({"type": "player", "name": "random"}))
            continue
        received += 1
        page.send(json.dumps({"type": "acknowledge", "number": received}))
        times.append(time.monotonic())
    return times


def longest_gap(times: list[float]) -> float:
    """Seconds between two frames at most; infinite where there are none."""
    return max((b - a for a, b in zip(times, times[1:], strict=False)), default=float("inf"))
