import hashlib
from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium.spaces import Box
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecFrameStack

from agents.evaluation import play, ranking
from agents.evaluation.play import (
    Episodes,
    ModelAgent,
    PolicyAgent,
    evaluate_policy,
    make_agent,
    play_episodes,
    play_policy,
    summarise,
)
from agents.evaluation.ranking import rank_policies, ranked_policies
from agents.ppo.vec_env import SB3VecEnv
from collectors.policies.policies import Policy, make_policy
from collectors.worlds.table import WORLDS
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


def test_events_are_the_steps_with_a_positive_reward():
    played = play_episodes(CountingVectorEnv([3, 5], [1, -1]), Still(), episodes=2, seed=0)
    assert dict(zip(played.lengths, played.events, strict=True)) == {3: 3, 5: 0}
    assert dict(zip(played.lengths, played.returns, strict=True)) == {3: 3, 5: -5}


def test_a_horizon_counts_an_episode_once_and_cuts_its_return():
    played = play_episodes(
        CountingVectorEnv([4, 30], [1, 1]), Still(), episodes=4, seed=0, horizon=10
    )
    assert sorted(played.lengths) == [4, 4, 10, 10]
    assert sorted(played.returns) == [4, 4, 10, 10]


def test_each_lane_has_a_policy_with_a_random_stream_of_its_own():
    agent = PolicyAgent(make_policy("random", 4), num_envs=2, seed=0)
    agent.reset(np.ones(2, dtype=bool))
    frames = np.zeros((2, 16, 16, 3), dtype=np.uint8)
    first, second = np.array([agent(frames) for _ in range(50)]).T
    assert not np.array_equal(first, second)


class Recorder(BaseAlgorithm):
    """A stand-in for a trained model that keeps what it is shown."""

    def __init__(self, shape):
        self.observation_space, self.shown = Box(0, 255, shape, np.uint8), []

    def predict(self, observations, deterministic=False):
        self.shown.append(observations.copy())
        return np.zeros(len(observations), int), None

    _setup_model = learn = None


def test_a_model_of_several_frames_sees_what_it_saw_in_training():
    lengths, actions = [3, 5], np.zeros(2, int)
    trained = VecFrameStack(SB3VecEnv(CountingVectorEnv(lengths, [1, 1])), 4, channels_order="last")
    expected = [trained.reset(), *(trained.step(actions)[0] for _ in range(9))]
    model = Recorder((12, 16, 16))
    play_episodes(CountingVectorEnv(lengths, [1, 1]), ModelAgent(model), episodes=4, seed=0)
    assert len(model.shown) == 10
    assert all(np.array_equal(a, b) for a, b in zip(model.shown, expected, strict=True))


def test_a_model_of_one_frame_is_shown_it_unchanged():
    model = Recorder((3, 16, 16))
    play_episodes(CountingVectorEnv([3], [1]), ModelAgent(model), episodes=1, seed=0)
    assert [frames.max() for frames in model.shown] == [0, 1, 2]


def test_a_batched_policy_plays_all_lanes_at_once_and_is_reset_where_episodes_begin():
    class Players:
        calls = []

        def reset(self, mask, generators):
            self.calls.append((mask.tolist(), len(generators)))

        def __call__(self, observations):
            return np.zeros(len(observations), int)

    policy = type("Batched", (Policy,), {"batch": lambda self, lanes: Players()})()
    agent = make_agent(policy, 2, seed=0)
    play_episodes(CountingVectorEnv([2, 4], [1, 1]), agent, episodes=2, seed=0)
    assert Players.calls == [([True, True], 2), ([True, False], 2), ([True, True], 2)]


def test_a_world_that_is_not_in_the_table_has_no_ranking():
    assert "ALE/Pong-v5" in rank_policies("ALE/Pong-v5")["omitted"]


def test_a_ranking_plays_the_dream_with_its_settings_and_the_game_with_its_own(monkeypatch):
    played = {}

    def keep(policy, env_id, episodes, seed, horizon, **settings):
        played[env_id] = settings
        return Episodes(*[np.arange(episodes)] * 3)

    monkeypatch.setattr(ranking, "play_policy", keep)
    rank_policies("snake", {"bundle": "runs/a", "device": "cuda"}, 4, real_options=("apples=2",))
    assert played == {
        "neural_envs:NeuralSnake-v0": {"bundle": "runs/a", "device": "cuda"},
        "collectors:RealSnake-v0": {"apples": 2},
    }


def test_a_ranking_says_which_agents_played(monkeypatch, tmp_path):
    file = tmp_path / "policy.zip"
    file.write_bytes(b"weights")
    trained = SimpleNamespace(num_timesteps=7)
    monkeypatch.setattr("agents.ppo.train.load_policy", lambda path: trained)
    monkeypatch.setattr(
        ranking, "play_policy", lambda *words, **settings: Episodes(*[np.arange(4)] * 3)
    )
    first, *_, last = rank_policies("snake", episodes=4, agents=(str(file),))["policies"]
    assert last["trained_steps"] == 7 and "trained_steps" not in first
    assert last["sha256"] == hashlib.sha256(b"weights").hexdigest()


@pytest.mark.parametrize("name", ["snake", "pong", "worldmap", "coinrun"])
def test_every_world_ranks_eight_policies_or_more_from_random_on(name):
    names = ranked_policies(name, ["agent.zip"])
    assert len(names) >= 9 and names[0] == "random" and names[-1] == "agent.zip"
    assert len(WORLDS[name].ranking) >= 8


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


def test_the_games_are_those_of_their_seeds_whatever_the_lanes(monkeypatch):
    def lengths(episodes: int, seed: int, lanes: int) -> list[int]:
        monkeypatch.setattr(play, "MAX_LANES", lanes)
        policy, game = make_policy("astar", 4, world=WORLDS["snake"]), "collectors:RealSnake-v0"
        return play_policy(policy, game, episodes, seed, horizon=30).events.tolist()

    seven = lengths(7, 3, lanes=64)
    assert len(seven) == 7 and len(set(seven)) > 1
    assert lengths(7, 3, lanes=2) == lengths(7, 3, lanes=3) == seven
    assert lengths(3, 5, lanes=64) == seven[2:5]
