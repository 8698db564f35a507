"""`neural-envs serve`: dreams to play in a browser, one for each visitor.

The page and its files come with the package and load nothing from elsewhere.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from typing import Any

from collectors.settings.command import command
from collectors.settings.parse import setting

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class ServeConfig:
    """A page on which dreams are played: pick a world, use the keyboard or touch, watch dream and
    game side by side.
    """

    bundle: tuple[str, ...] = setting(
        (), "further bundles beside the released ones: directories or Hub repositories"
    )
    host: str = setting(
        "127.0.0.1", "address to listen on; 0.0.0.0 lets everybody in who can reach this machine"
    )
    port: int = setting(8000, "port to listen on; 0 takes a free one")
    names: tuple[str, ...] = setting(
        (), "further host names the page is asked for by, as behind a proxy"
    )
    visitors: int = setting(8, "most visitors at a time; others are told that it is busy")
    idle: float = setting(300.0, "seconds without a touch after which a visitor's dream is let go")
    threads: int = setting(0, "threads that step dreams; 0 is as many as there are cores")
    device: str = setting("cpu", "where dreams are computed, e.g. cuda")
    load_test: tuple[int, ...] = setting(
        (), "measure instead: as many visitors at once, e.g. 1,2,4,8, by one machine"
    )
    seconds: float = setting(15.0, "how long each number of visitors is measured")
    out: str = setting("serve.json", "where a measurement is written")

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"setting 'port' is from 0 to 65535, got {self.port}")
        for name in ("visitors", "idle", "seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"setting '{name}' is more than 0, got {getattr(self, name)}")
        if self.threads < 0 or any(count < 1 for count in self.load_test):
            raise ValueError("setting 'threads' is 0 or more, those of 'load_test' are 1 or more")


def run(config: ServeConfig) -> int:
    """Serve until interrupted, or measure the load; returns the exit code."""
    import starlette  # noqa: F401  a missing extra is named before anything is loaded
    import uvicorn
    import websockets  # noqa: F401

    if config.load_test:
        from neural_envs.web.load_test import measure

        return measure(config)
    app, listening = make_server(config), listen(config.host, config.port)
    shown = "127.0.0.1" if config.host in ("0.0.0.0", "::") else config.host
    print(f"neural-envs: http://{shown}:{listening.getsockname()[1]}  (Ctrl+C ends it)", flush=True)
    uvicorn.Server(uvicorn.Config(app, **UVICORN)).run(sockets=[listening])
    return 0


def main(argv: list[str] | None = None) -> int:
    """The verb `serve`; returns the exit code."""
    return command(ServeConfig, run, argv, "neural-envs serve")


UVICORN = {
    "ws": "websockets-sansio",
    # more than a message may have, so that the page gets a sentence for what is a little long
    "ws_max_size": 16_384,
    "ws_ping_interval": 10.0,  # a line that went dead gives its dream back within 20 seconds
    "ws_ping_timeout": 10.0,
    "ws_per_message_deflate": False,
    "log_level": "warning",
    "server_header": False,
}


def make_server(config: ServeConfig) -> Any:
    """The Starlette application that `config` asks for. BundleError for a bundle that is none."""
    import torch

    from neural_envs.web.app import House, make_app
    from neural_envs.web.catalogue import BundleCatalogue

    torch.set_num_threads(1)
    house = House(
        BundleCatalogue(config.bundle, config.device),
        config.visitors,
        config.idle,
        config.threads or _cores(),
    )
    local = config.host in LOOPBACK
    return make_app(house, (*LOOPBACK, *config.names) if local else config.names or ("*",))


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; OSError with a sentence where that cannot be."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
        return listening
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise OSError(
                f"port {port} is in use; choose another with --port, or --port 0 for a free one"
            ) from None
        raise OSError(f"cannot listen on {host}, port {port}: {error.strerror or error}") from None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
