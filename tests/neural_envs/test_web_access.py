"""Who may ask: names, origins, the token; and what every answer carries."""

from __future__ import annotations

import pytest

from neural_envs.web.access import Access, access_for, host_name, same_origin
from neural_envs.web.config import ServeConfig
from tests.neural_envs.web_double import CountingCatalogue, Page

pytest.importorskip("starlette")
pytest.importorskip("httpx2")


def client_of(access: Access, base_url: str = "http://testserver"):
    from starlette.testclient import TestClient

    from neural_envs.web.app import AppState, make_app

    app = make_app(AppState(CountingCatalogue(), 1, 60.0, 1), access)
    return TestClient(app, base_url=base_url, raise_server_exceptions=False)


@pytest.mark.parametrize(
    ("listens", "asked", "status"),
    [
        ("127.0.0.1", "localhost:8000", 200),
        ("127.0.0.1", "[::1]:8000", 200),
        ("127.0.0.1", "rebound.example", 400),
        ("127.0.0.2", "127.0.0.2:8000", 200),
        ("127.0.0.2", "rebound.example", 400),
        ("::1", "[::1]:8000", 200),
        ("[::1]", "[::1]", 200),
        ("::1", "rebound.example:8000", 400),
        ("192.168.1.5", "192.168.1.5:8000", 200),
        ("192.168.1.5", "rebound.example", 400),
        ("0.0.0.0", "rebound.example", 401),
        ("::", "rebound.example", 401),
        ("0.0.0.0", "127.0.0.1:8000", 401),
    ],
)
def test_only_the_names_of_the_server_are_answered(listens, asked, status):
    client = client_of(access_for(listens))
    for path in ("/", "/healthz", "/static/app.js"):
        assert client.get(path, headers={"host": asked}).status_code == status


def test_a_server_on_all_addresses_with_names_answers_under_these():
    client = client_of(access_for("0.0.0.0", ("Dreams.example",)))
    for asked, status in (
        ("dreams.example", 200),
        ("DREAMS.EXAMPLE:443", 200),
        ("localhost", 200),
        ("rebound.example", 400),
        ("dreams.example.rebound.example", 400),
        ("192.168.1.5", 400),
    ):
        assert client.get("/", headers={"host": asked}).status_code == status, asked


def test_the_websocket_is_refused_under_a_foreign_name_too():
    from starlette.testclient import WebSocketDenialResponse

    client = client_of(access_for("127.0.0.1"))
    headers = {"host": "rebound.example"}
    with pytest.raises(WebSocketDenialResponse) as caught:
        with client.websocket_connect("/play", headers=headers):
            pass
    assert caught.value.status_code == 400


def test_without_names_the_token_opens_the_page_and_only_the_token():
    from starlette.testclient import WebSocketDenialResponse

    access = access_for("0.0.0.0")
    client = client_of(access)
    assert len(access.token) >= 32
    for wrong in ("/", "/?token=", "/?token=wrong", "/?token=%C3%A9"):
        assert client.get(wrong).status_code == 401
    with pytest.raises(WebSocketDenialResponse), client.websocket_connect("/play"):
        pass
    answer = client.post("/api/generate", json={"actions": [0], "bundle": "counting"})
    assert answer.status_code == 401
    bearer = {"authorization": f"Bearer {access.token}"}
    assert client.get("/healthz", headers=bearer).status_code == 200

    answer = client.get(f"/?token={access.token}", follow_redirects=False)
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    assert "httponly" in answer.headers["set-cookie"].lower()
    with client:
        client.pages = []
        assert client.get("/").status_code == 200  # the cookie is kept
        page = Page(client)
        page.until(lambda header, _: header["waiting"])
        page.leave()


@pytest.mark.parametrize(
    "path", ["/", "/static/index.html", "/static/nothing", "/nothing", "/api/generate"]
)
def test_every_answer_carries_the_protecting_headers(path):
    for client in (client_of(Access(None)), client_of(access_for("0.0.0.0"))):
        answer = client.get(path)
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_bug_is_a_500_with_the_headers_and_without_its_text(monkeypatch):
    from neural_envs.web.app import AppState

    async def broken(self, request):
        raise KeyError("/home/somebody/secret")

    monkeypatch.setattr(AppState, "health", broken)
    answer = client_of(Access(None)).get("/healthz")
    assert answer.status_code == 500 and "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("origin", ["http://[", "http://evil.example", "null", "http://a]b", "://"])
def test_a_foreign_or_malformed_origin_is_refused_everywhere(serve, origin):
    from starlette.websockets import WebSocketDisconnect

    client, headers = serve(), {"origin": origin}
    address = f"/dreams/{Page(client).hello['token']}"
    assert client.post(address, content=b"PK", headers=headers).status_code == 403
    answer = client.post("/api/generate", json={"actions": [0]}, headers=headers)
    assert answer.status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/play", headers=headers):
        pass  # it is closed at once where it was let in


def test_names_in_headers_are_read_as_addresses():
    for header, name in (
        ("localhost:8000", "localhost"),
        ("[::1]:8000", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("a@localhost", ""),
        ("localhost/x", ""),
        ("localhost:x", ""),
        ("[::1", ""),
        ("", ""),
    ):
        assert host_name(header) == name, header
    assert same_origin({}) and same_origin({"origin": "http://[::1]:8", "host": "[::1]:8"})


def test_a_pattern_is_no_name():
    with pytest.raises(ValueError, match="token"):
        ServeConfig(names=("*",))


@pytest.mark.parametrize("idle", [float("nan"), float("inf"), 0.0])
def test_an_idle_time_that_is_no_time_is_refused(idle):
    with pytest.raises(ValueError, match="idle"):
        ServeConfig(idle=idle)


def test_bundles_of_one_folder_name_are_told_apart_and_no_path_is_shown(tmp_path, monkeypatch):
    import shutil

    from neural_envs.bundles import resolve_bundle
    from neural_envs.web.catalogue import BundleCatalogue

    folders = [tmp_path / "one" / "snake", tmp_path / "two" / "snake"]
    for folder in folders:
        shutil.copytree(resolve_bundle("snake"), folder)
    catalogue = BundleCatalogue([str(folder) for folder in folders])
    own = [info.name for info in catalogue.ordered()[-2:]]
    assert own == ["one-snake", "two-snake"] and catalogue.bundles["snake"].source == "snake"
    assert not any("/" in name for name in catalogue.bundles)
