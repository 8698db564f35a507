"""The server under hostile and many clients, over real sockets on loopback."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("websockets")

from neural_envs.web import game as games
from neural_envs.web import transport
from tests.neural_envs.web_double import wait_for
from tests.neural_envs.web_live import REQUEST, is_closed, live, longest_gap, play


def test_half_sent_requests_are_ended():
    with live(header_seconds=0.5) as server:
        silent, half = server.connect(), server.connect()
        half.sendall(REQUEST)
        kept = server.connect()  # a second request of a connection that is kept
        kept.sendall(REQUEST + b"\r\n")
        assert kept.recv(4096).startswith(b"HTTP/1.1 200")
        kept.sendall(REQUEST)
        assert all(is_closed(line, 3) for line in (silent, half, kept))
        wait_for(lambda: not server.table.open, 5)


def test_open_connections_do_not_starve_the_server():
    with live(sockets=(40, 20)) as server:
        lines = [server.connect() for _ in range(60)]
        for line in lines:
            line.sendall(REQUEST)
        assert server.health() < 2
        assert len(server.table.open) <= 20
        assert sum(is_closed(line, 0.25) for line in lines[:10]) == 10  # the oldest had to go
        for line in lines:
            line.close()


def test_a_connection_too_many_is_refused_where_none_only_waits():
    with live(sockets=(2, 2)) as server:
        pages = [server.page(), server.page()]
        assert is_closed(server.connect(), 3)
        assert len(server.table.open) == len(pages)


def test_a_page_that_was_shown_out_is_gone_though_it_stays():
    with live() as server:
        page = server.page()
        raw = page.socket
        page.recv()
        for _ in range(20):
            page.send("nonsense")
        wait_for(lambda: not server.state.connections, 10)

        def flood():
            try:
                while True:
                    raw.sendall(b"\x81\x82\0\0\0\0{}" * 500)
            except OSError:
                ended.append(time.monotonic())

        ended, begin = [], time.monotonic()
        thread = threading.Thread(target=flood, daemon=True)
        thread.start()
        thread.join(8)
        assert ended and ended[0] - begin < 6
        wait_for(lambda: not server.table.open, 5)


def shown_out(server) -> socket.socket:
    """The line of a page that broke the rules and does not answer the closing frame."""
    line = server.connect()
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    line.sendall(b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\r\n" + upgrade + key + b"\r\n")
    assert line.recv(12) == b"HTTP/1.1 101"
    line.sendall(b"\x81\x82\0\0\0\0{}" * 20)
    wait_for(lambda: not server.state.connections, 10)
    return line


def test_a_page_that_was_shown_out_and_keeps_quiet_is_cut_after_a_while(monkeypatch):
    monkeypatch.setattr(transport, "CLOSE_SECONDS", 0.3)
    with live() as server, shown_out(server) as line:
        assert is_closed(line, 4)


def test_a_page_that_was_shown_out_and_sends_on_is_cut_at_once(monkeypatch):
    monkeypatch.setattr(transport, "CLOSE_SECONDS", 60)
    with live() as server, shown_out(server) as line:
        begin = time.monotonic()
        with pytest.raises(ConnectionError):
            while (
                time.monotonic() - begin < 5
            ):  # read and thrown away, it goes on for twice as long
                line.sendall(b"\x81\x82\0\0\0\0{}" * 500)


@pytest.mark.guard
def test_a_flood_leaves_the_neighbours_their_frames():
    key = [json.dumps({"type": "key", "key": "ArrowUp", "down": bool(i % 2)}) for i in range(2)]

    def flood(page):
        page.send(json.dumps({"type": "choose", "bundle": "counting"}))
        try:
            while not over.is_set():
                page.send(key[0])
                page.send(key[1])
        except Exception:
            pass  # it was shown out, or the test is over

    over = threading.Event()
    with live() as server:
        alone = play(server.page(), 2.0)
        flooding = server.page()
        thread = threading.Thread(target=flood, args=(flooding,), daemon=True)
        thread.start()
        beside = play(server.page(), 3.0)
        over.set()
        assert len(beside) / 3 > 0.6 * len(alone) / 2
        assert longest_gap(beside[3:]) < 0.8
        flooding.socket.shutdown(socket.SHUT_RDWR)
        thread.join(5)


@pytest.mark.guard
def test_a_flood_that_does_not_end_ends_the_page(monkeypatch):
    from neural_envs.web import connection

    monkeypatch.setattr(connection, "MAX_THROTTLED_SECONDS", 0.5)
    with live() as server:
        page = server.page()
        for _ in range(400):
            page.send(json.dumps({"type": "release"}))
        wait_for(lambda: not server.state.connections, 5)


def test_queued_steps_of_two_pages_do_not_freeze_the_others(monkeypatch):
    """Each step of the two takes 50 ms; 250 messages each were one turn of 12 seconds."""
    slow, step = set(), games.GameSession._step

    def slow_step(game, message):
        slow.add(id(game))
        time.sleep(0.05)
        step(game, message)

    monkeypatch.setitem(games.HANDLERS, games.protocol.Step, slow_step)
    with live() as server:
        pages = [server.page(), server.page()]
        for page in pages:
            page.send(json.dumps({"type": "choose", "bundle": "counting"}))
        neighbour = server.page()
        times: list[float] = []
        thread = threading.Thread(target=lambda: times.extend(play(neighbour, 4.0)))
        thread.start()
        time.sleep(1.0)
        for page in pages:
            for _ in range(150):
                page.send(json.dumps({"type": "step"}))
        thread.join(10)
        assert len(slow) == 2 and longest_gap(times) < 0.6


@pytest.mark.parametrize("host", ["::1", "127.0.0.2"])
def test_a_server_on_another_loopback_address_answers_there(host):
    try:
        socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with live(host=host) as server:
        name = f"[{host}]" if ":" in host else host
        for asked, status in ((f"{name}:{server.port}", b"200"), ("rebound.example", b"400")):
            with server.connect() as line:
                line.sendall(f"GET / HTTP/1.1\r\nHost: {asked}\r\n\r\n".encode())
                assert line.recv(100).split()[1] == status


def test_ordinary_disconnects_leave_no_traceback_in_the_log(caplog):
    with live() as server:
        # uvicorn's loggers pass nothing on
        logging.getLogger("uvicorn.error").addHandler(caplog.handler)
        pages = [server.page() for _ in range(4)]
        token = json.loads(pages[0].recv())["token"]
        for page in pages[1:]:
            page.send(json.dumps({"type": "choose", "bundle": "counting"}))
            page.socket.shutdown(socket.SHUT_RDWR)
        for _ in range(5):  # uploads that break off
            with server.connect() as line:
                head = f"POST /dreams/{token} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                line.sendall(f"{head}Content-Length: 4000\r\n\r\nPK".encode())
        with server.connect() as line:
            line.sendall(b"GET /play HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://[\r\n\r\n")
        wait_for(lambda: len(server.state.connections) == 1, 10)
        time.sleep(0.3)
        pages[0].close()
    logging.getLogger("uvicorn.error").removeHandler(caplog.handler)
    assert not [record for record in caplog.records if record.exc_info]
    assert "Traceback" not in caplog.text


def test_a_slow_request_for_programs_does_not_stop_the_pages(monkeypatch):
    from neural_envs.web import api

    step = api.GenerateJob._step
    monkeypatch.setattr(api.GenerateJob, "_step", lambda job: (time.sleep(0.05), step(job)))
    with live(threads=1) as server:
        times: list[float] = []
        page = server.page()
        thread = threading.Thread(target=lambda: times.extend(play(page, 3.0)))
        thread.start()
        time.sleep(1.0)
        body = json.dumps({"bundle": "counting", "actions": [0] * 100}).encode()
        for _ in range(4):
            with server.connect(20) as line:
                head = b"POST /api/generate HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                line.sendall(head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
                assert line.recv(100).startswith(b"HTTP/1.1 200")
        thread.join(10)
        assert len(times) > 10 and longest_gap(times) < 0.6
