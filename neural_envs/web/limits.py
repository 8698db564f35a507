"""How much one client, and all clients together, may have of the server."""

from __future__ import annotations

import re
from collections import Counter

MAX_SOCKETS, MAX_SOCKETS_PER_ADDRESS = 256, 64  # open TCP connections
HEADER_SECONDS = 10.0  # for the headers of a request, from its first byte or the connection
BODY_SECONDS = 20.0  # for the body of a request
CLOSE_SECONDS = 2.0  # from the closing frame of a WebSocket to the end of its TCP connection
MESSAGES_PER_SECOND, MESSAGE_BURST = 100.0, 200.0  # that are read of one page
MAX_THROTTLED_SECONDS = 5.0  # of waiting for tokens, until the page is closed
UPDATES_PER_SECOND = 60.0  # frames that are sent, or made for messages alone, without a step
MAX_UPLOADS = 2  # bodies of `.dream` files that are read and checked at a time
MAX_GENERATING = 4  # requests to /api/generate at a time, which take turns
SLICE_SECONDS = 0.05  # of a worker thread, for one turn of such a request
MAX_SENTENCE = 500  # characters of a sentence for a client
PATH = re.compile(r"(?<![\w.:/\\])(?:~?/|[A-Za-z]:[\\/])(?:[^\s'\",;:()/\\]+[/\\])+")


class Refusal(Exception):
    """A request that is not answered: an HTTP status, and a sentence."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status, self.message = status, message


class ClientLimit:
    """Places for clients by address: `limit` in all, `per_client` of one address.

    `what` goes on "as many ... as there may be": "requests are dreamed".
    """

    def __init__(self, limit: int, per_client: int, what: str):
        self.limit, self.per_client, self.what = limit, per_client, what
        self.clients: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether there is no place for anybody."""
        return self.clients.total() >= self.limit

    def enter(self, client: str) -> None:
        """Take a place. Refusal 429 where the client has all of its own, 503 where all are
        taken.
        """
        if self.clients[client] >= self.per_client:
            count = f"{self.per_client} of your {self.what}"
            raise Refusal(429, f"{count} at a time: wait for the one there is, or close it")
        if self.full:
            raise Refusal(
                503, f"busy: {self.limit} {self.what}, as many as there may be; try again soon"
            )
        self.clients[client] += 1

    def leave(self, client: str) -> None:
        """Give the place back."""
        self.clients[client] -= 1
        self.clients += Counter()  # only positive counts stay


class TokenBucket:
    """`rate` tokens per second, at most `burst` at a time."""

    def __init__(self, rate: float, burst: float):
        self.rate, self.burst = rate, burst
        self.tokens, self.time = burst, 0.0

    def take(self, now: float) -> float:
        """Take a token at the time `now` (seconds); the seconds until it is due, 0 if at once."""
        earned = (now - self.time) * self.rate if self.time else 0.0
        self.tokens, self.time = min(self.burst, self.tokens + earned) - 1, now
        return max(0.0, -self.tokens / self.rate)


def public(error: BaseException | str) -> str:
    """The sentence of an error for a client: short, and without folders of this machine."""
    text = error if isinstance(error, str) else str(error)
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    text = PATH.sub("", text)
    return text if len(text) <= MAX_SENTENCE else text[: MAX_SENTENCE - 3] + "..."
