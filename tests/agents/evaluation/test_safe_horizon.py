"""Dreams that are the game, or pay too much from some step on, have a known safe horizon."""

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from agents.evaluation import safe_horizon as module
from agents.evaluation.safe_horizon import (
    HorizonReturns,
    agree,
    play_same_starts,
    returns_from_same_starts,
    safe_horizon,
)
from collectors.action_space import ActionSpace
from collectors.policies.policies import make_policy
from collectors.worlds.table import find_world
from neural_envs.vector_env import NeuralVectorEnv
from tests.neural_envs.test_dream_actions import SPACES, bundle_of

HORIZONS = (8, 16, 32, 64)


class StepGame(VectorEnv):
    """The frame is the number of steps so far; action 1 pays 1, from step `late` on `bonus` more.

    It ends after `length` steps. A reset may give the frames to go on from.
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP}

    def __init__(self, lanes=4, length=100, late=10**6, bonus=0.0):
        self.num_envs, self.length, self.late, self.bonus = lanes, length, late, bonus
        self.single_observation_space = Box(0, 255, (4, 4, 1), np.uint8)
        self.single_action_space = Discrete(2)
        self.observation_space = batch_space(self.single_observation_space, lanes)
        self.action_space = batch_space(self.single_action_space, lanes)
        self.given = None

    def reset(self, *, seed=None, options=None):
        self.steps = np.zeros(self.num_envs, int)
        if options:
            self.given = options["context"]
            self.steps = self.given["frames"][:, -1, 0, 0, 0].astype(int)
        return self._frames(), {}

    def step(self, actions):
        rewards = (np.asarray(actions) == 1) + self.bonus * (self.steps >= self.late)
        self.steps += 1
        done = self.steps >= self.length
        self.steps[done] = 0
        return self._frames(), rewards.astype(float), done, np.zeros_like(done), {}

    def _frames(self):
        shape = self.observation_space.shape
        return np.broadcast_to(self.steps[:, None, None, None], shape).astype(np.uint8)


def played(dream: VectorEnv, real: VectorEnv | None = None, warm_up: int = 3) -> HorizonReturns:
    policy = make_policy("random", 2)
    return returns_from_same_starts(policy, real or StepGame(), dream, warm_up, HORIZONS, seed=5)


def test_a_dream_that_is_the_game_earns_the_same_at_every_horizon():
    dream = StepGame()
    returns = played(dream)
    assert np.array_equal(returns.dream, returns.real) and returns.real[:, -1].min() > 16
    assert safe_horizon(returns) == 64


def test_the_dream_begins_with_the_frames_and_actions_of_the_real_game():
    dream = StepGame()
    played(dream)
    assert dream.given["frames"][:, :, 0, 0, 0].tolist() == [[0, 1, 2, 3]] * 4
    assert dream.given["actions"].shape == (4, 3)
    played(dream, warm_up=0)
    assert dream.given["frames"].shape[:2] == (4, 1) and dream.given["actions"].shape == (4, 0)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_dream_of_any_actions_goes_on_from_those_of_the_real_game(space):
    limit = {"autoreset_mode": "SameStep", "max_episode_steps": 20}
    real, dream = (NeuralVectorEnv(3, bundle_of(space), **limit) for _ in range(2))
    policy = make_policy("random", ActionSpace.from_gymnasium(space).for_policies)
    for warm_up in (0, 2):
        returns = returns_from_same_starts(policy, real, dream, warm_up, (2, 4), seed=5)
        assert returns.real_steps.tolist() == returns.dream_steps.tolist() == [4] * 3


def test_a_dream_that_pays_too_much_is_safe_until_then():
    assert safe_horizon(played(StepGame(late=16, bonus=3.0))) == 8
    assert safe_horizon(played(StepGame(late=34, bonus=3.0))) == 16 * 2


def test_what_agrees_again_behind_a_disagreement_is_not_safe():
    horizons = np.array([8, 16, 32])
    real = np.tile([2.0, 4.0, 8.0], (5, 1))
    dream = np.tile([2.0, 9.0, 8.0], (5, 1))
    assert safe_horizon(HorizonReturns(horizons, dream, real, *[np.full(5, 32)] * 2)) == 8


def test_a_difference_within_the_noise_of_the_games_ends_nothing():
    real = np.array([[0.0, 10.0], [0.0, 10.0], [1.0, 10.0]])
    dream = np.array([[0.0, 10.0], [1.0, 10.0], [1.0, 10.0]])
    returns = HorizonReturns(np.array([8, 16]), dream, real, *[np.full(3, 16)] * 2)
    assert not agree(2 / 3, 1 / 3) and safe_horizon(returns) == 16
    assert safe_horizon(HorizonReturns(returns.horizons[:1], dream[:, :1], real[:, :1],
                                       *[np.full(3, 8)] * 2)) is None  # fmt: skip


def test_horizons_at_which_nobody_has_earned_anything_say_nothing():
    dream, real = np.tile([0.0, 3.0], (8, 1)), np.zeros((8, 2))
    returns = HorizonReturns(np.array([8, 16]), dream, real, *[np.full(8, 16)] * 2)
    assert safe_horizon(returns) is None


def test_horizons_that_no_game_reaches_say_nothing():
    short = played(StepGame(length=20), StepGame(length=20))
    assert short.real_steps.tolist() == [17] * 4
    assert short.reached() == 3 and safe_horizon(short) == 32


def test_games_that_end_in_the_warm_up_are_a_sentence():
    with pytest.raises(ValueError, match="every game ended within the dream's context"):
        played(StepGame(), StepGame(length=2))


def test_what_a_file_holds_is_checked():
    values = played(StepGame()).as_dict()
    assert np.array_equal(HorizonReturns.from_dict(values).dream, played(StepGame()).dream)
    with pytest.raises(ValueError, match="numbers"):
        HorizonReturns.from_dict({**values, "real": values["real"][1:]})


@pytest.mark.parametrize(
    ("dreamed", "same"), [(8.0, True), (12.5, True), (7.9, False), (12.6, False)]
)
def test_returns_agree_from_a_ratio_of_four_fifths_to_its_inverse(dreamed, same):
    assert agree(dreamed, 10) is same and agree(-dreamed, -10) is same
    assert not agree(dreamed, -10)


def test_the_released_dream_and_its_game_are_played_from_the_same_boards(monkeypatch):
    monkeypatch.setattr(module, "HORIZONS", (2, 4))
    policy = make_policy("astar", 4, world=find_world("snake"))
    returns = play_same_starts(policy, "snake", None, lanes=3, seed=1, real_settings={})
    assert returns.horizons.tolist() == [2, 4] and np.array_equal(returns.dream, returns.real)
