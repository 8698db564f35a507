"""The page's server without a browser: visits over a WebSocket, files, the interface for programs, and their limits."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import threading
import time

import numpy as np
import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")

try:
    from starlette.testclient import TestClient
except RuntimeError as missing:  # httpx2
    pytest.skip(str(missing), allow_module_level=True)

from PIL import Image

from neural_envs.env import NeuralEnv
from neural_envs.web import api, protocol, server
from neural_envs.web.app import STATIC, House, make_app
from neural_envs.web.shelf import Offer, Shelf
from neural_envs.web.stage import MOST_SNAPSHOTS, Stage
from neural_envs.web.visitor import AHEAD
from tests.oracles import ACTION_SUM, COUNT, counting_bundle, shown

RIGHT = 3


class CountingShelf(Shelf):
    """The counting double, and where asked for released bundles."""

    def __init__(self, *released: str):
        super().__init__()
        self.offers = {name: offer for name, offer in self.offers.items() if name in released}
        self.offers = {"counting": Offer("counting", "counting", "counting"), **self.offers}
        self.loaded["counting"], self.hashes["counting"] = counting_bundle(), "counted"


@pytest.fixture
def serve():
    """serve(...) makes a client of a server with these settings, which lives until the test is over."""
    clients = []

    def make(*released: str, visitors: int = 2, idle: float = 60.0):
        house = House(CountingShelf(*released), visitors, idle, 2)
        clients.append(TestClient(make_app(house)).__enter__())
        clients[-1].pages = []
        return clients[-1]

    yield make
    for client in clients:
        for page in client.pages:
            page.leave()
        client.__exit__(None, None, None)


class Page:
    """What the page does: says messages, acknowledges pictures, keeps what it was told."""

    def __init__(self, client, bundle: str = "counting", **message):
        self.socket = client.websocket_connect("/play")
        self.socket.__enter__()
        client.pages.append(self)
        self.received, self.header, self.panes = 0, None, []
        self.hello = self.told("hello")
        if bundle:
            self.say("choose", bundle=bundle)
            self.dream = self.told("dream")

    def say(self, type_: str, **values) -> None:
        self.socket.send_text(json.dumps({"type": type_, **values}))

    def told(self, kind: str) -> dict:
        """The next text of this kind; pictures that come before it are taken."""
        for _ in range(500):
            message = self.socket.receive()
            if message.get("text"):
                said = json.loads(message["text"])
                if said["type"] == kind:
                    return said
            else:
                self._take(message["bytes"])
        raise AssertionError(f"no message '{kind}' came")

    def until(self, condition) -> dict:
        """Pictures until condition(header, panes) holds; the header then."""
        for _ in range(500):
            message = self.socket.receive()
            if message.get("bytes"):
                self._take(message["bytes"])
                if condition(self.header, self.panes):
                    return self.header
        raise AssertionError(f"it never came to that; the last picture is {self.header}")

    def _take(self, data: bytes) -> None:
        self.received += 1
        self.header, self.panes = protocol.unpack_picture(data)
        self.say("seen", picture=self.received)

    def leave(self) -> None:
        if self.socket is not None:
            self.socket.__exit__(None, None, None)
        self.socket = None


def wait_for(condition, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def test_the_page_is_whole_and_loads_nothing_from_elsewhere(serve):
    client = serve()
    page = client.get("/")
    assert page.status_code == 200 and "default-src 'self'" in page.headers["content-security-policy"]
    files = re.findall(r'(?:href|src)="([^"]+)"', page.text)
    assert files and all(file.startswith("/static/") and client.get(file).status_code == 200 for file in files)
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
    assert page.dream["guidance"] is None and "astar" in page.dream["policies"] and "random" in page.dream["policies"]


def test_wrong_messages_get_a_sentence_and_the_dream_goes_on(serve):
    page = Page(serve())
    for text, phrase in (('{"type": "fly"}', "fly"), ("{", "JSON"), ('{"type":"choose","bundle":"xx"}', "no bundle 'xx'")):
        page.socket.send_text(text)
        assert phrase in page.told("notice")["message"]
    page.socket.send_bytes(b"\0")
    assert "not binary" in page.told("notice")["message"]
    page.say("act", action=9, down=True)
    assert page.told("notice")["message"] == "counting has no action 9; there are 0 up, 1 down, 2 left, 3 right"
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
        "status": "ok", "visitors": 1, "most": 1, "busy": True, "bundles": ["counting"], "seconds": 0
    }  # fmt: skip
    with client.websocket_connect("/play") as refused:
        end = refused.receive_json()
        assert (end["type"], end["code"]) == ("end", 1013) and "busy: 1 dream is being played" in end["message"]
        assert refused.receive()["code"] == 1013
    first.leave()
    wait_for(lambda: client.get("/healthz").json()["visitors"] == 0)
    Page(client).until(lambda header, _: header["waiting"])


def test_an_idle_visitor_is_let_go_though_pictures_are_taken(serve):
    client = serve(idle=0.3)
    page = Page(client)
    end = page.told("end")
    assert end["code"] == 4001 and "0.3 seconds" in end["message"]
    wait_for(lambda: client.get("/healthz").json()["visitors"] == 0)


def test_who_takes_no_pictures_gets_few_and_then_the_newest(serve):
    page = Page(serve(), bundle="")
    page.say("choose", bundle="counting")
    page.say("tune", sampler_steps=None, guidance=None, speed=8)
    first = []
    while len(first) < AHEAD:
        message = page.socket.receive()
        first += [message["bytes"]] if message.get("bytes") else []
    time.sleep(0.5)  # tens of beats, and nothing is sent
    page.say("seen", picture=AHEAD)
    page.until(lambda header, _: True)
    assert page.header["n"] > AHEAD + 5


def test_other_sites_are_refused(serve):
    client = serve()
    for origin in ("http://evil.example", "null", "http://testserver.evil.example", "http://testserver:81"):
        with pytest.raises(Exception, match="403|1008|WebSocketDisconnect") as caught:
            client.websocket_connect("/play", headers={"origin": origin}).__enter__()
        assert "Disconnect" in type(caught.value).__name__ or "Denial" in type(caught.value).__name__
        answer = client.post("/api/generate", json={"actions": [0]}, headers={"origin": origin})
        assert answer.status_code == 403
    with client.websocket_connect("/play", headers={"origin": "http://testserver"}) as allowed:
        assert allowed.receive_json()["type"] == "hello"


def test_names_that_the_server_does_not_go_by_are_refused():
    app = make_app(House(CountingShelf(), 1, 60.0, 1), ("localhost", "127.0.0.1"))
    assert TestClient(app, base_url="http://rebound.example").get("/").status_code == 400
    assert TestClient(app, base_url="http://localhost:8000").get("/").status_code == 200


def test_snapshots_go_back_and_the_oldest_make_room():
    stage = Stage(CountingShelf(), Offer("counting", "counting", "counting"), seed=0)
    stage.apply(protocol.Act(RIGHT, True))
    stage.tick()
    stage.apply(protocol.Keep())
    stage.tick()
    stage.apply(protocol.Keep())
    rows = [said for said in stage.take_said() if said["type"] == "snapshots"][-1]["kept"]
    assert [row["step"] for row in rows] == [1, 2] and rows[0]["picture"].startswith("data:image/png;base64,")
    stage.apply(protocol.Back(rows[0]["id"]))
    assert shown(stage.picture()[1][0], COUNT) == 1 and len(stage.dream.recorder.actions) == 1
    for _ in range(MOST_SNAPSHOTS):
        stage.apply(protocol.Keep())
    assert len(stage.kept) == MOST_SNAPSHOTS and rows[0]["id"] not in stage.kept


def test_a_policy_plays_and_hands_back():
    stage = Stage(CountingShelf(), Offer("counting", "counting", "counting"), seed=0)
    stage.apply(protocol.Player("random"))
    stage.tick()
    assert stage.picture()[0]["step"] == 1 and stage.picture()[0]["player"] == "random"
    stage.apply(protocol.Player("you"))
    stage.apply(protocol.Pause(True))
    stage.tick()
    assert stage.picture()[0]["step"] == 1 and stage.still


def test_a_seed_gives_its_game_again():
    stage = Stage(CountingShelf(), Offer("counting", "counting", "counting"), seed=5)
    first = stage.picture()[1][0]
    stage.apply(protocol.New(6))
    stage.apply(protocol.New(5))
    assert (stage.picture()[1][0] == first).all() and stage.picture()[0]["seed"] == 5


def test_real_game_difference_and_resync_beside_the_dream():
    stage = Stage(CountingShelf("snake"), CountingShelf("snake").find("snake"), seed=1)
    stage.apply(protocol.Panes(real=True, difference=True))
    header, (dream, real, difference) = stage.picture()
    assert header["titles"] == ["dream", "real", "difference"] and (dream == real).all() and np.ptp(difference) == 0
    stage.apply(protocol.Player("astar"))
    for _ in range(12):
        stage.tick()
    stage.apply(protocol.Resync())
    _, (dream, real, difference) = stage.picture()
    assert (dream == real).all() and stage.take_said()[-1]["type"] == "chosen"
    stage.apply(protocol.Panes(real=False, difference=False))
    assert stage.picture()[0]["titles"] == ["dream"] and stage.picture()[0]["step"] == 12


def test_a_missing_real_game_is_a_sentence_with_its_command_and_the_dream_goes_on(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "envpool", None)
    shelf = CountingShelf("coinrun")
    stage = Stage(shelf, shelf.find("coinrun"), seed=1)
    stage.apply(protocol.Panes(real=True, difference=False))
    notice, chosen = stage.take_said()
    assert "pip install" in notice["message"] and "coinrun" in notice["message"] and chosen["real"] is False
    stage.tick()
    assert stage.picture()[0]["titles"] == ["dream"] and stage.picture()[0]["step"] == 1


def test_a_dream_is_saved_and_watched_with_the_same_frames(serve):
    client = serve("snake")
    page = Page(client, "snake")
    page.say("new", seed=11)
    page.say("tune", sampler_steps=None, guidance=None, speed=8)
    page.say("player", name="astar")
    frames = {}
    page.until(lambda header, panes: frames.update({header["step"]: panes[0]}) or header["step"] >= 20)
    page.say("pause", on=True)
    page.until(lambda header, panes: frames.update({header["step"]: panes[0]}) or header["paused"])
    address = f"/dreams/{page.hello['token']}"
    saved = client.get(address)
    assert saved.status_code == 200 and 'filename="snake-11.dream"' in saved.headers["content-disposition"]
    assert str(STATIC.parent.parent).encode() not in saved.content  # no path of this machine
    said = client.post(address, content=saved.content).json()
    assert said["steps"] == page.header["step"] and said["remark"] == ""
    seen = {}
    page.until(lambda h, panes: h["film"] and (seen.update({h["step"]: panes[0]}) or h["step"] == h["steps"]))
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


def test_generate_gives_the_frames_of_the_environment(serve):
    answer = serve().post("/api/generate", json={"bundle": "counting", "seed": 3, "actions": [1, 2, 3, 0, 0, 0, 0]})
    assert answer.status_code == 200
    said, env = answer.json(), NeuralEnv(counting_bundle())
    expected = [env.reset(seed=3)[0]]
    rewards = []
    for action in [1, 2, 3, 0, 0, 0, 0][: len(said["rewards"])]:
        frame, reward, terminated, _, _ = env.step(action)
        expected.append(frame)
        rewards.append(reward)
    frames = [np.asarray(Image.open(io.BytesIO(base64.b64decode(picture)))) for picture in said["frames"]]
    assert len(frames) == len(expected) and all((a == b).all() for a, b in zip(frames, expected, strict=True))
    assert said["rewards"] == rewards and said["terminations"][-1] == terminated and len(said["trust"]) == len(rewards)


@pytest.mark.parametrize(
    ("body", "status", "phrase"),
    [
        (b"x" * 70_000, 413, "65536"),
        (b"\xff\xfe", 422, "utf-8"),
        (b"[]", 422, "JSON object"),
        (b'{"actions": [4]}', 422, "'actions[0]' is 4"),
        (b'{"actions": [0], "world": "chess"}', 422, "no world 'chess'"),
        (b'{"actions": [0], "bundle": "/etc"}', 422, "no bundle '/etc'"),
        (b'{"actions": [0], "guidance": 2}', 422, "guidance"),
    ],
)
def test_a_wrong_request_gets_its_status_and_a_sentence(serve, body, status, phrase):
    client = serve("snake") if b"world" in body else serve()
    body = body if b"world" in body or b"bundle" in body else body.replace(b'"actions"', b'"bundle":"counting","actions"')
    answer = client.post("/api/generate", content=body)
    assert answer.status_code == status and phrase in answer.json()["error"]


def test_one_request_at_a_time_a_client_and_no_more_than_there_are_threads(monkeypatch, serve):
    client, go = serve(), threading.Event()
    monkeypatch.setattr(api, "generate", lambda *_: go.wait(20) and {"frames": []})
    answers = []
    ask = lambda: answers.append(client.post("/api/generate", json={"actions": [0]}).status_code)  # noqa: E731
    first = threading.Thread(target=ask)
    first.start()
    desk = client.app.state.house.desk
    wait_for(lambda: desk.clients)
    assert client.post("/api/generate", json={"actions": [0]}).status_code == 429
    name = desk.clients.pop()
    desk.clients |= {"one", "two"}
    refused = client.post("/api/generate", json={"actions": [0]})
    assert refused.status_code == 503 and refused.headers["retry-after"] and "busy" in refused.json()["error"]
    desk.clients = {name}
    go.set()
    first.join(20)
    assert answers == [200] and not desk.clients


def test_a_request_that_nobody_waits_for_is_given_up():
    ticket = api.Ticket(threading.Event(), time.monotonic() + 60)
    ticket.given_up.set()
    with pytest.raises(api.Refusal) as caught:
        api.generate(protocol.Generate((0, 0), bundle="counting"), CountingShelf(), ticket)
    assert caught.value.status == 503


def test_a_port_in_use_is_a_sentence(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert server.main(["--port", str(port)]) == 1
    assert f"port {port} is in use; choose another with --port" in capsys.readouterr().err


def test_a_bundle_that_is_none_is_a_sentence(capsys, tmp_path):
    assert server.main(["--bundle", str(tmp_path), "--port", "0"]) == 1
    assert "is not a bundle" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--port", "70000"], ["--visitors", "0"], ["--idle", "-1"], ["--load-test", "0"]])
def test_impossible_settings_are_refused(words, capsys):
    with pytest.raises(SystemExit) as caught:
        server.main(words)
    assert caught.value.code == 2 and "setting" in capsys.readouterr().err
