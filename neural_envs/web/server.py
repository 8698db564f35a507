"""`neural-envs serve`: dreams to play in a browser, one per open page.

The page and its files come with the package and load nothing from elsewhere.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Any

from collectors.settings.run_command import command
from neural_envs.web.access import ALL_ADDRESSES, Access, access_for, bare_host
from neural_envs.web.config import ServeConfig
from neural_envs.web.limits import MAX_SOCKETS, MAX_SOCKETS_PER_ADDRESS

if TYPE_CHECKING:
    from neural_envs.play.twins import AgentMaker

try:
    import resource
except ImportError:  # Windows
    resource = None
UVICORN: dict[str, Any] = {
    # more than a message may have, so that the page gets a sentence for what is a little long
    "ws_max_size": 16_384,
    "ws_ping_interval": 10.0,  # a dead connection gives its dream back within 20 seconds
    "ws_ping_timeout": 10.0,
    "ws_per_message_deflate": False,
    "log_level": "warning",
    "server_header": False,
    "loop": "asyncio",
    "backlog": 64,  # connections that are accepted at once, all before any can be refused
    "timeout_graceful_shutdown": 5,
}


def run(config: ServeConfig, agents: AgentMaker | None = None) -> str | None:
    """Serve until interrupted, or measure the load and return the result as text. `agents` makes
    trained agents of files.
    """
    import starlette  # noqa: F401  a missing extra is named before anything is loaded
    import uvicorn
    import websockets  # noqa: F401

    if config.load_test:
        from neural_envs.web.load_test import measure

        return measure(config)
    from neural_envs.web.transport import guarded_protocols

    access = access_for(config.host, config.names)
    app, listening = make_server(config, access, agents), listen(config.host, config.port)
    greeting = _greeting(config.host, listening.getsockname()[1], access)

    class Server(uvicorn.Server):
        """Greets only once it serves and ends well on a signal."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            print(greeting, flush=True)

    protocols = guarded_protocols(*socket_limits(config))
    Server(uvicorn.Config(app, **UVICORN, **protocols)).run(sockets=[listening])
    return None


def main(argv: list[str] | None = None, agents: AgentMaker | None = None) -> int:
    """The verb `serve`; returns the exit code. `agents`: see `run`."""
    return command(ServeConfig, lambda config: run(config, agents), argv, "neural-envs serve")


def make_server(config: ServeConfig, access: Access, agents: AgentMaker | None = None) -> Any:
    """The Starlette application that `config` asks for. BundleError for a bundle that is none,
    ValueError for a policy file that no world here can use, KeysError for keys of no game here,
    PlayError for a real game of none.
    """
    import torch

    from neural_envs.web.agent_list import AgentList
    from neural_envs.web.app import AppState, make_app
    from neural_envs.web.catalogue import BundleCatalogue

    torch.set_num_threads(1)
    catalogue = BundleCatalogue(config.bundle, config.device, config.keys)
    if config.twin:
        catalogue.set_twin(config.twin, config.real_options)
    catalogue.agents = AgentList(config.policy, agents)
    threads = config.threads or cores()
    state = AppState(catalogue, config.connections, config.idle, threads, config.per_address)
    return make_app(state, access)


def socket_limits(config: ServeConfig) -> tuple[int, int]:
    """The TCP connections that may be open, in all and of one address: four for every page, and
    half of what the system lets this process open.
    """
    total = max(MAX_SOCKETS, 4 * config.connections)
    if resource is not None:
        total = min(total, max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2))
    return total, min(total, max(MAX_SOCKETS_PER_ADDRESS, 4 * config.per_address))


def _greeting(host: str, port: int, access: Access) -> str:
    """The address to open, and who can open it."""
    host = bare_host(host)
    shown = "127.0.0.1" if host in ALL_ADDRESSES else f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}"
    if not access.token:
        return f"neural-envs: {address}  (Ctrl+C ends it)"
    return (
        f"neural-envs: {address}/?token={access.token}  (Ctrl+C ends it)\n"
        "neural-envs: everybody who reaches this machine and has this token can play; with "
        "--names NAME the page is open to all who ask for it by that name"
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; OSError with a sentence where that cannot be."""
    host = bare_host(host)
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
