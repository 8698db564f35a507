import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from stable_baselines3 import PPO

from agents.experiments.explore import Explorer
from agents.ppo.presets import PPOSettings
from collectors.recording.collect import collect

SIDE = 32


@pytest.fixture(scope="module")
def model() -> PPO:
    """An untrained agent of an 8x8 Snake."""
    from agents.ppo.train import make_ppo
    from agents.ppo.vec_env import make_world

    env = make_world("snake", "real", 2, 0, options=("grid_size=8",))
    yield make_ppo(env, PPOSettings(num_envs=2, n_steps=4, batch_size=8), seed=0)
    env.close()


def frames(lanes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (lanes, SIDE, SIDE, 3), dtype=np.uint8)


def generators(*seeds: int) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in seeds]


def test_a_lane_plays_as_if_it_were_alone(model):
    player = Explorer(model, 4)
    crowd = player.batch(3)
    crowd.reset(np.ones(3, bool), generators(5, 6, 7))
    player.reset(np.random.default_rng(6))
    for step in range(20):
        observed = frames(3, step)
        assert player(observed[1]) == crowd(observed)[1]


def test_a_lane_that_begins_anew_leaves_the_others_alone(model):
    one, other = (Explorer(model, 4).batch(2) for _ in range(2))
    for lanes in (one, other):
        lanes.reset(np.ones(2, bool), generators(1, 2))
        lanes(frames(2))
    one.reset(np.array([True, False]), [np.random.default_rng(9), None])
    actions = np.array(
        [[lanes(frames(2, step))[1] for step in range(20)] for lanes in (one, other)]
    )
    assert (actions[0] == actions[1]).all()


def test_without_an_agent_every_action_is_as_likely():
    player = Explorer(None, 4).batch(64)
    player.reset(np.ones(64, bool), generators(*range(64)))
    counts = np.bincount(np.concatenate([player(frames(64)) for _ in range(64)]), minlength=4)
    assert counts.sum() == 4096 and (abs(counts - 1024) < 150).all()  # five standard deviations
    assert player.names == ["random"] * 64


def test_an_agent_is_followed_but_for_a_share_of_games_and_actions(model):
    sure = PPO(
        "CnnPolicy",
        _Env(),
        n_steps=4,
        batch_size=4,
        device="cpu",
        policy_kwargs=model.policy_kwargs,
    )
    with torch.no_grad():
        sure.policy.action_net.weight.zero_()
        sure.policy.action_net.bias.copy_(torch.tensor([0.0, 0, 50, 0]))  # always action 2
    player = Explorer(sure, 4, "round 1", episodes=0.5, random_actions=0.2).batch(64)
    player.reset(np.ones(64, bool), generators(*range(64)))
    actions = np.stack([player(frames(64)) for _ in range(40)])  # (T, B)
    at_random = np.array([name == "random" for name in player.names])
    assert 16 < at_random.sum() < 48 and set(player.names) == {"random", "round 1"}
    assert (actions[:, ~at_random] == 2).mean() == pytest.approx(0.85, abs=0.05)
    assert (actions[:, at_random] == 2).mean() == pytest.approx(0.25, abs=0.06)


class _Env:
    """As much of an environment as stable-baselines3 needs to make an agent."""

    def __new__(cls):
        import gymnasium as gym
        from stable_baselines3.common.vec_env import DummyVecEnv

        env = gym.Env()
        env.observation_space, env.action_space = (
            Box(0, 255, (SIDE, SIDE, 3), np.uint8),
            Discrete(4),
        )
        return DummyVecEnv([lambda: env])


def test_collected_data_do_not_depend_on_the_lanes_and_name_each_game(model, tmp_path):
    settings = {"seed": 3, "shard_steps": 60, "env_options": {"grid_size": 8}}
    for lanes in (1, 5):
        collect(
            "RealSnake-v0",
            tmp_path / f"{lanes}",
            120,
            Explorer(model, 4, "round 1"),
            lanes=lanes,
            **settings,
        )
    one, five = (sorted((tmp_path / name).glob("*")) for name in ("1", "5"))
    assert [file.name for file in one] == [file.name for file in five]
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(one, five, strict=True))
    assert "round 1" in (tmp_path / "1" / "episodes.csv").read_text()
