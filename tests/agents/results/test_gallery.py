"""The moving images of the README: small, sharp, and dream and game side by side."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from agents.results import gallery
from agents.results.gallery import HEAD, SCALE, TOP, Pair, beside, small_gif
from collectors.worlds.table import WORLDS

ROOT = Path(__file__).resolve().parents[3]


def film(steps: int, gray: int) -> np.ndarray:
    return np.full((steps, 8, 8, 3), gray, np.uint8)


@pytest.mark.parametrize(("name", "most"), [("top", 1.5e6), *((world, 1.2e6) for world in WORLDS)])
def test_an_image_of_the_gallery_is_small_and_moves(name, most):
    file = ROOT / gallery.FOLDER / f"{name}.gif"
    assert file.stat().st_size <= most
    with Image.open(file) as image:
        assert image.n_frames > 20 and image.info["loop"] == 0
        assert image.height == 64 * SCALE + HEAD


def test_films_of_two_rates_run_for_as_long_as_they_should():
    slow, fast = Pair(film(11, 9), film(11, 9), 10), Pair(film(61, 9), film(61, 9), 30)
    frames, fps = beside([slow, fast], ["A", "B"])
    assert fps == 15 and len(frames) == round(61 / 30 * 15)


def test_a_shorter_film_waits_on_its_last_frame():
    short = Pair(np.arange(3, dtype=np.uint8)[:, None, None, None] + film(3, 0), film(3, 0), 10)
    frames, _ = beside([short, Pair(film(30, 0), film(30, 0), 10)], ["A", ""])
    assert [frame[HEAD + 1, 1, 0] for frame in frames[:4]] == [0, 1, 2, 2]


def test_colors_of_few_pixels_are_kept():
    noise = np.random.default_rng(0).integers(90, 110, (4, 64, 64, 3), dtype=np.uint8)
    noise[:, 3:5, 3:5] = (255, 0, 0)
    with Image.open(io.BytesIO(small_gif(noise, 10))) as image:
        red, green, _ = image.convert("RGB").getpixel((3, 3))
    assert red > 220 and green < 40


def test_the_first_seed_whose_games_last_is_shown_else_the_longest(monkeypatch):
    lengths = {0: 3, 1: 5, 2: 9, 3: 9}
    tried = []

    def played(config, seconds):
        tried.append(config.seed)
        long = lengths[config.seed]
        return Pair(film(long, config.seed), film(long, 0), 10), long > seconds

    monkeypatch.setattr(gallery, "_played", played)
    assert gallery.play_pair("snake", seconds=8).dream[0, 0, 0, 0] == 2 and tried == [0, 1, 2]
    assert gallery.play_pair("snake", seconds=50, tries=2).dream[0, 0, 0, 0] == 1


def test_the_command_writes_a_film_per_world_and_that_of_the_readme(tmp_path, monkeypatch):
    config = gallery.GalleryConfig(worlds=("snake",), seconds=0.5, out=str(tmp_path))
    monkeypatch.setattr(gallery, "TOP", TOP[:1])
    text = gallery.run(config)
    assert "snake.gif" in text and "top.gif" in text
    with Image.open(tmp_path / "snake.gif") as image:
        assert image.n_frames == 6
