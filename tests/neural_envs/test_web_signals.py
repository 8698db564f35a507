"""Ctrl-C and SIGTERM end `neural-envs serve` with a sentence; no process is left behind."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from neural_envs.web import server

ROOT = Path(__file__).resolve().parents[2]
WORDS = ["--bundle=snake", "--port=0"]
each_signal = pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)


@each_signal
def test_from_its_greeting_on_the_server_closes_its_connections_on_a_signal(
    number, code, word, monkeypatch, capsys
):
    handlers = []

    def greeted(*_, **__):
        handlers.append(signal.getsignal(number))
        signal.raise_signal(number)

    monkeypatch.setattr(server, "print", greeted, raising=False)
    assert server.main(WORDS) == code
    assert handlers[0].__name__ == "handle_exit"  # uvicorn's
    assert capsys.readouterr().err == f"neural-envs serve: {word}\n"


@pytest.mark.slow  # it starts a process, which takes two seconds
@pytest.mark.skipif(os.name != "posix", reason="process groups")
@pytest.mark.parametrize("with_page", [False, True])
@each_signal
def test_a_signal_ends_the_server_with_a_sentence_and_no_orphans(number, code, word, with_page):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "neural_envs.cli", "serve", *WORDS],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # whatever it starts is in its group
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:(\d+) ", process.stdout.readline())
        assert found
        if with_page:
            from websockets.sync.client import connect

            page = connect(f"ws://127.0.0.1:{found[1]}/play", max_size=None).__enter__()
            page.recv(10)  # it dreams by now
        process.send_signal(number)
        _, text = process.communicate(timeout=20)
    finally:
        if process.poll() is None:
            process.kill()
    assert (process.returncode, text) == (code, f"neural-envs serve: {word}\n")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)  # nobody is left in the group
    with socket.socket() as again:
        assert again.connect_ex(("127.0.0.1", int(found[1]))) != 0
