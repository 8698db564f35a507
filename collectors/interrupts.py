"""Ctrl-C and SIGTERM: one way to end, with a sentence and exit code 130 or 143."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The process was asked to end; `code` is the exit code: 128 and the signal's number."""

    def __init__(self, number: int = signal.SIGINT, kept: str = ""):
        """`kept` says what of the work is kept, and how to go on."""
        self.number, self.kept, self.code = number, kept, 128 + number
        word = "terminated" if number == signal.SIGTERM else "interrupted"
        super().__init__(f"{word}; {kept}" if kept else word)


def interrupted(error: KeyboardInterrupt) -> Interrupted:
    """Any KeyboardInterrupt as one that has a sentence and an exit code."""
    return error if isinstance(error, Interrupted) else Interrupted()


@contextmanager
def interruptible() -> Iterator[None]:
    """Both signals raise Interrupted; only in the main thread, elsewhere nothing changes."""
    with _handling(_raise):
        yield


class StopRequest:
    """Whether a signal has come, for work that ends at a moment of its own choice."""

    def __init__(self) -> None:
        self.number = 0

    def __bool__(self) -> bool:
        return self.number != 0

    def end(self, kept: str = "") -> None:
        """Raise Interrupted, with what is kept, where a signal has come."""
        if self:
            raise Interrupted(self.number, kept)


@contextmanager
def deferred_interrupts() -> Iterator[StopRequest]:
    """Within it the first signal is only noted; a second one raises Interrupted at once."""
    request = StopRequest()

    def note(number: int, frame: FrameType | None) -> None:
        if request:
            _raise(number, frame)
        request.number = number

    with _handling(note):
        yield request


@contextmanager
def interrupts_blocked() -> Iterator[None]:
    """Within it Ctrl-C waits; a process that is started meanwhile never gets it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _raise(number: int, frame: FrameType | None) -> None:
    raise Interrupted(number)


@contextmanager
def _handling(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # what was started in the background ignores Ctrl-C, and goes on doing so
    taken = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in taken}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier if earlier is not None else signal.SIG_DFL)
