"""The page in a real Chromium, against a server of its own: `pytest -m browser`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")
pytest.importorskip("starlette")
ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (found := shutil.which(name))
    ),
    "",
)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium: apt install chromium"),
]
PATIENCE = 90_000  # milliseconds; a busy machine takes its time


@contextmanager
def served(*words: str):
    """The address of a server for one connection."""
    command = [sys.executable, "-m", "neural_envs.cli", "serve", "--port", "0"]
    command += ["--connections", "1", *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    try:
        yield process.stdout.readline().split()[1]
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def address():
    """Where a server for one connection listens."""
    with served() as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])


@pytest.fixture
def page(browser, address):
    """The page on a large screen, playing Snake, without an error in its console."""
    complaints = []
    page = browser.new_page(viewport={"width": 1360, "height": 860})
    page.set_default_timeout(PATIENCE)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.goto(f"{address}/#snake")
    shows(page, "#hint", "begin")
    yield page
    page.close()
    wait_for(lambda: connections(address) == 0)
    assert complaints == []


@pytest.fixture
def new_phone(browser, address):
    """Makes a page on a touch screen of some size, which waits for a touch to play Snake."""
    contexts = []

    def make(width: int, height: int):
        contexts.append(
            browser.new_context(
                viewport={"width": width, "height": height}, has_touch=True, is_mobile=True
            )
        )
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/#snake")
        shows(page, "#hint", "Touch")
        return page

    yield make
    for context in contexts:  # the server has room for one page: a failed test leaves it too
        context.close()
    wait_for(lambda: connections(address) == 0)


def connections(address: str) -> int:
    return json.load(urllib.request.urlopen(f"{address}/healthz"))["connections"]


def wait_for(condition) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.05)


def pixels(page) -> str:
    return page.eval_on_selector("#views canvas", "canvas => canvas.toDataURL()")


def shows(page, selector: str, text: str) -> None:
    """Wait until the element holds this text."""
    sync_api.expect(page.locator(selector)).to_contain_text(text, timeout=PATIENCE)


def stepped(page, number: int) -> None:
    """Wait for this step of the game, or a later one."""
    wait_for(lambda: int(page.text_content("#step").split("/")[0]) >= number)


def test_the_address_is_a_link_to_the_game_that_is_played(page, address):
    """Seeds of up to ten digits; what is opened is the same dream, and the address stays."""
    seed = 1797231557
    link = f"{address}/#world=snake&bundle=snake&seed={seed}"
    page.fill("#seed", str(seed))
    page.press("#seed", "Enter")
    page.wait_for_url(link)
    first = pixels(page)
    page.goto("about:blank")
    page.goto(link)
    shows(page, "#hint", "begin")
    page.wait_for_url(link)
    assert pixels(page) == first


def test_the_page_loads_and_waits_for_a_key(page):
    assert page.title() == "neural-envs: play a dream"
    assert page.eval_on_selector("#views canvas", "c => [c.width, c.height]") == [64, 64]
    assert (
        page.eval_on_selector("#views canvas", "c => getComputedStyle(c).imageRendering")
        == "pixelated"
    )
    before = pixels(page)
    page.wait_for_timeout(500)
    assert pixels(page) == before and page.text_content("#step") == "0"


def test_keys_move_the_snake(page):
    page.keyboard.press("p")  # steps by hand: no wall is hit while the test looks
    shows(page, "#pause", "Resume")
    before = pixels(page)
    for number, key in enumerate(("ArrowRight", "ArrowDown"), 1):
        page.keyboard.press(key)
        page.keyboard.press("n")
        stepped(page, number)
        assert pixels(page) != before
        before = pixels(page)


def test_keys_of_ones_own_are_said_and_move_the_snake(browser):
    with served("--keys", "right=enter,down=p") as address:
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/#snake")
        shows(page, "#own-keys", "Keys: w: up, p: down, a: left, enter: right")
        shows(page, "#hint", "Press a key of the game to begin")
        page.click("#pause")
        shows(page, "#pause", "Resume")
        for number, key in enumerate(("Enter", "p"), 1):  # P is no command of this game
            before = pixels(page)
            page.keyboard.press(key)
            page.keyboard.press("n")
            stepped(page, number)
            assert pixels(page) != before
        page.close()


def test_a_second_page_over_the_limit_is_refused_and_gets_in_once_the_first_is_closed(
    browser, address
):
    first, second = browser.new_page(), browser.new_page()
    for each in (first, second):
        each.set_default_timeout(PATIENCE)
    first.goto(address)
    first.wait_for_selector("#views canvas")
    second.goto(address)
    second.wait_for_selector("#closed[open]")
    assert second.text_content("#closed-title") == "Busy" and "1 open pages" in second.text_content(
        "#closed-text"
    )
    first.close()  # a dropped connection frees its dream
    wait_for(lambda: connections(address) == 0)
    second.click("#reconnect")
    second.wait_for_selector("#views canvas")
    second.close()
    wait_for(lambda: connections(address) == 0)


def test_real_game_difference_policy_and_snapshots(page):
    page.select_option("#player", "astar")
    page.check("#show-real")
    page.check("#show-difference")
    sync_api.expect(page.locator("#views canvas")).to_have_count(3, timeout=PATIENCE)
    assert page.locator("#views figcaption b").all_text_contents() == [
        "dream",
        "real",
        "difference",
    ]
    stepped(page, 3)
    page.click("#pause")
    shows(page, "#pause", "Resume")
    before, step = pixels(page), page.text_content("#step")
    page.click("#take-snapshot")
    page.wait_for_selector(".snapshot")
    page.click("#single-step")
    wait_for(lambda: page.text_content("#step") != step)
    page.click(".snapshot button")
    wait_for(lambda: page.text_content("#step") == step)
    assert pixels(page) == before


def test_the_page_says_that_a_real_game_is_being_opened(page):
    """In the same turn of the page's script, before any answer can come."""
    page.evaluate("globalThis.at = (id) => document.getElementById(id)")
    words = page.evaluate("(at('show-real').click(), at('hint').textContent)")
    assert "opening the real game" in words
    sync_api.expect(page.locator("#views canvas")).to_have_count(2, timeout=PATIENCE)
    shows(page, "#hint", "begin")


