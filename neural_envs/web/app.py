"""The routes: one page, its files, a WebSocket a visitor, `.dream` files, `/api/generate` and
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
from neural_envs.web.replay_view import Film

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


class House:
    """What the routes share: the bundles, the visitors there are, and the threads on which dreams
    are stepped.
    """

    def __init__(self, shelf: BundleCatalogue, most_visitors: int, idle: float, threads: int):
        self.shelf, self.most, self.idle = shelf, most_visitors, idle
        self.visitors: dict[str, Connection] = {}
        self.desk = RateLimiter(threads)
        self.workers = ThreadPoolExecutor(threads, "dream", initializer=_one_thread)
        self.begun = time.monotonic()

    @property
    def full(self) -> str:
        """ "" while there is room, else the sentence that says so."""
        if len(self.visitors) < self.most:
            return ""
        dreams = "dreams are" if self.most > 1 else "dream is"
        return f"busy: {self.most} {dreams} being played here, as many as there may be"

    # ---------------------------------------------------------------- routes

    async def page(self, request: Request) -> Response:
        """The page."""
        from starlette.responses import FileResponse

        return FileResponse(STATIC / "index.html", headers=HEADERS)

    async def health(self, request: Request) -> Response:
        """Whether the server lives, and how many dream; 200 also when it is full."""
        facts = {
            "status": "ok",
            "visitors": len(self.visitors),
            "most": self.most,
            "busy": bool(self.full),
        }
        return _json(
            {
                **facts,
                "bundles": list(self.shelf.offers),
                "seconds": round(time.monotonic() - self.begun, 1),
            }
        )

    async def play(self, socket: WebSocket) -> None:
        """A visit."""
        if not same_origin(socket.headers):
            return await socket.close(1008, "pages of other sites may not play here")  # HTTP 403
        await socket.accept()
        if self.full:
            await socket.send_json({"type": "end", "code": BUSY, "message": self.full})
            return await socket.close(BUSY, self.full)
        visitor = Connection(socket, self.shelf, self.workers, self.idle)
        self.visitors[visitor.token] = visitor
        try:
            offers = [{"name": offer.name, "world": offer.world} for offer in self.shelf.listed()]
            visitor.tell(
                {"type": "hello", "token": visitor.token, "bundles": offers, "idle": self.idle}
            )
            await visitor.serve()
        finally:
            del self.visitors[visitor.token]

    async def save_dream(self, request: Request) -> Response:
        """The game of the visitor of this token, as a `.dream` file."""
        from starlette.responses import Response

        data = await self._visitor(request).on_stage(_file_of)
        if data is None:
            raise Refusal(404, "there is no dream to save yet")
        name, content = data
        disposition = f'attachment; filename="{name}.dream"'
        kept = {**HEADERS, "Content-Disposition": disposition}
        return Response(content, media_type="application/octet-stream", headers=kept)

    async def watch_dream(self, request: Request) -> Response:
        """Show the `.dream` file of the body to the visitor of this token."""
        self._same_origin(request)
        visitor = self._visitor(request)
        data = await read_body(request, DREAM_BYTES, "a .dream file")
        try:
            film = await asyncio.get_running_loop().run_in_executor(
                self.workers, Film, data, self.shelf
            )
        except ValueError as error:
            raise Refusal(422, str(error)) from None
        visitor.put(film)
        return _json(
            {"steps": len(film.file.actions), "world": film.file.world, "remark": film.remark}
        )

    async def generate(self, request: Request) -> Response:
        """Actions in, frames out: see `api`."""
        self._same_origin(request)
        asked = api.read_request(await read_body(request, REQUEST_BYTES, "a request"))
        client = request.client.host if request.client else ""
        self.desk.enter(client)
        ticket = CancelToken(threading.Event(), time.monotonic() + api.SECONDS)
        try:
            work = asyncio.get_running_loop().run_in_executor(
                self.workers, api.generate, asked, self.shelf, ticket
            )
            while not (await asyncio.wait([work], timeout=0.5))[0]:
                if await request.is_disconnected():
                    ticket.given_up.set()
            return _json(work.result())
        finally:
            ticket.given_up.set()
            self.desk.leave(client)

    # ---------------------------------------------------------------- what several routes need

    def _visitor(self, request: Request) -> Connection:
        token = request.path_params["token"]
        if token not in self.visitors:
            raise Refusal(404, "this visit is over: load the page again")
        return self.visitors[token]

    def _same_origin(self, request: Request) -> None:
        if not same_origin(request.headers):
            raise Refusal(403, "pages of other sites may not ask for anything here")


def make_app(house: House, hosts: tuple[str, ...] = ("*",)) -> Starlette:
    """The application; it answers under the names `hosts` only, "*" for any."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Mount, Route, WebSocketRoute
    from starlette.staticfiles import StaticFiles

    routes = [
        Route("/", house.page),
        Route("/healthz", house.health),
        Route("/dreams/{token}", house.save_dream, methods=["GET"]),
        Route("/dreams/{token}", house.watch_dream, methods=["POST"]),
        Route("/api/generate", house.generate, methods=["POST"]),
        WebSocketRoute("/play", house.play),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]
    names = Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app = Starlette(routes=routes, middleware=[names], exception_handlers={Refusal: _refused})
    app.state.house = house
    return app


def same_origin(headers: Any) -> bool:
    """Whether a browser sent this from a page of this server, or something that is no browser
    did.
    """
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


async def read_body(request: Request, most: int, what: str) -> bytes:
    """The body; Refusal 413, as soon as that is known, where it is longer than `most` bytes."""
    refusal = Refusal(413, f"{what} has at most {most} bytes")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > most:
        raise refusal
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise refusal
    return bytes(body)


def _file_of(stage: Any) -> tuple[str, bytes]:
    with stage.lock:
        return f"{stage.offer.name}-{stage.seed}", stage.file()


async def _refused(request: Request, refusal: Refusal) -> Response:
    return _json({"error": refusal.message}, refusal.status)


def _json(value: dict[str, Any], status: int = 200) -> Response:
    from starlette.responses import JSONResponse

    retry = {"Retry-After": "5"} if status in (429, 503) else {}
    return JSONResponse(value, status, headers={**HEADERS, **retry})


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
