"""The messages of one page that its game has not handled yet."""

from __future__ import annotations

from collections import deque
from typing import Any

from neural_envs.web import protocol

MAX_MESSAGES, MAX_WORK = 256, 16  # in all; of those that take a worker thread a while
INSTANT = (
    protocol.Key,
    protocol.Action,
    protocol.ReleaseKeys,
    protocol.Pause,
    protocol.Settings,
)


class InboxFull(Exception):
    """More messages than a page may have waiting."""


class Inbox:
    """A bounded queue that is emptied in batches with at most one message of work each, so that
    one page cannot keep a worker thread from the others.
    """

    def __init__(self) -> None:
        self.messages: deque[Any] = deque()
        self._work = 0

    def __len__(self) -> int:
        return len(self.messages)

    def put(self, message: Any) -> bool:
        """Add a message; False where it is left out, as too much work waits already.

        Raises InboxFull where too many messages wait.
        """
        if len(self.messages) >= MAX_MESSAGES:
            raise InboxFull("messages come faster than a dream can handle them")
        work = not isinstance(message, INSTANT)
        if work and self._work >= MAX_WORK:
            return False
        self._work += work
        self.messages.append(message)
        return True

    def holds(self, kind: type) -> bool:
        """Whether a message of this kind waits."""
        return any(isinstance(message, kind) for message in self.messages)

    def batch(self) -> list[Any]:
        """The oldest messages up to the first that is work, which leave the queue."""
        taken: list[Any] = []
        while self.messages:
            taken.append(self.messages.popleft())
            if not isinstance(taken[-1], INSTANT):
                self._work -= 1
                break
        return taken
