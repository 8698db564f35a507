"""The network, asked with a time limit: is the Hugging Face Hub there, does it go on sending?"""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from collectors.extras import optional

ANSWER_SECONDS = 5.0  # for the first sign of the Hub, names looked up included
STALL_SECONDS = 30.0  # without anything new of a download, after which it is given up
T = TypeVar("T")


def bytes_in(folder: Path) -> int:
    """How much lies in a folder so far, files that are still being written included."""
    sizes = 0
    for path in folder.rglob("*"):
        try:
            sizes += path.lstat().st_size
        except OSError:  # renamed or removed just now
            continue
    return sizes


def run_unless_stalled(
    work: Callable[[], T], progress: Callable[[], object], who: str, seconds: float | None = None
) -> T:
    """What `work` returns, as long as `progress` changes at least every `seconds`, by default
    STALL_SECONDS. Raises TimeoutError, a sentence about `who`, where it does not, and what `work`
    raises.

    `work` is on a daemon thread, which is left behind: libraries wait without end, or try again.
    """
    limit, found, errors = seconds or STALL_SECONDS, [], []

    def done() -> None:
        try:
            found.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=done, daemon=True)
    thread.start()
    latest, since = progress(), time.monotonic()
    while thread.is_alive():
        thread.join(min(0.5, limit / 4))
        now = progress()
        if now != latest:
            latest, since = now, time.monotonic()
        elif thread.is_alive() and time.monotonic() - since > limit:
            raise TimeoutError(f"{who} sent nothing for {limit:g} seconds; try again later")
    if errors:
        raise errors[0]
    return found[0]


def offline() -> str:
    """Why the Hub cannot be asked, as half a sentence; "" where it can."""
    constants = optional("huggingface_hub.constants")
    if constants.HF_HUB_OFFLINE:
        return "no network: HF_HUB_OFFLINE is set"
    return unreachable(constants.ENDPOINT)


def unreachable(address: str, seconds: float = ANSWER_SECONDS) -> str:
    """Why nothing answers at an http(s) address within `seconds`, as half a sentence; "" where
    something does.
    """
    found = [f"{address} does not answer within {seconds:g} seconds"]

    def ask() -> None:
        try:
            request = urllib.request.Request(address, method="HEAD")
            urllib.request.urlopen(request, timeout=seconds).close()
            found.append("")
        except urllib.error.HTTPError:
            found.append("")
        except TimeoutError:
            pass
        except (OSError, ValueError) as error:
            cause = error.reason if isinstance(error, urllib.error.URLError) else error
            if not isinstance(cause, TimeoutError):
                # a certificate is for the Hub's own client to judge
                certificate = type(cause).__name__.startswith("SSL")
                found.append("" if certificate else f"no network: {address} cannot be reached")

    # a daemon, because looking up a name cannot be given a time limit
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds + 0.5)
    return found[-1]
