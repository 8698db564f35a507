"""An exported site, a plain file server for it, and a Chromium that may ask nobody else."""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import threading
import time

import pytest

from tests.neural_envs.test_dream_actions import BOX, bundle_of
from world_models.bundles.bundle import save_bundle

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
needs_chromium = [
    pytest.mark.browser,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium: apt install chromium"),
]
BUNDLES = ("snake", "pong", "coinrun", "worldmap")
PATIENCE = 90_000  # milliseconds; a busy machine takes its time
SEED = 7


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words) -> None:
        pass


@pytest.fixture(scope="session")
def agent(tmp_path_factory):
    """The file of an untrained agent that sees the last two frames of Snake."""
    from agents.ppo import policy_file
    from agents.ppo.presets import PPOSettings

    stored = {"frames": [6, 64, 64], "actions": 4, "lanes": 1, "num_timesteps": 0}
    model = policy_file.make_ppo(None, PPOSettings(features_dim=16, width=4, stack=2), 0, stored)
    path = tmp_path_factory.mktemp("untrained") / "policy.zip"
    return str(policy_file.save_policy(model, path, policy_file.Origin("snake")))


def save_dream(space, kind: str, folder) -> str:
    """A bundle of a random model of the world "tiny" as a directory, as training leaves one."""
    bundle = bundle_of(space, kind)
    save_bundle(folder, bundle.model, bundle.contexts, {}, {})
    (folder / "README.md").write_text("a card")
    return str(folder)


@pytest.fixture(scope="session")  # exporting takes minutes
def site(tmp_path_factory, agent):
    """The exported folder, with a dream of a Box of actions; $NEURAL_ENVS_SITE is one that is there
    already.
    """
    pytest.importorskip("onnxscript")
    from neural_envs.cli import trained_agent
    from neural_envs.web_export import command
    from neural_envs.web_export.config import ExportWebConfig
    from neural_envs.web_export.runtime import RuntimeCopyError

    given = os.environ.get("NEURAL_ENVS_SITE")
    if given:
        return given
    folder = tmp_path_factory.mktemp("site")
    bundles = (*BUNDLES, save_dream(BOX, "chance", tmp_path_factory.mktemp("box") / "mine"))
    try:
        config = ExportWebConfig(bundles, str(folder), (agent,), overwrite=True)
        command.run(config, trained_agent)
    except RuntimeCopyError as error:
        pytest.skip(str(error))
    return str(folder)


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=site)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with pytest.importorskip("playwright.sync_api").sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def new_page(browser, address):
    """Makes pages that may ask for nothing but files of the site, and may not complain."""
    complaints, foreign, contexts = [], [], []

    def route(request):
        if request.request.url.startswith(address):
            return request.continue_()
        foreign.append(request.request.url)
        return request.abort()

    def make(**options):
        context = browser.new_context(**{"viewport": {"width": 1360, "height": 860}, **options})
        context.route("**/*", route)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda m: m.type == "error" and complaints.append(m.text))
        contexts.append(context)
        return page

    yield make
    for context in contexts:
        context.close()
    assert complaints == [] and foreign == []


def shows(page, selector: str, text: str) -> None:
    """Wait until the element holds this text."""
    wait_for(lambda: text in (page.text_content(selector) or ""))


def views(page, count: int) -> None:
    """Wait until so many frames are side by side."""
    wait_for(lambda: page.locator("#views canvas").count() == count)


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def step_of(page) -> int:
    return int(page.text_content("#step").split("/")[0])


def pixels(page) -> str:
    return page.eval_on_selector("#views canvas", "canvas => canvas.toDataURL()")
