"""Dreams that are cut where trust is low, beside whole ones and the game."""

import numpy as np

from tests.agents.stub_envs import CountingVectorEnv
from world_models.evaluation.evaluator import Evaluator
from world_models.evaluation.game_play import play_game
from world_models.evaluation.low_trust import min_trust_figures
from world_models.protocols import WorldSpec

COUNTING = Evaluator(WorldSpec("counting", (16, 16, 3), ("a", "b", "c", "d"), (0.0,), 10, 1000))


class Still:
    def reset(self, lanes):
        pass

    def __call__(self, observations):
        return np.zeros(len(observations), np.int64)


def play(lengths):
    """Lanes with an odd number are truncated, which is how a dream is cut."""
    return play_game(CountingVectorEnv(lengths, [1.0] * len(lengths)), Still(), COUNTING, 20, 0)


def test_cuts_are_counted_and_both_kinds_of_dreams_stand_beside_the_game():
    whole = play([20, 40, 20, 40])
    figures = min_trust_figures(play([20, 5, 20, 5]), whole, whole, 1000, np.random.default_rng(0))
    assert figures["cuts_per_1000"]["value"] == 100 and figures["cuts_per_1000"]["samples"] == 4
    assert figures["without"]["return"]["value"] == 1
    assert figures["with"]["return"]["dream"]["value"] == 12.5
    assert figures["with"]["length"]["value"] == 12.5 / 20
    assert set(figures["with"]) == {"return", "length", "events_per_1000"}
