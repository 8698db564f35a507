import numpy as np
import pytest

from agents.evaluate import Episodes, PolicyAgent, evaluate_policy, play_episodes, play_policy, summarise
from agents.ranking import spearman
from collectors.policies import make_policy
from tests.agents.stub_envs import CountingVectorEnv


class Still:
    def reset(self, lanes):
        pass

    def __call__(self, observations):
        return np.zeros(len(observations), dtype=int)


def test_short_episodes_are_not_favoured():
    env = CountingVectorEnv(lengths=[2, 40], rewards=[1, 1])
    played = play_episodes(env, Still(), episodes=10, seed=0)
    assert sorted(played.lengths) == [2] * 5 + [40] * 5
    assert played.returns.mean() == 21


def test_every_lane_plays_the_same_number_of_episodes_even_if_that_is_more_than_asked_for():
    played = play_episodes(CountingVectorEnv([2, 3, 4], [1, 1, 1]), Still(), episodes=4, seed=0)
    assert sorted(played.lengths) == [2, 2, 3, 3, 4, 4]


def test_apples_are_the_steps_with_a_positive_reward():
    played = play_episodes(CountingVectorEnv([3, 5], [1, -1]), Still(), episodes=2, seed=0)
    assert dict(zip(played.lengths, played.apples, strict=True)) == {3: 3, 5: 0}
    assert dict(zip(played.lengths, played.returns, strict=True)) == {3: 3, 5: -5}


def test_a_horizon_counts_an_episode_once_and_cuts_its_return():
    played = play_episodes(CountingVectorEnv([4, 30], [1, 1]), Still(), episodes=4, seed=0, horizon=10)
    assert sorted(played.lengths) == [4, 4, 10, 10]
    assert sorted(played.returns) == [4, 4, 10, 10]


def test_each_lane_has_a_policy_with_a_random_stream_of_its_own():
    agent = PolicyAgent(make_policy("random", 4), num_envs=2, seed=0)
    agent.reset(np.ones(2, dtype=bool))
    frames = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    first, second = np.array([agent(frames) for _ in range(50)]).T
    assert not np.array_equal(first, second)


def test_the_interval_holds_the_mean_and_narrows_with_more_episodes():
    generator = np.random.default_rng(0)
    few, many = (Episodes(*[generator.integers(0, 9, size)] * 3) for size in (20, 2000))
    small, large = summarise(few), summarise(many)
    assert small.return_ci[0] < small.return_mean < small.return_ci[1]
    assert np.diff(large.return_ci) < np.diff(small.return_ci) / 5
    assert summarise(few) == small


def test_a_policy_is_measured_in_the_real_game_and_a_seed_repeats_it():
    first = play_policy(make_policy("random", 4), "collectors:RealSnake-v0", episodes=8, seed=3)
    second = play_policy(make_policy("random", 4), "collectors:RealSnake-v0", episodes=8, seed=3)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert evaluate_policy(make_policy("random", 4), "collectors:RealSnake-v0", 8, 3).episodes == 8


def test_rank_correlation_sees_order_only_and_shares_tied_ranks():
    assert spearman([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(0.9486833)
    assert np.isnan(spearman([1, 1, 1], [1, 2, 3]))
