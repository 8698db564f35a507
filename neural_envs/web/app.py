"""The routes: one page, its files, a WebSocket per page, `.dream` files, `/api/generate` and
`/healthz`.

Starlette is imported when an app is made, so that this module can be read without the extra `web`.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_envs.web import api
from neural_envs.web.access import HEADERS, Access, AccessMiddleware, same_origin
from neural_envs.web.catalogue import BundleCatalogue
from neural_envs.web.connection import BUSY, Closing, Connection
from neural_envs.web.limits import (
    BODY_SECONDS,
    MAX_GENERATING,
    MAX_UPLOADS,
    ClientLimit,
    Refusal,
    public,
)
from neural_envs.web.protocol import DREAM_BYTES, REQUEST_BYTES
from neural_envs.web.replay_view import ReplayView, read_dream

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

STATIC = Path(__file__).parent / "static"


class AppState:
    """What the routes share: the bundles, the open connections, the limits, and the threads on
    which dreams are stepped.
    """

    def __init__(
        self,
        catalogue: BundleCatalogue,
        max_connections: int,
        idle: float,
        threads: int,
        per_address: int = 4,
    ):
        self.catalogue, self.max_connections, self.idle = catalogue, max_connections, idle
        self.connections: dict[str, Connection] = {}
        self.pages = ClientLimit(max_connections, per_address, "open pages")
        self.uploads = ClientLimit(MAX_UPLOADS, MAX_UPLOADS, "uploads")
        self.requests = ClientLimit(MAX_GENERATING, 1, "requests for dreams")
        self.turn = asyncio.Semaphore(1)  # of the requests for dreams
        self.workers = ThreadPoolExecutor(threads, "dream", initializer=_one_thread)
        self.started = time.monotonic()

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
                "busy": self.pages.full,
                "bundles": list(self.catalogue.bundles),
                "seconds": round(time.monotonic() - self.started, 1),
            }
        )

    async def play(self, socket: WebSocket) -> None:
        """The connection of a page."""
        if not same_origin(socket.headers):
            return await socket.close(1008, "pages of other sites may not play here")  # HTTP 403
        await socket.accept()
        client = address_of(socket)
        try:
            self.pages.enter(client)
        except Refusal as refusal:
            await socket.send_json({"type": "closing", "code": BUSY, "message": refusal.message})
            return await socket.close(BUSY, refusal.message[:100])
        connection = Connection(socket, self.catalogue, self.workers, self.idle)
        self.connections[connection.token] = connection
        bundles = [
            {"name": i.name, "world": i.world, "about": i.about} for i in self.catalogue.ordered()
        ]
        hello = {"token": connection.token, "bundles": bundles, "idle": self.idle}
        try:
            connection.send({"type": "hello", **hello})
            await connection.serve()
        finally:
            self.pages.leave(client)
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
        if connection.uploading:
            raise Refusal(429, "one .dream file at a time: the last one is still being read")
        client = address_of(request)
        self.uploads.enter(client)
        connection.uploading = True
        try:
            data = await read_body(request, DREAM_BYTES, "a .dream file")
            file, info = await connection.work(lambda: read_dream(data, self.catalogue))
            await asyncio.wrap_future(self.catalogue.loading(info))
            replay = await connection.work(lambda: ReplayView(file, info, self.catalogue))
            connection.show_replay(replay)
        except ValueError as error:
            raise Refusal(422, public(error)) from None
        except Closing as error:
            raise Refusal(503, error.message) from None
        finally:
            connection.uploading = False
            self.uploads.leave(client)
        facts = {"steps": len(replay.file.actions), "world": replay.file.world}
        return _json({**facts, "remark": replay.remark})

    async def generate(self, request: Request) -> Response:
        """Actions in, frames out: see `api`."""
        self._check_origin(request)
        asked = api.read_request(await read_body(request, REQUEST_BYTES, "a request"))
        job = api.GenerateJob(asked, self.catalogue, time.monotonic() + api.MAX_SECONDS)
        client = address_of(request)
        self.requests.enter(client)
        try:
            async with asyncio.timeout(api.MAX_SECONDS):
                await job.load()
                while not await self._take_turn(job):
                    if await request.is_disconnected():
                        raise Refusal(503, "nobody waits for this any more")
            return _json(job.result())
        except TimeoutError:
            raise api.too_long() from None
        finally:
            self.requests.leave(client)

    async def _take_turn(self, job: api.GenerateJob) -> bool:
        """One slice of a request for a dream, one request at a time; whether it is done."""
        async with self.turn:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self.workers, job.advance)

    # ---------------------------------------------------------------- what several routes need

    def _connection(self, request: Request) -> Connection:
        token = request.path_params["token"]
        if token not in self.connections:
            raise Refusal(404, "this connection is closed: load the page again")
        return self.connections[token]

    def _check_origin(self, request: Request) -> None:
        if not same_origin(request.headers):
            raise Refusal(403, "pages of other sites may not ask for anything here")


def make_app(state: AppState, access: Access) -> Starlette:
    """The application; it answers requests that have what `access` asks for."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
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
    app = Starlette(
        routes=routes,
        middleware=[Middleware(AccessMiddleware, access=access)],
        exception_handlers={Refusal: _refused, Exception: _broken},
    )
    app.state.shared = state
    return app


def address_of(request: Any) -> str:
    """The address of the client of a request or a WebSocket."""
    return request.client.host if request.client else ""


async def read_body(request: Request, limit: int, what: str) -> bytes:
    """The body. Refusal 413, as soon as that is known, where it is longer than `limit` bytes; 408
    where it takes longer than `BODY_SECONDS`, 400 where the client goes away meanwhile.
    """
    from starlette.requests import ClientDisconnect

    refusal = Refusal(413, f"{what} has at most {limit} bytes")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > limit:
        raise refusal
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise refusal
    except TimeoutError:
        raise Refusal(408, f"{what} must come within {BODY_SECONDS:g} seconds") from None
    except ClientDisconnect:
        raise Refusal(400, f"{what} broke off") from None
    return bytes(body)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # the only kind that this handler is registered for
    return _json({"error": error.message}, error.status)


async def _broken(request: Request, error: Exception) -> Response:
    """The answer to a request that met a bug, which is in the log."""
    return _json({"error": "the server made a mistake"}, 500)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import JSONResponse

    retry = {"Retry-After": "5"} if status in (429, 503) else {}
    return JSONResponse(value, status, headers={**HEADERS, **retry})


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
