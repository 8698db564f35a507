"""The page's server without a browser: visits over a WebSocket, files, and their limits."""

from __future__ import annotations

import re

import pytest

from neural_envs.web import protocol
from neural_envs.web.app import STATIC, House, make_app
from neural_envs.web.connection import AHEAD
from tests.neural_envs.web_double import RIGHT, CountingShelf, Page, wait_for
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
    for path in STATIC.iterdir():
        assert not re.search(r"https?://(?!www\.w3\.org)", path.read_text()), path
        for module in re.findall(r'from "\./([^"]+)"', path.read_text()):
            assert (STATIC / module).is_file(), module


def test_held_keys_play_the_dream(serve):
    page = Page(serve())
    page.until(lambda header, _: header["waiting"])
    page.say("key", key="ArrowRight", down=True)
    header = page.until(lambda header, _: header["step"] == 2)
    assert shown(page.panes[0], ACTION_SUM) == 2 * RIGHT and header["titles"] == ["dream"]
    assert header["return"] == 1.0 and header["trust"] == 0.75 and not header["waiting"]


def test_the_button_of_an_action_plays_too(serve):
    page = Page(serve())
    page.say("act", action=RIGHT, down=True)
    page.until(lambda header, _: header["step"] == 1)
    assert shown(page.panes[0], ACTION_SUM) == RIGHT


def test_the_page_learns_what_the_world_has(serve):
    page = Page(serve("snake"), "snake")
    assert [row["name"] for row in page.hello["bundles"]] == ["counting", "snake"]
    assert page.dream["actions"] == ["up", "down", "left", "right"] and page.dream["steps"] is None
    assert (
        page.dream["guidance"] is None
        and "astar" in page.dream["policies"]
        and "random" in page.dream["policies"]
    )


def test_wrong_messages_get_a_sentence_and_the_dream_goes_on(serve):
    page = Page(serve())
    for text, phrase in (
        ('{"type": "fly"}', "fly"),
        ("{", "JSON"),
        ('{"type":"choose","bundle":"xx"}', "no bundle 'xx'"),
    ):
        page.socket.send_text(text)
        assert phrase in page.told("notice")["message"]
    page.socket.send_bytes(b"\0")
    assert "not binary" in page.told("notice")["message"]
    page.say("act", action=9, down=True)
    assert (
        page.told("notice")["message"]
        == "counting has no action 9; there are 0 up, 1 down, 2 left, 3 right"
    )
    page.say("back", snapshot=4)
    assert "no snapshot 4" in page.told("notice")["message"]
    page.say("player", name="nobody")
    assert "nobody" in page.told("notice")["message"]
    page.say("act", action=RIGHT, down=True)
    page.until(lambda header, _: header["step"] == 1)


def test_a_huge_message_ends_that_visit_only(serve):
    client = serve()
    page, other = Page(client), Page(client)
    page.socket.send_text("x" * 10_000)
    end = page.told("end")
    assert end["code"] == 1009 and "4096" in end["message"]
    other.say("act", action=RIGHT, down=True)
    other.until(lambda header, _: header["step"] == 1)
    wait_for(lambda: client.get("/healthz").json()["visitors"] == 1)


def test_who_keeps_sending_nonsense_is_shown_out(serve):
    page = Page(serve())
    for _ in range(20):
        page.socket.send_text("nonsense")
    assert page.told("end")["code"] == 1008


def test_one_visitor_too_many_is_told_so_and_gets_in_when_another_leaves(serve):
    client = serve(visitors=1)
    first = Page(client)
    assert client.get("/healthz").json() | {"seconds": 0} == {
        "status": "ok",
        "visitors": 1,
        "most": 1,
        "busy": True,
        "bundles": ["counting"],
        "seconds": 0,
    }
    with client.websocket_connect("/play") as refused:
        end = refused.receive_json()
        assert (end["type"], end["code"]) == (
            "end",
            1013,
        ) and "busy: 1 dream is being played" in end["message"]
        assert refused.receive()["code"] == 1013
    first.leave()
    wait_for(lambda: client.get("/healthz").json()["visitors"] == 0)
    Page(client).until(lambda header, _: header["waiting"])


