"""The page's server without a browser: connections, files, and their limits."""

from __future__ import annotations

import re

import pytest

from neural_envs.web import protocol
from neural_envs.web.access import access_for
from neural_envs.web.app import STATIC, AppState, make_app
from neural_envs.web.connection import MAX_UNACKNOWLEDGED
from tests.neural_envs.web_double import RIGHT, CountingCatalogue, Page, wait_for
from tests.oracles import ACTION_SUM, shown


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(serve):
    client = serve()
    page = client.get("/")
    assert (
        page.status_code == 200 and "default-src 'self'" in page.headers["content-security-policy"]
    )
    files = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert files and all(
        file.startswith("/static/") and client.get(file).status_code == 200 for file in files
    )
    ids = set(re.findall(r'id="([^"]+)"', page.text))
    for path in STATIC.iterdir():
        assert set(re.findall(r'\$\("([^"]+)"\)', path.read_text())) <= ids, path
        assert not re.search(r"https?://(?!www\.w3\.org)", path.read_text()), path
        for module in re.findall(r'from "\./([^"]+)"', path.read_text()):
            assert (STATIC / module).is_file(), module


def test_held_keys_play_the_dream(serve):
    page = Page(serve())
    page.until(lambda header, _: header["waiting"])
    page.send("key", key="ArrowRight", down=True)
    header = page.until(lambda header, _: header["step"] == 2)
    assert shown(page.frames[0], ACTION_SUM) == 2 * RIGHT and page.names() == ["dream"]
    assert header["return"] == 1.0 and header["trust"] == 0.75 and not header["waiting"]


def test_the_button_of_an_action_plays_too(serve):
    page = Page(serve())
    page.send("action", action=RIGHT, down=True)
    page.until(lambda header, _: header["step"] == 1)
    assert shown(page.frames[0], ACTION_SUM) == RIGHT


def test_the_page_learns_what_the_world_has(serve):
    page = Page(serve("snake"), "snake")
    assert [row["name"] for row in page.hello["bundles"]] == ["snake", "counting"]
    assert (
        page.dream["actions"] == ["up", "down", "left", "right"]
        and page.dream["sampler_steps"] is None
    )
    assert (
        page.dream["guidance"] is page.dream["temperature"] is None
        and "astar" in page.dream["policies"]
        and "random" in page.dream["policies"]
    )


def test_wrong_messages_get_a_sentence_and_the_dream_goes_on(serve):
    page = Page(serve())
    for text, phrase in (
        ('{"type": "fly"}', "fly"),
        ("{", "JSON"),
        ('{"type":"choose","bundle":"xx"}', "unknown bundle 'xx'"),
    ):
        page.socket.send_text(text)
        assert phrase in page.message("notice")["message"]
    page.socket.send_bytes(b"\0")
    assert "not binary" in page.message("notice")["message"]
    page.send("action", action=9, down=True)
    assert (
        page.message("notice")["message"]
        == "counting has no action 9; there are 0 up, 1 down, 2 left, 3 right"
    )
    page.send("restore", snapshot=4)
    assert "no snapshot 4" in page.message("notice")["message"]
    page.send("player", name="nobody")
    assert "nobody" in page.message("notice")["message"]
    page.send("action", action=RIGHT, down=True)
    page.until(lambda header, _: header["step"] == 1)


def test_a_huge_message_closes_that_connection_only(serve):
    client = serve()
    page, other = Page(client), Page(client)
    page.socket.send_text("x" * 10_000)
    end = page.message("closing")
    assert end["code"] == 1009 and "4096" in end["message"]
    other.send("action", action=RIGHT, down=True)
    other.until(lambda header, _: header["step"] == 1)
    wait_for(lambda: client.get("/healthz").json()["connections"] == 1)


def test_a_page_that_keeps_sending_nonsense_is_closed(serve):
    page = Page(serve())
    for _ in range(20):
        page.socket.send_text("nonsense")
    assert page.message("closing")["code"] == 1008


def test_one_page_too_many_is_refused_and_gets_in_when_another_leaves(serve):
    client = serve(connections=1)
    first = Page(client)
    assert client.get("/healthz").json() | {"seconds": 0} == {
        "status": "ok",
        "connections": 1,
        "max_connections": 1,
        "busy": True,
        "bundles": ["counting"],
        "seconds": 0,
    }
    with client.websocket_connect("/play") as refused:
        end = refused.receive_json()
        assert (end["type"], end["code"]) == (
            "closing",
            1013,
        ) and "busy: 1 open pages" in end["message"]
        assert refused.receive()["code"] == 1013
    first.leave()
    wait_for(lambda: client.get("/healthz").json()["connections"] == 0)
    Page(client).until(lambda header, _: header["waiting"])