def test_a_dream_is_downloaded_and_watched_again(page, tmp_path):
    page.select_option("#player", "astar")  # at a wall, a key held blindly ends the game at once
    stepped(page, 2)
    with page.expect_download() as download:
        page.click("#save")
    download.value.save_as(tmp_path / "shared.dream")
    assert download.value.suggested_filename.endswith(".dream")
    page.set_input_files("#file", tmp_path / "shared.dream")
    shows(page, "#state", "a file")


def test_touching_the_pad_plays_on_a_phone(new_phone):
    page = new_phone(390, 844)
    assert page.locator("#pad button:visible").count() == 4
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.tap("#pad button[title=right]")
    stepped(page, 1)


@pytest.mark.parametrize("size", [(390, 664), (390, 844), (844, 390)])
def test_on_a_phone_the_dream_its_score_and_all_buttons_are_on_the_screen(new_phone, size):
    width, height = size
    page = new_phone(width, height)
    dream, score, pad = (
        page.locator(one).first.bounding_box()
        for one in ("#views canvas", "#hud > div", "#pad .cross")
    )
    assert dream["width"] >= 0.55 * min(size)
    for box in (dream, score, pad):
        assert box["y"] >= 0 and box["y"] + box["height"] <= height
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
    beside = pad["x"] >= dream["x"] + dream["width"]
    assert beside or max(dream["y"] + dream["height"], score["y"] + score["height"]) <= pad["y"]
    page.select_option("#player", "equivalent")  # the longest name
    shows(page, "#state", "equivalent plays")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.check("#show-real")  # Playwright scrolls to it: the buttons may not cover it there
    page.check("#show-difference")
    sync_api.expect(page.locator("#views canvas")).to_have_count(3, timeout=PATIENCE)
    widths = page.eval_on_selector_all("#views canvas", "all => all.map((one) => one.clientWidth)")
    assert min(widths) >= 0.42 * min(size)
