"""The connection of one page: messages in, frames out, and the clock of a dream that is stepped on
worker threads.

A frame is sent when it is new and the page has acknowledged nearly all earlier ones. What was
dreamed meanwhile is skipped, so a slow connection shows the newest frame and fills no queue.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from neural_envs.web import protocol
from neural_envs.web.catalogue import BundleCatalogue
from neural_envs.web.frames import pack_views
from neural_envs.web.game import GameSession
from neural_envs.web.inbox import Inbox, InboxFull
from neural_envs.web.limits import (
    MAX_THROTTLED_SECONDS,
    MESSAGE_BURST,
    MESSAGES_PER_SECOND,
    UPDATES_PER_SECOND,
    TokenBucket,
    public,
)
from neural_envs.web.protocol import MessageError
from neural_envs.web.replay_view import ReplayView

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

LOG = logging.getLogger("uvicorn.error")
MAX_UNACKNOWLEDGED = 3  # frames on their way to a page
MAX_OUTBOX = 64  # texts not yet sent
MAX_MISTAKES = 20
# close codes of a WebSocket
MISUSE, TOO_BIG, BROKEN, BUSY, IDLE = 1008, 1009, 1011, 1013, 4001
# what choosing a bundle may raise that the page is told
MENDABLE = (ValueError, OSError, ImportError, RuntimeError)
T = TypeVar("T")


class Closing(Exception):
    """The server ends the connection: a close code, and a sentence for the page."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code, self.message = code, message


class Update(NamedTuple):
    """What came of some messages and maybe a step."""

    messages: list[dict[str, Any]]  # for the page
    frame: bytes | None  # the binary message; None while there is no game


