"""How much one page may have: messages, work, uploads, sentences."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from neural_envs.web import app, protocol, replay_view
from neural_envs.web.connection import Closing, Connection
from neural_envs.web.inbox import MAX_MESSAGES, MAX_WORK, Inbox, InboxFull
from neural_envs.web.limits import ClientLimit, Refusal, TokenBucket, public
from tests.neural_envs.web_double import RIGHT, CountingCatalogue, Page

pytest.importorskip("starlette")
pytest.importorskip("httpx2")

from starlette.websockets import WebSocketDisconnect


def dream_of(page, client) -> bytes:
    page.send("action", action=RIGHT, down=True)
    page.until(lambda header, _: header["step"] >= 2)
    page.send("pause", on=True)
    page.until(lambda header, _: header["paused"])
    return client.get(f"/dreams/{page.hello['token']}").content


def changed(data: bytes, arrays=None, **head) -> bytes:
    """The `.dream` file with other values in its JSON and other arrays."""
    target = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name in source.namelist():
            content = source.read(name)
            if name == "dream.json":
                content = json.dumps({**json.loads(content), **head}).encode()
            if name.removesuffix(".npy") in (arrays or {}):
                buffer = io.BytesIO()
                np.save(buffer, arrays[name.removesuffix(".npy")])
                content = buffer.getvalue()
            archive.writestr(name, content)
    return target.getvalue()


def test_a_page_has_a_bounded_queue_of_messages():
    inbox, key = Inbox(), protocol.Key("a", True)
    for _ in range(MAX_MESSAGES):
        assert inbox.put(key)
    with pytest.raises(InboxFull):
        inbox.put(key)
    connection = Connection(None, CountingCatalogue(), None, 60.0)
    connection.inbox = inbox
    with pytest.raises(Closing) as caught:
        connection.put(key)
    assert caught.value.code == 1008


def test_a_turn_has_one_message_of_work_and_few_of_them_wait():
    inbox = Inbox()
    taken = [inbox.put(protocol.Step()) for _ in range(100)]
    assert sum(taken) == MAX_WORK and not any(taken[MAX_WORK:])
    assert inbox.put(protocol.Key("a", True))  # what is cheap still gets in
    for _ in range(MAX_WORK):
        assert inbox.batch() == [protocol.Step()]
    assert inbox.batch() == [protocol.Key("a", True)] and not inbox.batch()
    assert inbox.put(protocol.Step())


def test_messages_are_read_at_a_rate():
    bucket = TokenBucket(rate=10, burst=5)
    assert [bucket.take(100.0) for _ in range(5)] == [0.0] * 5
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.0) == pytest.approx(0.2)
    assert bucket.take(101.0) == 0.0


def test_one_address_cannot_take_all_places():
    places = ClientLimit(3, 2, "open pages")
    places.enter("a"), places.enter("a")
    with pytest.raises(Refusal) as caught:
        places.enter("a")
    assert caught.value.status == 429
    places.enter("b")
    with pytest.raises(Refusal) as caught:
        places.enter("c")
    assert caught.value.status == 503 and places.full
    places.leave("a")
    places.enter("c")


def test_a_page_too_many_of_one_address_is_refused(serve):
    client = serve(connections=3, per_address=1)
    Page(client)
    with client.websocket_connect("/play") as refused:
        end = refused.receive_json()
    assert (end["type"], end["code"]) == ("closing", 1013) and "of your open pages" in end[
        "message"
    ]


def test_a_flood_of_steps_leaves_some_out_with_a_sentence(serve):
    page = Page(serve())
    for _ in range(60):
        page.send("step")
    assert "left out" in page.message("notice")["message"]


def test_a_body_without_a_length_is_cut_at_the_limit(serve):
    client, sent = serve(), []

    def endless():
        for _ in range(100):
            sent.append(1)
            yield b"x" * protocol.DREAM_BYTES

    page = Page(client)
    answer = client.post(f"/dreams/{page.hello['token']}", content=endless())
    assert answer.status_code == 413
    answer = client.post("/api/generate", content=(b"x" * 1000 for _ in range(100)))
    assert answer.status_code == 413


def test_reading_a_body_stops_at_the_limit_and_at_the_time():
    import asyncio

    from starlette.requests import Request

    chunks = []

    async def endless():
        chunks.append(1)
        assert len(chunks) < 50, "it is read on"
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    async def never():
        await asyncio.sleep(60)

    def read(receive):
        request = Request({"type": "http", "headers": [], "method": "POST"}, receive)
        return asyncio.run(app.read_body(request, 1000, "a file"))

    with pytest.raises(Refusal) as caught:
        read(endless)
    assert caught.value.status == 413 and len(chunks) == 11
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "BODY_SECONDS", 0.05)
        with pytest.raises(Refusal) as caught:
            read(never)
    assert caught.value.status == 408

    async def gone():
        return {"type": "http.disconnect"}

    with pytest.raises(Refusal) as caught:
        read(gone)
    assert caught.value.status == 400


def test_one_upload_per_page_and_few_in_all(serve):
    client = serve()
    page = Page(client)
    address, state = f"/dreams/{page.hello['token']}", client.app.state.shared
    (connection,) = state.connections.values()
    connection.uploading = True
    assert client.post(address, content=b"PK").status_code == 429
    connection.uploading = False
    for i in range(state.uploads.limit):
        state.uploads.enter(str(i))
    assert client.post(address, content=b"PK").status_code == 503
    state.uploads.clients.clear()
    assert client.post(address, content=b"PK").status_code == 422
    assert not state.uploads.clients and not connection.uploading


@pytest.mark.parametrize(
    ("head", "phrase"),
    [
        ({"seed": "A" * 1000}, "seed|damaged"),
        ({"seed": 2**70}, "seed|damaged"),
        ({"platform": {"machine": "x" * 300_000}}, "262144 bytes"),
        ({"settings": {"sampler_steps": 10**6}}, "sampler.steps"),
        ({"settings": {"sampler_steps": 40}}, "more than 32 sampler steps"),
        ({"settings": {"sampler_steps": True}}, "sampler.steps"),
        ({"settings": {"guidance": 1e9}}, "guidance"),
        ({"settings": {"temperature": float("nan")}}, "temperature|damaged"),
    ],
)
def test_an_uploaded_dream_is_bounded(serve, head, phrase):
    import re

    client = serve()
    page = Page(client)
    data = changed(dream_of(page, client), **head)
    answer = client.post(f"/dreams/{page.hello['token']}", content=data)
    assert answer.status_code == 422 and re.search(phrase, answer.json()["error"])
    assert len(answer.content) < 1000


def test_an_uploaded_dream_has_a_bound_of_steps(serve, monkeypatch):
    client = serve()
    page = Page(client)
    data = dream_of(page, client)
    monkeypatch.setattr(replay_view, "MAX_STEPS", 1)
    answer = client.post(f"/dreams/{page.hello['token']}", content=data)
    assert answer.status_code == 422 and "steps" in answer.json()["error"]


def test_an_uploaded_dream_has_a_bound_of_its_unpacked_size(serve):
    client = serve()
    page = Page(client)
    frames = np.zeros((40, 1000, 1000, 1), np.uint8)
    data = changed(dream_of(page, client), {"context_frames": frames})
    assert len(data) < protocol.DREAM_BYTES
    answer = client.post(f"/dreams/{page.hello['token']}", content=data)
    assert answer.status_code == 422 and "unpacks to more than 32 MB" in answer.json()["error"]


def test_an_uploaded_dream_is_played_by_the_plain_backend_only(serve, monkeypatch):
    client = serve()
    page = Page(client)
    data = dream_of(page, client)
    settings = {"backend": "compiled", "min_trust": None}
    used = []
    replay = replay_view.replay
    monkeypatch.setattr(
        replay_view,
        "replay",
        lambda file, *rest: used.append(file.settings["backend"]) or replay(file, *rest),
    )
    answer = client.post(f"/dreams/{page.hello['token']}", content=changed(data, settings=settings))
    assert answer.status_code == 200 and used == ["eager"]


def test_sentences_are_short_and_name_no_folder_of_the_machine():
    assert (
        public("cannot read /home/me/runs/x/config.json: gone") == "cannot read config.json: gone"
    )
    assert public(r"no C:\Users\me\x.npz") == "no x.npz"
    assert public("15 frames/s at https://a.b/c") == "15 frames/s at https://a.b/c"
    assert public(FileNotFoundError(2, "No such file", "/home/me/x")) == "No such file"
    assert len(public("x" * 10_000)) == 500


def test_an_error_of_a_dream_shows_no_path(serve, monkeypatch):
    from neural_envs.web.game import HANDLERS

    def broken(game, message):
        raise OSError("cannot open /home/somebody/games/rom.bin")

    monkeypatch.setitem(HANDLERS, protocol.Resync, broken)
    page = Page(serve())
    page.send("resync")
    assert page.message("notice")["message"] == "cannot open rom.bin"


GONE = [
    WebSocketDisconnect(1006),
    ConnectionResetError("reset by peer"),
    RuntimeError('Cannot call "send" once a close message has been sent.'),
]


@pytest.mark.parametrize("error", [*GONE, KeyError("a bug")], ids=repr)
def test_a_page_that_has_left_while_it_was_sent_to_is_no_error_in_the_log(error, caplog):
    sent = []

    class LeftPage:
        async def receive(self):
            await asyncio.sleep(60)

        async def send_text(self, text):
            sent.append(text)
            if len(sent) == 1:
                raise error

        async def close(self, *reason):
            pass

    async def visit():
        connection = Connection(LeftPage(), CountingCatalogue(), ThreadPoolExecutor(1), 60.0)
        connection.send({"type": "hello"})
        await connection.serve()

    asyncio.run(visit())
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == (error not in GONE) and len(sent) == 1 + len(logged)
