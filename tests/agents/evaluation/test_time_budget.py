"""An evaluation takes no longer than it is given: what does not fit is left out, evenly."""

from dataclasses import replace

import pytest

from agents.evaluation.evaluate_config import EvaluateConfig
from agents.evaluation.time_budget import dreamed_frames, fitted, reduced

ALL = EvaluateConfig(bundle="snake")
FIRST = ALL.first_look()


def seconds(config, rate):
    return sum(dreamed_frames(config, "snake", 2).values()) / rate


def test_a_fast_model_is_measured_whole_and_a_limit_of_nothing_is_none():
    assert fitted(ALL, 1e6, "snake", 2) == ALL and reduced(ALL, ALL) == {}
    assert fitted(replace(ALL, minutes=0), 1e-3, "snake", 2).game_steps == ALL.game_steps


@pytest.mark.parametrize(("config", "rate"), [(ALL, 300), (ALL, 40), (FIRST, 300), (FIRST, 60)])
def test_what_is_dreamed_fits_into_the_minutes_that_are_given(config, rate):
    fewer = fitted(config, rate, "snake", 2)
    assert seconds(fewer, rate) <= 60 * config.minutes < seconds(config, rate) + 60
    assert fewer.game_steps >= 32 and fewer.transitions >= 100 and fewer.horizon == config.horizon
    shrunk = reduced(config, fewer)
    assert config.ranking or not any(name.startswith("ranking") for name in shrunk)
    assert all(done < asked for asked, done in shrunk.values())
    assert bool(shrunk) == (fewer != config)


def test_games_lose_lanes_before_they_lose_steps():
    fewer = fitted(ALL, 500, "snake", 2)
    assert fewer.game_lanes < ALL.game_lanes and fewer.game_steps == ALL.game_steps


def test_a_first_look_takes_at_most_a_minute_and_keeps_counts_that_were_given():
    assert FIRST.minutes == 1 and not FIRST.ranking and not FIRST.all_players
    assert replace(ALL, transitions=40, minutes=0.5).first_look().transitions == 40
    given = {"minutes": 0.5, "kid_frames": 64, "game_lanes": 32, "min_trust": 0.8}
    kept = replace(ALL, **given).first_look()
    assert {name: getattr(kept, name) for name in given} == given and kept.game_steps == 100
