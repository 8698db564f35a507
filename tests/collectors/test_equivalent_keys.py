"""Keys that a world's row calls equivalent have the same effect in its real game."""

import importlib.util

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

import collectors  # noqa: F401  registers the ids
from collectors.policies.equivalent_keys import EquivalentKeyPolicy, equivalent_keys_of
from collectors.policies.policies import Policy, make_policy

STEPS = {"snake": 40, "pong": 400, "coinrun": 20}
NO_ENGINE = pytest.mark.skipif(importlib.util.find_spec("envpool") is None, reason="no engine")


@pytest.mark.parametrize("world", ["snake", "pong", pytest.param("coinrun", marks=NO_ENGINE)])
def test_the_game_treats_equivalent_keys_alike(world):
    keys, lanes = equivalent_keys_of(world), 6
    title = {"snake": "Snake", "pong": "Pong", "coinrun": "CoinRun"}[world]
    plain, other = (
        gymnasium.make_vec(f"Real{title}-v0", lanes, autoreset_mode=AutoresetMode.SAME_STEP)
        for _ in range(2)
    )
    frames = plain.reset(seed=5)[0]
    other.reset(seed=5)
    generator, replaced = np.random.default_rng(0), 0
    action = np.zeros(lanes, np.int64)
    for _ in range(STEPS[world]):
        fresh = generator.integers(plain.single_action_space.n, size=lanes)
        action = np.where(generator.random(lanes) < 0.15, fresh, action)
        effects = keys(frames)[np.arange(lanes), action]
        replaced += int((effects != action).sum())
        frames, *outcome = plain.step(effects)
        others, *same = other.step(action)
        np.testing.assert_array_equal(frames, others)
        np.testing.assert_array_equal(outcome[0], same[0])
        np.testing.assert_array_equal(outcome[1], same[1])
    assert replaced > 10


def test_a_world_without_such_keys_or_without_a_row_has_no_function():
    assert equivalent_keys_of("worldmap") is None and equivalent_keys_of("unheard-of") is None


class Holding(Policy):
    """Holds one key."""

    name = "holding"

    def __init__(self, key):
        self.key = key

    def reset(self, generator):
        pass

    def __call__(self, observation):
        return self.key


@pytest.mark.parametrize(("key", "pressed"), [(0, {2}), (1, {1}), (2, {0})])
def test_the_player_presses_another_key_of_the_same_effect_where_there_is_one(key, pressed):
    policy = EquivalentKeyPolicy(Holding(key), lambda frames: np.array([[0, 1, 0]]), 1.0)
    policy.reset(np.random.default_rng(0))
    assert {policy(np.zeros((4, 4, 3), np.uint8)) for _ in range(20)} == pressed


def test_coinruns_player_presses_dead_keys_in_a_share_of_the_steps():
    policy = make_policy("equivalent:0.3", 15, "coinrun")
    policy.reset(np.random.default_rng(0))
    actions = np.array([policy(np.zeros((64, 64, 3), np.uint8)) for _ in range(1000)])
    assert 0.25 < (actions >= 9).mean() < 0.35


def test_many_lanes_press_what_each_would_press_alone():
    policy = make_policy("equivalent", 4, world="snake")
    env = gymnasium.make("collectors:RealSnake-v0")
    frames = np.stack([env.reset(seed=seed)[0] for seed in range(6)])
    batch = policy.batch(6)
    batch.reset(np.ones(6, bool), [np.random.default_rng(lane) for lane in range(6)])
    together = np.stack([batch(frames) for _ in range(8)], 1)
    for lane, frame in enumerate(frames):
        policy.reset(np.random.default_rng(lane))
        assert [policy(frame) for _ in range(8)] == together[lane].tolist()