def test_an_idle_page_is_closed_though_it_acknowledges_frames(serve):
    client = serve(idle=0.3)
    page = Page(client, bundle="")
    page.send("choose", bundle="counting")
    end = page.message("closing")
    assert end["code"] == 4001 and "0.3 seconds" in end["message"]
    wait_for(lambda: client.get("/healthz").json()["connections"] == 0)


def test_a_page_that_acknowledges_no_frames_gets_few_and_then_the_newest(serve):
    client = serve()
    page = Page(client, bundle="")
    page.send("choose", bundle="counting")
    page.send("settings", sampler_steps=None, guidance=None, speed=8)
    first = []
    while len(first) < MAX_UNACKNOWLEDGED:
        message = page.socket.receive()
        first += [message["bytes"]] if message.get("bytes") else []
    (connection,) = client.app.state.shared.connections.values()
    wait_for(
        lambda: connection.packed > MAX_UNACKNOWLEDGED + 8
    )  # frames are made, and none is sent
    assert connection.sent == MAX_UNACKNOWLEDGED
    page.send("acknowledge", number=MAX_UNACKNOWLEDGED)
    page.until(lambda header, _: True)
    assert page.header["number"] > MAX_UNACKNOWLEDGED + 5


def test_other_sites_are_refused(serve):
    from starlette.websockets import WebSocketDisconnect

    client = serve()
    for origin in (
        "http://evil.example",
        "null",
        "http://testserver.evil.example",
        "http://testserver:81",
    ):
        headers = {"origin": origin}
        with pytest.raises(WebSocketDisconnect):
            with client.websocket_connect("/play", headers=headers):
                pass  # it is closed at once where it was let in
        answer = client.post("/api/generate", json={"actions": [0]}, headers=headers)
        assert answer.status_code == 403
    with client.websocket_connect("/play", headers={"origin": "http://testserver"}) as allowed:
        assert allowed.receive_json()["type"] == "hello"


def test_names_that_the_server_does_not_go_by_are_refused(serve):
    from starlette.testclient import TestClient

    serve()  # skips where the extra is missing
    app = make_app(AppState(CountingCatalogue(), 1, 60.0, 1), access_for("127.0.0.1"))
    assert TestClient(app, base_url="http://rebound.example").get("/").status_code == 400
    assert TestClient(app, base_url="http://localhost:8000").get("/").status_code == 200


def test_a_dream_is_saved_and_watched_with_the_same_frames(serve):
    client = serve("snake")
    page = Page(client, "snake")
    page.send("new", seed=11)
    page.send("settings", sampler_steps=None, guidance=None, speed=8)
    page.send("player", name="astar")
    played = {}
    page.until(
        lambda header, frames: played.update({header["step"]: frames[0]}) or header["step"] >= 20
    )
    page.send("pause", on=True)
    page.until(
        lambda header, frames: played.update({header["step"]: frames[0]}) or header["paused"]
    )
    address = f"/dreams/{page.hello['token']}"
    saved = client.get(address)
    assert (
        saved.status_code == 200
        and 'filename="snake-11.dream"' in saved.headers["content-disposition"]
    )
    assert str(STATIC.parent.parent).encode() not in saved.content  # no path of this machine
    answer = client.post(address, content=saved.content).json()
    assert answer["steps"] == page.header["step"] and answer["remark"] == ""
    watched = {}
    page.until(
        lambda h, frames: (
            h["replay"] and (watched.update({h["step"]: frames[0]}) or h["step"] == h["steps"])
        )
    )
    both = watched.keys() & played.keys()
    assert len(both) > 5 and all((watched[step] == played[step]).all() for step in both)
    page.send("new", seed=11)
    page.until(lambda header, _: not header["replay"])


def test_a_file_that_is_no_dream_or_too_long_is_refused(serve):
    client = serve()
    page = Page(client)
    address = f"/dreams/{page.hello['token']}"
    assert client.post(address, content=b"PK nothing").status_code == 422
    assert client.post(address, content=b"x" * (protocol.DREAM_BYTES + 1)).status_code == 413
    assert client.post("/dreams/somebody-else", content=b"").status_code == 404
    page.send("action", action=RIGHT, down=True)
    page.until(lambda header, _: header["step"] == 1)
