"""The probe recognizes actions in real frames, as well in frames dreamed correctly, and not in a
frozen dream.
"""

import json

import numpy as np
import pytest
import torch
from snake_doubles import CopySnake, PerfectSnake
from test_evaluation import dataset, evaluated  # noqa: F401  (the recording is a fixture)

from world_models.evaluation.action_probe import ProbingEvaluator, train_probe
from world_models.evaluation.test_split import SplitReader


@pytest.fixture(scope="module")
def figures(dataset):  # noqa: F811
    doubles = {"perfect": PerfectSnake(8), "frozen": CopySnake(8)}
    return {
        name: evaluated(double, dataset, ProbingEvaluator(double.spec))[0]["action_sensitivity"]
        for name, double in doubles.items()
    }


def test_a_dream_that_moves_right_tells_its_action_as_the_game_does(figures):
    perfect = figures["perfect"]
    assert (
        perfect["real"] > perfect["copied"] + 0.2 and abs(perfect["dream"] - perfect["real"]) < 0.05
    )
    assert perfect["dream_random_actions"] > perfect["copied_random_actions"] + 0.2
    json.dumps(figures, allow_nan=False)


def test_a_frozen_dream_tells_no_more_than_the_habits_of_the_players(figures):
    frozen = figures["frozen"]
    assert frozen["dream"] == frozen["copied"] and frozen["dream_random_actions"] < 0.4
    assert frozen["real"] == figures["perfect"]["real"] and frozen["samples"] == 600


def test_a_probe_is_decided_by_its_seed_and_leaves_the_global_generator_alone(dataset):  # noqa: F811
    episodes, before = SplitReader(dataset, 1, "train"), torch.random.get_rng_state()
    first, again, other = (
        train_probe(episodes, 4, seed, transitions=200).state_dict() for seed in (0, 0, 1)
    )
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["action_logits.weight"], other["action_logits.weight"])


def test_an_evaluator_that_is_not_fitted_recognizes_no_actions():
    evaluator, frames = ProbingEvaluator(CopySnake(8).spec), np.zeros((2, 1, 32, 32, 3), np.uint8)
    assert evaluator.decode_batch(frames, frames[:, 0], frames[:, 0], np.zeros(2)) is None
