"""A strip shows a dream and its game from the same start."""

import numpy as np
from PIL import Image

from agents.results.strips import Strip, depth_strip, write_depths


def test_dream_and_game_begin_with_the_same_frames_under_the_same_player():
    strip = depth_strip("pong", depths=(1, 4), lanes=2)
    assert strip.policy == "scripted" and strip.longest == 4
    for dreamed, real in zip(strip.dream, strip.real, strict=True):
        assert np.abs(dreamed.astype(int) - real).mean() < 1  # the ball flies on as in the game


def test_a_game_that_is_not_ours_is_not_played_unless_it_is_named(monkeypatch):
    monkeypatch.setattr("agents.results.strips.WORLDS", {})
    monkeypatch.setattr("agents.results.strips._real_game", None)
    monkeypatch.setattr("agents.results.strips.policies_of", lambda world: ("random",))
    assert depth_strip("snake", depths=(1,), lanes=1).real is None


def test_a_strip_of_dreams_that_are_over_at_once_says_so(tmp_path):
    none = Strip((1, 9), [None, None], None, "random", 0)
    frame = np.zeros((16, 16, 3), np.uint8)
    beside = Strip((1, 9), [None, None], [frame, frame], "random", 0)
    sizes = [
        Image.open(write_depths(tmp_path / f"{n}.png", strip)).size
        for n, strip in enumerate((none, beside))
    ]
    assert sizes[0][0] == sizes[1][0] and sizes[0][1] < sizes[1][1]


def test_a_step_behind_the_end_of_a_dream_says_so(tmp_path):
    frame = np.full((16, 16, 3), 90, np.uint8)
    both = [frame, None], [frame, frame]
    image = Image.open(write_depths(tmp_path / "a.png", Strip((1, 9), *both, "random", 3)))
    complete = Image.open(
        write_depths(tmp_path / "b.png", Strip((1, 9), both[1], both[1], "random", 9))
    )
    assert image.size == complete.size and image.tobytes() != complete.tobytes()