class Connection:
    """A WebSocket that was accepted, and the game that is played over it.

    `serve` returns when it is over, and the game is closed. `idle` is the seconds without a message
    by a person after which it ends.
    """

    def __init__(
        self, socket: WebSocket, catalogue: BundleCatalogue, workers: Executor, idle: float
    ):
        self.socket, self.catalogue, self.workers, self.idle = socket, catalogue, workers, idle
        self.token = secrets.token_urlsafe(16)
        self.game: GameSession | None = None
        self.inbox, self.bucket = Inbox(), TokenBucket(MESSAGES_PER_SECOND, MESSAGE_BURST)
        self.outbox: deque[str] = deque(maxlen=MAX_OUTBOX)
        self.received, self.ready = asyncio.Event(), asyncio.Event()
        self.frame: bytes | None = None  # the newest one, until it is sent
        self.packed = self.sent = self.acknowledged = 0  # frames
        self.step_times: deque[float] = deque(maxlen=32)
        self.mistakes, self.throttled = 0, 0.0
        self.uploading = False  # whether a `.dream` file of this page is being read

    async def serve(self) -> None:
        """Serve the page until it goes, is idle for too long, or breaks the rules."""
        tasks = [asyncio.create_task(work()) for work in (self._receive, self._play, self._send)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            errors = (task.exception() for task in done)
            await self._close(next((error for error in errors if error), None))
        finally:
            for task in tasks:
                task.cancel()
            if self.game is not None:
                self.workers.submit(self.game.close)  # after the step in hand, however this ended
            await asyncio.wait(tasks)

    def send(self, message: Mapping[str, Any]) -> None:
        """Put a message for the page in line."""
        self.outbox.append(json.dumps(message))
        self.ready.set()

    def put(self, message: Any) -> None:
        """Let the game handle a message soon. Raises Closing where too many wait."""
        try:
            if not self.inbox.put(message):
                text = "this comes faster than it can be dreamed, and was left out"
                self.send({"type": "notice", "message": text})
        except InboxFull as error:
            raise Closing(MISUSE, str(error)) from None
        self.received.set()

    def show_replay(self, replay: ReplayView) -> None:
        """Show a file in place of the dream. Raises Closing where another one waits still."""
        if self.inbox.holds(ReplayView) or not self.inbox.put(replay):
            raise Closing(BUSY, "busy: the page has not shown the last file yet; try again soon")
        self.received.set()

    async def work(self, function: Callable[[], T]) -> T:
        """What `function` returns, called on a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self.workers, function)

    # ---------------------------------------------------------------- the three tasks

    async def _receive(self) -> None:
        loop = asyncio.get_running_loop()
        active = loop.time()
        while True:
            try:
                async with asyncio.timeout(max(0.0, active + self.idle - loop.time())):
                    received = await self.socket.receive()
            except TimeoutError:
                reason = f"nothing was pressed for {self.idle:g} seconds; the dream was stopped"
                raise Closing(IDLE, reason) from None
            if received["type"] == "websocket.disconnect":
                return
            await self._throttle()
            message = self._parse(received)
            if isinstance(message, protocol.Acknowledge):
                self.acknowledged = max(self.acknowledged, min(message.number, self.sent))
                self.ready.set()
                continue
            active = loop.time()
            if message is not None:
                self.put(message)

    async def _play(self) -> None:
        """The clock: messages are handled when they come, steps at the world's frame rate.

        Every turn of a worker thread is one step and one message of work at most.
        """
        loop = asyncio.get_running_loop()
        next_step = loop.time()
        while True:
            runs = self.game is not None and not self.game.paused
            await self._wait(next_step - loop.time() if runs else None)
            messages, begin = self.inbox.batch(), loop.time()
            messages = [message for message in messages if await self._is_loaded(message)]
            step = runs and begin >= next_step
            update = await self.work(lambda m=messages, s=step: self._advance(m, s))
            if step and self.game is not None:
                next_step = max(next_step + self.game.tick_seconds, loop.time())
                self.step_times.append(loop.time())
            for message in update.messages:
                self.send(message)
            self.frame = update.frame or self.frame
            self.ready.set()
            if not step:  # a flood of messages makes no flood of frames
                await asyncio.sleep(max(0.0, begin + 1 / UPDATES_PER_SECOND - loop.time()))

    async def _is_loaded(self, message: Any) -> bool:
        """Wait for the bundle that a message asks for, if any; False, with a notice, where it
        cannot be loaded. No worker thread waits.
        """
        if isinstance(message, protocol.ChooseBundle):
            try:
                info = self.catalogue.find(message.bundle)
                await asyncio.wrap_future(self.catalogue.loading(info))
            except MENDABLE as error:
                self.send({"type": "notice", "message": public(error)})
                return False
        return True

    async def _send(self) -> None:
        while True:
            await self.ready.wait()
            self.ready.clear()
            while self.outbox:
                await self.socket.send_text(self.outbox.popleft())
            if self.frame is not None and self.sent - self.acknowledged < MAX_UNACKNOWLEDGED:
                frame, self.frame = self.frame, None
                self.sent += 1
                await self.socket.send_bytes(frame)
                await asyncio.sleep(1 / UPDATES_PER_SECOND)  # each costs an acknowledgement

    async def _throttle(self) -> None:
        """Wait where messages come too fast. Raises Closing where that does not end."""
        delay = self.bucket.take(asyncio.get_running_loop().time())
        self.throttled = self.throttled + delay if delay else 0.0
        if self.throttled > MAX_THROTTLED_SECONDS:
            limit = f"more than {MESSAGES_PER_SECOND:g} messages per second"
            raise Closing(MISUSE, f"{limit} came for too long")
        await asyncio.sleep(delay)

    def _parse(self, received: Mapping[str, Any]) -> Any:
        """The message; None, with a notice, for one that cannot be read.

        Raises Closing for one that is too long, or one wrong one too many.
        """
        text = received.get("text")
        size = len(text if text is not None else received.get("bytes") or b"")
        if size > protocol.MESSAGE_BYTES:
            limit = f"a message has at most {protocol.MESSAGE_BYTES} bytes"
            raise Closing(TOO_BIG, f"{limit}, this one {size}")
        try:
            if text is None:
                raise MessageError("a message is text (JSON), not binary")
            return protocol.read_message(text)
        except MessageError as error:
            self.mistakes += 1
            if self.mistakes >= MAX_MISTAKES:
                count = f"{MAX_MISTAKES} messages could not be read"
                raise Closing(MISUSE, f"{count}; the last one: {error}") from None
            self.send({"type": "notice", "message": str(error)})
            return None

    # ---------------------------------------------------------------- on worker threads

    def _advance(self, messages: list[Any], step: bool) -> Update:
        """Handle messages and maybe step."""
        replies = []
        for message in messages:
            if isinstance(message, protocol.ChooseBundle):
                replies += self._choose(message)
            elif self.game is not None:
                self.game.apply(message)
        game = self.game
        if game is None:
            return Update(replies, None)
        if step and not game.paused:
            game.tick()
        header, views = game.show()
        self.packed += 1
        header |= {"number": self.packed, "fps": round(self._fps(), 1)}
        return Update(replies + game.take_messages(), pack_views(header, views))

    def _choose(self, message: protocol.ChooseBundle) -> list[dict[str, Any]]:
        """Another game in place of the one there is, which stays where the new one cannot be
        loaded.
        """
        try:
            game = GameSession(self.catalogue, self.catalogue.find(message.bundle))
        except MENDABLE as error:
            return [{"type": "notice", "message": public(error)}]
        before, self.game = self.game, game
        if before is not None:
            before.close()
        return [game.about(), game.snapshots.message()]

    def _fps(self) -> float:
        """Steps per second of late; 0 where there were too few."""
        times = [*self.step_times]
        seconds = times[-1] - times[0] if times else 0.0
        return (len(times) - 1) / seconds if seconds > 0 else 0.0

    async def _wait(self, seconds: float | None) -> None:
        """Until a message is there or the time is over; None: until a message is there."""
        if self.inbox:
            return
        try:
            async with asyncio.timeout(None if seconds is None else max(0.0, seconds)):
                await self.received.wait()
        except TimeoutError:
            pass
        self.received.clear()

    async def _close(self, error: BaseException | None) -> None:
        """Send the page the reason, and close; the page may be gone already."""
        if error is None or _page_is_gone(error):
            return
        if not isinstance(error, Closing):
            LOG.error("a connection broke off", exc_info=error)
            error = Closing(BROKEN, f"the dream broke off: {type(error).__name__}")
        reason = {"type": "closing", "code": error.code, "message": error.message}
        try:
            async with asyncio.timeout(2):
                await self.socket.send_text(json.dumps(reason))
                await self.socket.close(error.code, error.message[:100])
        except (RuntimeError, OSError, TimeoutError):
            pass


def _page_is_gone(error: BaseException) -> bool:
    """Whether this is what sending to a page raises that has left."""
    from starlette.websockets import WebSocketDisconnect

    sent_late = isinstance(error, RuntimeError) and "close" in str(error)
    return sent_late or isinstance(error, WebSocketDisconnect | ConnectionError)
