"""The counting double under the bundle name "counting", so that gym.make, specs and pickles find
it.
"""

from __future__ import annotations

import pytest

from neural_envs import bundles
from tests.neural_envs.web_site import address, agent, browser, new_page, site
from tests.oracles import counting_bundle

__all__ = ["address", "agent", "browser", "new_page", "site"]  # of those tests that want a browser


@pytest.fixture
def counting(monkeypatch):
    """The name of a bundle of the counting model."""
    bundle, load = counting_bundle(), bundles.load
    monkeypatch.setattr(
        bundles,
        "load",
        lambda name, device="cpu": bundle if name == "counting" else load(name, device),
    )
    return "counting"


@pytest.fixture
def serve():
    """serve(bundle, ...) makes a client of the page's server, which lives until the test is
    over.
    """
    pytest.importorskip("starlette")
    pytest.importorskip("httpx2")
    from starlette.testclient import TestClient

    from neural_envs.web.access import Access
    from neural_envs.web.app import AppState, make_app
    from tests.neural_envs.web_double import CountingCatalogue

    clients = []

    def make(*released: str, connections: int = 2, idle: float = 60.0, per_address: int = 4):
        state = AppState(CountingCatalogue(*released), connections, idle, 2, per_address)
        clients.append(TestClient(make_app(state, Access(None))).__enter__())
        clients[-1].pages = []
        return clients[-1]

    yield make
    for client in clients:
        for page in client.pages:
            page.leave()
        client.__exit__(None, None, None)


@pytest.fixture
def window(monkeypatch, tmp_path):
    """A window, unseen, on the doubles of a dream and a real game."""
    import pygame

    from neural_envs.play.window import PlayWindow, open_display
    from tests.neural_envs.walk_doubles import make_session

    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    monkeypatch.chdir(tmp_path)
    open_display()
    made = PlayWindow(make_session(real=True), "walk", "homing", fps=1000)
    yield made
    made.stop_recording()
    pygame.display.quit()
