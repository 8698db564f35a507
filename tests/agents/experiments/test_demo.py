import gymnasium as gym
import numpy as np

from agents.evaluation.play import summarise
from agents.evaluation.twin_film import play_film
from agents.experiments import demo
from agents.experiments.demo import DemoConfig
from collectors.policies.policies import make_policy
from tests.agents.experiments.test_transfer import episodes


def test_a_film_begins_with_the_first_frame_and_has_at_most_the_frames_asked_for():
    first, _ = gym.make("collectors:RealSnake-v0").reset(seed=4)
    game = play_film(
        gym.make("collectors:RealSnake-v0"), make_policy("astar", 4, "snake"), frames=9, seed=4
    )
    film = game.frames
    assert film.shape == (9, 64, 64, 3) and film.dtype == np.uint8
    assert np.array_equal(film[0], first) and game.total >= 0
    assert str(game).startswith("8 steps") and str(game).endswith("still going on")


def test_the_demo_writes_a_film_and_a_strip_and_prints_a_table(tmp_path, monkeypatch, capsys):
    played = {
        name: summarise(episodes(mean))
        for name, mean in (("random", -1.0), ("learned in the dream", 3.0))
    }
    monkeypatch.setattr(demo, "learn_and_measure", lambda config: played)
    assert demo.main(["--out", str(tmp_path), "--frames", "8"]) == 0
    assert (tmp_path / "strip.png").stat().st_size > 0
    assert (tmp_path / "dream_vs_real.mp4").exists() or (tmp_path / "dream_vs_real.gif").exists()
    assert "learned in the dream" in capsys.readouterr().out


def test_a_missing_bundle_ends_the_demo_with_one_sentence(tmp_path, capsys):
    assert demo.main(["--out", str(tmp_path), "--bundle", "./nowhere"]) == 1
    assert "nowhere" in capsys.readouterr().err


def test_the_defaults_fit_into_two_minutes():
    assert DemoConfig().seconds <= 60