def test_an_idle_visitor_is_let_go_though_pictures_are_taken(serve):
    client = serve(idle=0.3)
    page = Page(client, bundle="")
    page.say("choose", bundle="counting")
    end = page.told("end")
    assert end["code"] == 4001 and "0.3 seconds" in end["message"]
    wait_for(lambda: client.get("/healthz").json()["visitors"] == 0)


def test_who_takes_no_pictures_gets_few_and_then_the_newest(serve):
    client = serve()
    page = Page(client, bundle="")
    page.say("choose", bundle="counting")
    page.say("tune", sampler_steps=None, guidance=None, speed=8)
    first = []
    while len(first) < AHEAD:
        message = page.socket.receive()
        first += [message["bytes"]] if message.get("bytes") else []
    (visitor,) = client.app.state.house.visitors.values()
    wait_for(lambda: visitor.made > AHEAD + 8)  # pictures are made, and none is sent
    assert visitor.sent == AHEAD
    page.say("seen", picture=AHEAD)
    page.until(lambda header, _: True)
    assert page.header["n"] > AHEAD + 5


def test_other_sites_are_refused(serve):
    from starlette.websockets import WebSocketDisconnect

    client = serve()
    for origin in (
        "http://evil.example",
        "null",
        "http://testserver.evil.example",
        "http://testserver:81",
    ):
        with pytest.raises(WebSocketDisconnect):
            client.websocket_connect("/play", headers={"origin": origin}).__enter__()
        answer = client.post("/api/generate", json={"actions": [0]}, headers={"origin": origin})
        assert answer.status_code == 403
    with client.websocket_connect("/play", headers={"origin": "http://testserver"}) as allowed:
        assert allowed.receive_json()["type"] == "hello"


def test_names_that_the_server_does_not_go_by_are_refused(serve):
    from starlette.testclient import TestClient

    serve()  # skips where the extra is missing
    app = make_app(House(CountingShelf(), 1, 60.0, 1), ("localhost", "127.0.0.1"))
    assert TestClient(app, base_url="http://rebound.example").get("/").status_code == 400
    assert TestClient(app, base_url="http://localhost:8000").get("/").status_code == 200


def test_a_dream_is_saved_and_watched_with_the_same_frames(serve):
    client = serve("snake")
    page = Page(client, "snake")
    page.say("new", seed=11)
    page.say("tune", sampler_steps=None, guidance=None, speed=8)
    page.say("player", name="astar")
    frames = {}
    page.until(
        lambda header, panes: frames.update({header["step"]: panes[0]}) or header["step"] >= 20
    )
    page.say("pause", on=True)
    page.until(lambda header, panes: frames.update({header["step"]: panes[0]}) or header["paused"])
    address = f"/dreams/{page.hello['token']}"
    saved = client.get(address)
    assert (
        saved.status_code == 200
        and 'filename="snake-11.dream"' in saved.headers["content-disposition"]
    )
    assert str(STATIC.parent.parent).encode() not in saved.content  # no path of this machine
    said = client.post(address, content=saved.content).json()
    assert said["steps"] == page.header["step"] and said["remark"] == ""
    seen = {}
    page.until(
        lambda h, panes: (
            h["film"] and (seen.update({h["step"]: panes[0]}) or h["step"] == h["steps"])
        )
    )
    both = seen.keys() & frames.keys()
    assert len(both) > 5 and all((seen[step] == frames[step]).all() for step in both)
    page.say("new", seed=11)
    page.until(lambda header, _: not header["film"])


def test_a_file_that_is_no_dream_or_too_long_is_refused(serve):
    client = serve()
    page = Page(client)
    address = f"/dreams/{page.hello['token']}"
    assert client.post(address, content=b"PK nothing").status_code == 422
    assert client.post(address, content=b"x" * (protocol.DREAM_BYTES + 1)).status_code == 413
    assert client.post("/dreams/somebody-else", content=b"").status_code == 404
    page.say("act", action=RIGHT, down=True)
    page.until(lambda header, _: header["step"] == 1)
