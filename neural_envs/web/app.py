"""The routes: one page, its files, a WebSocket per page, `.dream` files, `/api/generate` and
`/healthz`.

Starlette is imported when an app is made, so that this module can be read without the extra `web`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from neural_envs.web import api
from neural_envs.web.api import CancelToken, RateLimiter, Refusal
from neural_envs.web.catalogue import BundleCatalogue
from neural_envs.web.connection import Connection
from neural_envs.web.protocol import DREAM_BYTES, REQUEST_BYTES
from neural_envs.web.replay_view import ReplayView

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

STATIC = Path(__file__).parent / "static"
BUSY = 1013  # close code "try again later"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data: blob:; frame-ancestors "
    "'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class AppState:
    """What the routes share: the bundles, the open connections, and the threads on which dreams
    are stepped.
    """

    def __init__(self, catalogue: BundleCatalogue, max_connections: int, idle: float, threads: int):
        self.catalogue, self.max_connections, self.idle = catalogue, max_connections, idle
        self.connections: dict[str, Connection] = {}
        self.limiter = RateLimiter(threads)
        self.workers = ThreadPoolExecutor(threads, "dream", initializer=_one_thread)
        self.started = time.monotonic()

    @property
    def full(self) -> str:
        """ "" while there is room, else the sentence that says so."""
        limit = self.max_connections
        if len(self.connections) < limit:
            return ""
        dreams = "dreams are" if limit > 1 else "dream is"
        return f"busy: {limit} {dreams} being played here, as many as there may be"

    # ---------------------------------------------------------------- routes

    async def page(self, request: Request) -> Response:
        """The page."""
        from starlette.responses import FileResponse

        return FileResponse(STATIC / "index.html", headers=HEADERS)

    async def health(self, request: Request) -> Response:
        """Whether the server lives, and how many play; 200 also when it is full."""
        return _json(
            {
                "status": "ok",
                "connections": len(self.connections),
                "max_connections": self.max_connections,
                "busy": bool(self.full),
                "bundles": list(self.catalogue.bundles),
                "seconds": round(time.monotonic() - self.started, 1),
            }
        )

    async def play(self, socket: WebSocket) -> None:
        """The connection of a page."""
        if not same_origin(socket.headers):
            return await socket.close(1008, "pages of other sites may not play here")  # HTTP 403
        await socket.accept()
        if self.full:
            await socket.send_json({"type": "closing", "code": BUSY, "message": self.full})
            return await socket.close(BUSY, self.full)
        connection = Connection(socket, self.catalogue, self.workers, self.idle)
        self.connections[connection.token] = connection
        bundles = [{"name": i.name, "world": i.world} for i in self.catalogue.ordered()]
        hello = {"token": connection.token, "bundles": bundles, "idle": self.idle}
        try:
            connection.send({"type": "hello", **hello})
            await connection.serve()
        finally:
            del self.connections[connection.token]

    async def save_dream(self, request: Request) -> Response:
        """The game of the connection of this token, as a `.dream` file."""
        from starlette.responses import Response

        connection = self._connection(request)
        if connection.game is None:
            raise Refusal(404, "there is no dream to save yet")
        name, content = await connection.work(connection.game.file)
        headers = {**HEADERS, "Content-Disposition": f'attachment; filename="{name}.dream"'}
        return Response(content, media_type="application/octet-stream", headers=headers)

    async def watch_dream(self, request: Request) -> Response:
        """Show the `.dream` file of the body to the connection of this token."""
        self._check_origin(request)
        connection = self._connection(request)
        data = await read_body(request, DREAM_BYTES, "a .dream file")
        try:
            replay = await connection.work(lambda: ReplayView(data, self.catalogue))
        except ValueError as error:
            raise Refusal(422, str(error)) from None
        connection.put(replay)
        facts = {"steps": len(replay.file.actions), "world": replay.file.world}
        return _json({**facts, "remark": replay.remark})

    async def generate(self, request: Request) -> Response:
        """Actions in, frames out: see `api`."""
        self._check_origin(request)
        asked = api.read_request(await read_body(request, REQUEST_BYTES, "a request"))
        client = request.client.host if request.client else ""
        self.limiter.enter(client)
        token = CancelToken(threading.Event(), time.monotonic() + api.MAX_SECONDS)
        try:
            work = asyncio.get_running_loop().run_in_executor(
                self.workers, api.generate, asked, self.catalogue, token
            )
            while not (await asyncio.wait([work], timeout=0.5))[0]:
                if await request.is_disconnected():
                    token.cancelled.set()
            return _json(work.result())
        finally:
            token.cancelled.set()
            self.limiter.leave(client)

    # ---------------------------------------------------------------- what several routes need

    def _connection(self, request: Request) -> Connection:
        token = request.path_params["token"]
        if token not in self.connections:
            raise Refusal(404, "this connection is closed: load the page again")
        return self.connections[token]

    def _check_origin(self, request: Request) -> None:
        if not same_origin(request.headers):
            raise Refusal(403, "pages of other sites may not ask for anything here")


def make_app(state: AppState, hosts: tuple[str, ...] = ("*",)) -> Starlette:
    """The application; it answers under the names `hosts` only, "*" for any."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.staticfiles import StaticFiles

    routes = [
        Route("/", state.page),
        Route("/healthz", state.health),
        Route("/dreams/{token}", state.save_dream, methods=["GET"]),
        Route("/dreams/{token}", state.watch_dream, methods=["POST"]),
        Route("/api/generate", state.generate, methods=["POST"]),
        WebSocketRoute("/play", state.play),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    names = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app = Starlette(routes=routes, middleware=[names], exception_handlers={Refusal: _refused})
    app.state.shared = state
    return app


def same_origin(headers: Any) -> bool:
    """Whether a browser sent this from a page of this server, or something that is no browser
    did.
    """
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """The body; Refusal 413, as soon as that is known, where it is longer than `limit` bytes."""
    refusal = Refusal(413, f"{what} has at most {limit} bytes")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise refusal
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise refusal
    return bytes(body)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # the only kind that this handler is registered for
    return _json({"error": error.message}, error.status)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import JSONResponse

    retry = {"Retry-After": "5"} if status in (429, 503) else {}
    return JSONResponse(value, status, headers={**HEADERS, **retry})


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
