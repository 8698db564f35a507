"""The exported page in a real Chromium, from a plain file server alone: `pytest -m browser`."""

from __future__ import annotations

import os

import numpy as np
import pytest

from neural_envs.replays.replay_file import DreamFile
from tests.neural_envs.web_site import needs_chromium, pixels, shows, step_of, views, wait_for

pytestmark = needs_chromium


def test_keys_snapshots_and_the_seed_in_the_link(address, new_page):
    page = new_page()
    page.goto(f"{address}/#world=snake&seed=5")
    shows(page, "#hint", "begin")
    start = pixels(page)
    page.keyboard.press("p")
    shows(page, "#pause", "Resume")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("n")
    wait_for(lambda: step_of(page) == 1)
    page.click("#take-snapshot")
    page.wait_for_selector(".snapshot")
    one = pixels(page)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("n")
    wait_for(lambda: step_of(page) == 2)
    assert pixels(page) != one != start
    page.click(".snapshot button")
    wait_for(lambda: step_of(page) == 1)
    assert pixels(page) == one
    assert page.text_content("#trust") == "1.00"
    again = new_page()
    again.goto(page.url)
    shows(again, "#hint", "begin")
    assert pixels(again) == start


def test_a_dream_is_saved_watched_again_and_read_by_python(address, new_page, tmp_path):
    page = new_page()
    page.goto(f"{address}/#world=snake&seed=5")
    page.wait_for_selector("#views canvas")
    page.select_option("#player", "random")
    wait_for(lambda: step_of(page) >= 2)
    page.click("#pause")
    with page.expect_download() as download:
        page.click("#save")
    path = tmp_path / "saved.dream"
    download.value.save_as(path)
    file = DreamFile.load(path)
    assert file.world == "snake" and len(file.actions) >= 2
    page.set_input_files("#file", path)
    shows(page, "#state", "a file")
    wait_for(lambda: "end of the file" in page.text_content("#hint") or step_of(page) >= 2)
    (tmp_path / "other.dream").write_bytes(b"no dream")
    page.set_input_files("#file", tmp_path / "other.dream")
    shows(page, "#toast", "cannot be watched: it is no zip archive")


@pytest.mark.parametrize("world", ["snake", "pong", "worldmap"])
def test_the_real_game_beside_the_dream_begins_where_the_dream_does(world, address, new_page):
    page = new_page()
    page.goto(f"{address}/#world={world}&seed=5")
    page.wait_for_selector("#views canvas")
    page.click("#pause")
    shows(page, "#pause", "Resume")
    page.check("#show-real")
    page.check("#show-difference")
    views(page, 3)
    images = "cs => cs.map((c) => [...c.getContext('2d').getImageData(0, 0, 64, 64).data])"
    dream, real, difference = np.array(page.eval_on_selector_all("#views canvas", images))
    assert np.array_equal(dream, real) and difference.reshape(-1, 4)[:, :3].max() < 80
    page.keyboard.press("ArrowDown")
    page.click("#single-step")
    wait_for(lambda: step_of(page) == 1)
    dream, real, _ = np.array(page.eval_on_selector_all("#views canvas", images))
    assert np.abs(dream - real).mean() < 30
    page.click("#resync")
    shows(page, "#hint", "goes on from the real game at step 1")
    page.uncheck("#show-difference")
    page.uncheck("#show-real")
    views(page, 1)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 768)])
def test_the_score_is_in_sight_below_three_views(width, height, address, new_page):
    page = new_page(viewport={"width": width, "height": height})
    page.goto(f"{address}/#world=snake")
    page.wait_for_selector("#views canvas")
    page.check("#show-real")
    page.check("#show-difference")
    views(page, 3)
    score = page.locator("#hud").bounding_box()
    assert score["y"] + score["height"] <= height


def test_a_world_without_a_real_game_here_offers_none(address, new_page):
    page = new_page()
    page.goto(f"{address}/#world=coinrun")
    page.wait_for_selector("#views canvas")
    assert not page.is_visible("#compare")


@pytest.mark.skipif("NEURAL_ENVS_SITE" in os.environ, reason="its dreams are others")
@pytest.mark.parametrize("touch", [False, True], ids=["keys", "buttons"])
def test_actions_in_parts_are_played_by_keys_together_and_by_buttons(
    touch, address, new_page, tmp_path
):
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=touch, is_mobile=touch)
    page.goto(f"{address}/#world=tiny&seed=5")
    page.wait_for_selector("#views canvas")
    page.click("#pause")
    shows(page, "#pause", "Resume")
    begin = step_of(page)
    if touch:
        page.tap("#pad button[title='push 1']")
    else:
        page.keyboard.down("ArrowLeft")
        page.keyboard.down("ArrowUp")
    for step in (1, 2):
        page.click("#single-step")
        wait_for(lambda step=step: step_of(page) == begin + step)
    with page.expect_download() as download:
        page.click("#save")
    path = tmp_path / "saved.dream"
    download.value.save_as(path)
    expected = [[0, 1], [0, 0]] if touch else [[-2, 0], [-2, 1]]
    assert DreamFile.load(path).actions[-2:].tolist() == expected
    assert touch or page.text_content("#own-keys").endswith("right: turn 2, up: push 1")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_touching_the_pad_plays_on_a_phone(address, new_page):
    page = new_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    page.goto(f"{address}/#world=pong")
    wait_for(lambda: page.locator("#pad button:visible").count() == 2)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wait_for(lambda: step_of(page) >= 1)
    page.tap("#pad button[title=up]")
    wait_for(lambda: step_of(page) >= 3)


@pytest.mark.parametrize("lacking", ["WebAssembly", "DecompressionStream", "OffscreenCanvas"])
def test_an_old_browser_is_told_what_it_lacks(lacking, address, new_page):
    page = new_page()
    page.add_init_script(f"delete window.{lacking};")
    page.goto(address)
    shows(page, "#hint", f"it lacks {lacking}")
    assert page.text_content("#state") == "cannot play"


def test_a_page_that_was_opened_as_a_file_says_that_it_needs_a_server(site, browser):
    page = browser.new_page()
    page.goto(f"file://{site}/index.html")
    shows(page, "#hint", "only from a server, as that of: python -m http.server")
    page.close()
