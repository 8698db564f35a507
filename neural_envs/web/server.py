"""`neural-envs serve`: dreams to play in a browser, one per open page.

The page and its files come with the package and load nothing from elsewhere.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from collectors.settings.command import command
from neural_envs.web.config import ServeConfig

LOOPBACK = ("127.0.0.1", "localhost", "::1")
UVICORN: dict[str, Any] = {
    "ws": "websockets-sansio",
    # more than a message may have, so that the page gets a sentence for what is a little long
    "ws_max_size": 16_384,
    "ws_ping_interval": 10.0,  # a dead connection gives its dream back within 20 seconds
    "ws_ping_timeout": 10.0,
    "ws_per_message_deflate": False,
    "log_level": "warning",
    "server_header": False,
}


def run(config: ServeConfig) -> str | None:
    """Serve until interrupted, or measure the load and return the result as text."""
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
    return None


def main(argv: list[str] | None = None) -> int:
    """The verb `serve`; returns the exit code."""
    return command(ServeConfig, run, argv, "neural-envs serve")


def make_server(config: ServeConfig) -> Any:
    """The Starlette application that `config` asks for. BundleError for a bundle that is none."""
    import torch

    from neural_envs.web.app import AppState, make_app
    from neural_envs.web.catalogue import BundleCatalogue

    torch.set_num_threads(1)
    catalogue = BundleCatalogue(config.bundle, config.device)
    state = AppState(catalogue, config.connections, config.idle, config.threads or cores())
    local = config.host in LOOPBACK
    return make_app(state, (*LOOPBACK, *config.names) if local else config.names or ("*",))


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


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
