"""uvicorn's protocols with what they lack: a limit of open sockets per address and in all, a
time-out for headers, and an end to WebSockets whose page does not go.

This module needs the extra `web`.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from neural_envs.web.limits import CLOSE_SECONDS, HEADER_SECONDS


class SocketTable:
    """The open sockets, oldest first. A new one takes the place of the oldest that waits for a
    request; where none waits it is refused.
    """

    def __init__(self, limit: int, per_address: int):
        self.limit, self.per_address = limit, per_address
        self.open: dict[Any, str] = {}  # protocol -> address of its client

    def admit(self, protocol: Any, address: str) -> bool:
        """Whether there is a place for one more of this address."""
        own = [other for other, client in self.open.items() if client == address]
        for sockets, limit in ((own, self.per_address), ([*self.open], self.limit)):
            waiting = (other for other in sockets if other.waiting)
            if sum(other in self.open for other in sockets) < limit:
                continue
            oldest = next(waiting, None)
            if oldest is None:
                return False
            self.leave(oldest)
            oldest.transport.abort()
        self.open[protocol] = address
        return True

    def leave(self, protocol: Any) -> None:
        """The socket is closed."""
        self.open.pop(protocol, None)


class GuardedHTTP(H11Protocol):
    """An HTTP connection that ends where headers do not come within `HEADER_SECONDS`."""

    table: SocketTable
    header_seconds = HEADER_SECONDS
    _deadline: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]  # as uvicorn's own
        """A client connected."""
        super().connection_made(transport)
        if not self.table.admit(self, self.client[0] if self.client else ""):
            return transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.table.leave(self)
        self._stop_watching()
        super().connection_lost(exc)

    def handle_websocket_upgrade(self, event: Any) -> None:
        """The connection goes on as a WebSocket, which enters the table by itself."""
        self.table.leave(self)
        self._stop_watching()
        super().handle_websocket_upgrade(event)

    def _watch(self) -> None:
        """Set the time-out where a request is expected, take it away where one is answered."""
        upgraded = self.transport.get_protocol() is not self
        if not self.waiting or upgraded or self.transport.is_closing():
            self._stop_watching()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.header_seconds, self._time_out)

    def _time_out(self) -> None:
        self._deadline = None
        if self.waiting:
            self.transport.abort()

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket whose TCP connection is gone `CLOSE_SECONDS` after the server closed it, whatever
    the page does.
    """

    table: SocketTable
    waiting = False  # it is never given up for another

    def connection_made(self, transport: Any) -> None:
        """The upgrade of an HTTP connection."""
        super().connection_made(transport)
        self.table.open[self] = self.client[0] if self.client else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.table.leave(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes came; those of a page that was shown out are not read."""
        if self.close_sent and len(data) > 1024:  # a reply to a closing frame is shorter
            return self.transport.abort()
        super().data_received(data)

    def keepalive_timeout(self) -> None:
        """The page did not answer a ping."""
        super().keepalive_timeout()
        self.transport.abort()

    async def send(self, message: Any) -> None:
        """A message of the application."""
        await super().send(message)
        if message["type"] == "websocket.close":
            self.loop.call_later(CLOSE_SECONDS, self.transport.abort)


def guarded_protocols(limit: int, per_address: int) -> dict[str, Any]:
    """The settings `http` and `ws` of a uvicorn server with these limits of open sockets."""
    table = {"table": SocketTable(limit, per_address)}
    return {
        "http": type("ServedHTTP", (GuardedHTTP,), table),
        "ws": type("ServedWebSocket", (GuardedWebSocket,), table),
    }
