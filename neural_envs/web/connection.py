"""One visitor: messages in, pictures out, and the clock of a dream that is stepped on worker
threads.

A picture is sent when it is new and the page has taken nearly all earlier ones; what was dreamed
meanwhile is skipped, so a slow line sees the newest frame and fills no queue.
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from neural_envs.web import protocol
from neural_envs.web.catalogue import BundleCatalogue
from neural_envs.web.frames import pack_picture
from neural_envs.web.game import GameSession
from neural_envs.web.protocol import MessageError

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

LOG = logging.getLogger("uvicorn.error")
AHEAD = 3  # pictures on their way to a page
MOST_WAITING, MOST_SAID = 256, 64  # messages not yet done, texts not yet sent
MOST_MISTAKES = 20
MISUSE, TOO_BIG, BROKEN, IDLE, NO_BUNDLE = 1008, 1009, 1011, 4001, 4002


class Leave(Exception):
    """The server ends the visit: a close code, and a sentence for the page."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code, self.message = code, message


class Connection:
    """A visit over a WebSocket that was accepted.

    `serve` returns when it is over, and the dream is gone.
    """

    def __init__(self, socket: WebSocket, shelf: BundleCatalogue, workers: Executor, idle: float):
        self.socket, self.shelf, self.workers, self.idle = socket, shelf, workers, idle
        self.token = secrets.token_urlsafe(16)
        self.stage: GameSession | None = None
        self.inbox: deque[Any] = deque()
        self.outbox: deque[str] = deque(maxlen=MOST_SAID)
        self.wake, self.fresh = asyncio.Event(), asyncio.Event()
        self.picture: bytes | None = None
        self.made = self.sent = self.seen = 0  # pictures
        self.times: deque[float] = deque(maxlen=32)  # of the last steps
        self.mistakes = 0

    async def serve(self) -> None:
        """The visit, until the page goes, is idle for too long, or breaks the rules."""
        tasks = [asyncio.create_task(work()) for work in (self._read, self._play, self._send)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            await self._goodbye(next((task.exception() for task in done if task.exception()), None))
        finally:
            for task in tasks:
                task.cancel()
            if self.stage is not None:
                self.workers.submit(self.stage.close)  # after the step in hand, however this ended
            await asyncio.wait(tasks)

    def tell(self, said: dict[str, Any]) -> None:
        """Put a message for the page in line."""
        self.outbox.append(json.dumps(said))
        self.fresh.set()

    async def on_stage(self, function: Callable[[GameSession], Any]) -> Any:
        """What `function` gives for the visitor's stage, on a worker thread; None where there is no
        stage yet.
        """
        return None if self.stage is None else await self._work(lambda: function(self.stage))

    def put(self, message: Any) -> None:
        """Let the dream do what a message asks, before its next step."""
        if len(self.inbox) >= MOST_WAITING:
            raise Leave(MISUSE, "messages come faster than a dream can heed them")
        self.inbox.append(message)
        self.wake.set()

    # ---------------------------------------------------------------- the three tasks

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        touched = loop.time()
        while True:
            try:
                async with asyncio.timeout(max(0.0, touched + self.idle - loop.time())):
                    received = await self.socket.receive()
            except TimeoutError:
                raise Leave(
                    IDLE, f"nothing was touched for {self.idle:g} seconds; the dream was let go"
                ) from None
            if received["type"] == "websocket.disconnect":
                return
            if self._heed(received):
                touched = loop.time()

    def _heed(self, received: dict[str, Any]) -> bool:
        """Take a message; whether a person was behind it."""
        text = received.get("text")
        size = len(text if text is not None else received.get("bytes") or b"")
        if size > protocol.MESSAGE_BYTES:
            raise Leave(
                TOO_BIG, f"a message has at most {protocol.MESSAGE_BYTES} bytes, this one {size}"
            )
        try:
            if text is None:
                raise MessageError("a message is text (JSON), not binary")
            message = protocol.read_message(text)
        except MessageError as error:
            self.mistakes += 1
            if self.mistakes >= MOST_MISTAKES:
                raise Leave(
                    MISUSE, f"{MOST_MISTAKES} messages could not be read; the last one: {error}"
                ) from None
            self.tell({"type": "notice", "message": str(error)})
            return True
        if isinstance(message, protocol.Seen):
            self.seen = max(self.seen, min(message.picture, self.sent))
            self.fresh.set()
            return False
        self.put(message)
        return True

    async def _play(self) -> None:
        """The clock: messages are heeded when they come, steps when they are due."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            still = self.stage is None or self.stage.still
            await self._sleep(None if still else due - loop.time())
            messages = [*self.inbox]
            self.inbox.clear()
            step = not still and loop.time() >= due
            said, picture = await self._work(
                lambda messages=messages, step=step: self._advance(messages, step)
            )
            if step:
                due = max(due + self.stage.beat, loop.time())
                self.times.append(loop.time())
            for words in said:
                self.tell(words)
            self.picture = picture or self.picture
            self.fresh.set()

    async def _send(self) -> None:
        while True:
            await self.fresh.wait()
            self.fresh.clear()
            while self.outbox:
                await self.socket.send_text(self.outbox.popleft())
            if self.picture is not None and self.sent - self.seen < AHEAD:
                picture, self.picture = self.picture, None
                self.sent += 1
                await self.socket.send_bytes(picture)

    # ---------------------------------------------------------------- on worker threads

    def _advance(
        self, messages: list[Any], step: bool
    ) -> tuple[list[dict[str, Any]], bytes | None]:
        """Heed messages and maybe step; (what to tell the page, the picture)."""
        said = []
        for message in messages:
            if isinstance(message, protocol.Choose):
                said += self._choose(message)
            elif self.stage is not None:
                with self.stage.lock:
                    self.stage.apply(message)
        if self.stage is None:
            return said, None
        with self.stage.lock:
            if step and not self.stage.still:
                self.stage.tick()
            header, panes = self.stage.picture()
            return said + self.stage.take_said(), self._packed(header, panes)

    def _choose(self, message: protocol.Choose) -> list[dict[str, Any]]:
        """Another dream in place of the one there is, which stays where the new one cannot be
        had.
        """
        try:
            stage = GameSession(self.shelf, self.shelf.find(message.bundle))
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            return [{"type": "notice", "message": str(error)}]
        old, self.stage = self.stage, stage
        if old is not None:
            old.close()
        return [stage.about(), {"type": "snapshots", "kept": []}]

    def _packed(self, header: dict[str, Any], panes: list[Any]) -> bytes:
        self.made += 1
        times = [*self.times]
        fps = (
            (len(times) - 1) / (times[-1] - times[0])
            if len(times) > 1 and times[-1] > times[0]
            else 0.0
        )
        return pack_picture({"n": self.made, "fps": round(fps, 1), **header}, panes)

    async def _work(self, function: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self.workers, function)

    async def _sleep(self, seconds: float | None) -> None:
        """Until a message comes or the time is over; None: until a message comes."""
        try:
            async with asyncio.timeout(None if seconds is None else max(0.0, seconds)):
                await self.wake.wait()
        except TimeoutError:
            pass
        self.wake.clear()

    async def _goodbye(self, error: BaseException | None) -> None:
        """Tell the page why, and close; the page may be gone already."""
        if error is None:
            return
        if not isinstance(error, Leave):
            LOG.error("a visit broke off", exc_info=error)
            error = Leave(BROKEN, f"the dream broke off: {type(error).__name__}")
        try:
            async with asyncio.timeout(2):
                await self.socket.send_text(
                    json.dumps({"type": "end", "code": error.code, "message": error.message})
                )
                await self.socket.close(error.code, error.message[:100])
        except (RuntimeError, OSError, TimeoutError):
            pass
