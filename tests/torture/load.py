"""Many and hostile clients against `neural-envs serve`, over loopback and bounded in count and
time. The server is a process of its own, as for people.
"""

from __future__ import annotations

import io
import json
import logging
import re
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.neural_envs.web_live import REQUEST, Address, is_closed, longest_gap, play

# a page that floods loses its connection in the middle of a message, which its client would log
logging.getLogger("websockets.client").setLevel(logging.CRITICAL)
SECONDS = 8.0  # of playing, per attack
SPEED = 0.5  # of Pong, for 15 frames per second


@dataclass
class Row:
    """What one attack on a promise came to; `broken` says what broke it."""

    promise: str
    tries: str
    result: str
    kept: bool = True

    @property
    def broken(self) -> list[str]:
        """What broke the promise."""
        return [] if self.kept else [self.result]


class ServedProcess(Address):
    """`neural-envs serve` in a process of its own, with what it wrote."""

    def __init__(self, log: Path, *words: str):
        self.log = log
        command = [sys.executable, "-m", "neural_envs.cli", "serve", "--port", "0", *words]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log.open("w"), text=True
        )
        assert self.process.stdout is not None
        found = re.search(r"http://([^:]+):(\d+)", self.process.stdout.readline())
        assert found, log.read_text()
        super().__init__(found[1], int(found[2]))

    def memory(self) -> float:
        """Resident memory in MB; nan where the system does not say."""
        status = Path(f"/proc/{self.process.pid}/status")
        found = re.search(r"VmRSS:\s+(\d+)", status.read_text()) if status.exists() else None
        return int(found[1]) / 1024 if found else float("nan")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def campaign(budget: Any) -> Iterator[Row]:
    """Every attack once, whatever the budget: 80 seconds."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        server = ServedProcess(log, "--connections", "12", "--per-address", "12")
        try:
            play_for(server, 3.0)  # the bundles are loaded
            play_for(server, 3.0, "worldmap-ddpm")
            for attack in ATTACKS:
                yield attack(server)
                time.sleep(1.0)
        finally:
            server.stop()
        tracebacks = log.read_text().count("Traceback")
    yield Row("no traceback in the log", "all of the above", f"{tracebacks}", tracebacks == 0)


def play_for(server: Address, seconds: float = SECONDS, bundle: str = "pong") -> list[float]:
    """The times of the frames of one page."""
    page = server.page()
    try:
        return play(page, seconds, bundle, speed=SPEED)
    finally:
        page.close()


def words_about(times: list[list[float]]) -> tuple[str, float, float]:
    """Frames per second (least of the pages), the 95th percentile and the longest gap, as words;
    the first and the last of them.
    """
    rates = [(len(page) - 1) / (page[-1] - page[0]) if len(page) > 1 else 0.0 for page in times]
    gaps = np.concatenate([np.diff(page) for page in times if len(page) > 1] or [[np.inf]])
    longest = max(longest_gap(page) for page in times)
    text = f"{min(rates):.1f} frames/s at least, p95 {np.percentile(gaps, 95) * 1000:.0f} ms, "
    return text + f"longest gap {longest:.2f} s", min(rates), longest


@contextmanager
def beside(server: Address, attack: Callable[[threading.Event], None]) -> Iterator[list]:
    """While an attack goes on, one page plays; the times of its frames are in the list after."""
    over, times = threading.Event(), []
    attacker = threading.Thread(target=attack, args=(over,), daemon=True)
    attacker.start()
    time.sleep(1.0)
    try:
        yield times
    finally:
        over.set()
        attacker.join(20)


def visitors(server: ServedProcess) -> Row:
    with ThreadPoolExecutor(8) as pool:
        times = [*pool.map(lambda _: play_for(server), range(8))]
    text, rate, _ = words_about(times)
    return Row("8 pages play Pong at 15 frames/s", "8 pages at once", text, rate > 10)


def flood(server: ServedProcess) -> Row:
    def attack(over: threading.Event) -> None:
        count = 0
        while not over.is_set() and count < 20:  # it comes back when it is shown out
            count += 1
            try:
                page = server.page()
                page.send('{"type": "choose", "bundle": "pong"}')
                while not over.is_set():
                    page.send('{"type": "key", "key": "a", "down": true}')
            except Exception:
                time.sleep(0.1)

    with beside(server, attack) as times:
        times.append(play_for(server))
    text, _, longest = words_about(times)
    tries = "one page sends as fast as it can and comes back when it is shown out"
    return Row("a flood leaves the others their frames", tries, text, longest < 1.5)


def queued_steps(server: ServedProcess) -> Row:
    def attack(over: threading.Event) -> None:
        pages = [server.page(), server.page()]
        for page in pages:
            page.send('{"type": "choose", "bundle": "worldmap-ddpm"}')
            settings = {"sampler_steps": 32, "guidance": None, "speed": 1.0}
            page.send(json.dumps({"type": "settings", **settings}))
        try:
            while not over.is_set():
                for page in pages * 10:
                    page.send('{"type": "step"}')
                time.sleep(0.15)
        finally:
            for page in pages:
                page.socket.close()

    with beside(server, attack) as times:
        times.append(play_for(server))
    text, _, longest = words_about(times)
    tries = "2 pages send 66 steps of 32 sampler steps each per second"
    return Row("queued steps do not freeze the others", tries, text, longest < 2)


def slow_requests(server: ServedProcess) -> Row:
    body = json.dumps({"bundle": "worldmap-ddpm", "actions": [0] * 256, "sampler_steps": 32})
    statuses = []

    def attack(over: threading.Event) -> None:
        time.sleep(1.5)  # the page plays already
        with server.connect(60) as line:
            head = f"POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(body)}"
            line.sendall(f"{head}\r\n\r\n{body}".encode())
            while not over.is_set():
                try:
                    line.settimeout(0.5)
                    statuses.append(line.recv(100).split()[1])
                    return
                except TimeoutError:
                    continue

    with beside(server, attack) as times:
        times.append(play_for(server))
    text, _, longest = words_about(times)
    answer = statuses[0].decode() if statuses else "none in this time"
    tries = f"/api/generate of 256 actions with 32 sampler steps (its answer: {answer})"
    return Row("a long request does not stall the pages", tries, text, longest < 1.5)


def half_sent(server: ServedProcess) -> Row:
    lines = [server.connect() for _ in range(150)]
    for line in lines:
        line.sendall(REQUEST)
    health, begin = server.health(), time.monotonic()
    closed = sum(is_closed(line, max(0.3, begin + 13 - time.monotonic())) for line in lines)
    text = f"{closed} ended after {time.monotonic() - begin:.0f} s; /healthz took {health:.2f} s"
    return Row("half-sent requests are ended", "150", text, closed == 150 and health < 2)


def open_lines(server: ServedProcess) -> Row:
    lines = [server.connect() for _ in range(300)]
    health = max(server.health() for _ in range(5))
    for line in lines:
        line.close()
    text = f"/healthz took {health:.2f} s at most"
    return Row(
        "open connections do not starve the server", "300 from one address", text, health < 2
    )


def uploads(server: ServedProcess) -> Row:
    before = server.memory()
    pages = [server.page() for _ in range(6)]
    tokens = [json.loads(page.recv())["token"] for page in pages]
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dream.json", "[" + "[]," * 1_500_000 + "[]]")
    most = [before]

    def send(number: int) -> bytes:
        address = f"/dreams/{tokens[number % len(tokens)]}"
        head = f"POST {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: "
        with server.connect(40) as line:
            if number >= 12:  # unfinished
                line.sendall(f"{head}4000000\r\n\r\n".encode() + b"x" * 200_000)
                time.sleep(1)
                most.append(server.memory())
                return b""
            line.sendall(f"{head}{len(bomb.getvalue())}\r\n\r\n".encode() + bomb.getvalue())
            return line.recv(20).split()[1]

    with ThreadPoolExecutor(20) as pool:
        statuses = [*pool.map(send, range(72))]
    for page in pages:
        page.close()
    refused = sum(status in (b"422", b"429", b"503") for status in statuses)
    grown = max(most) - before
    text = f"{refused} refused with a sentence; memory grew by {grown:.0f} MB at most"
    tries = "by 6 pages: 12 files whose JSON is 4.5 MB of lists, 60 unfinished bodies of 4 MB"
    return Row("uploads do not eat the memory", tries, text, refused == 12 and not grown > 100)


def foreign(server: ServedProcess) -> Row:
    own = f"127.0.0.1:{server.port}"
    tries = [(host, "") for host in ("rebound.example", "[::1", "a@127.0.0.1", "10.0.0.1")]
    tries += [(own, o) for o in ("http://[", "null", "http://evil.example", f"http://{own}.evil")]
    statuses = []
    for host, origin in tries:
        with server.connect() as line:
            extra = f"Origin: {origin}\r\n" if origin else ""
            body = '{"actions": [0]}'
            line.sendall(
                f"POST /api/generate HTTP/1.1\r\nHost: {host}\r\n{extra}"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            statuses.append(line.recv(50).split()[1].decode())
    kept = all(status in ("400", "403") for status in statuses)
    text = f"{' '.join(sorted(set(statuses)))} each time"
    return Row("foreign names and pages are refused", f"{len(tries)}", text, kept)


ATTACKS = (
    visitors,
    flood,
    queued_steps,
    slow_requests,
    half_sent,
    open_lines,
    uploads,
    foreign,
)
