import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from agents.ppo.vec_env import SB3VecEnv, make_world
from collectors.worlds.table import UnknownNameError
from tests.agents.stub_envs import CountingVectorEnv

ACTIONS = np.zeros(2, dtype=int)


def stepped(count: int):
    env = SB3VecEnv(CountingVectorEnv(lengths=[3, 3], rewards=[1, 1]))
    env.reset()
    return [env.step(ACTIONS) for _ in range(count)][-1]


def test_the_finishing_step_shows_the_new_episode_and_keeps_the_last_frame_in_the_info():
    frames, rewards, dones, infos = stepped(3)
    assert dones.all() and (frames == 0).all()
    assert rewards.dtype == np.float32
    assert all((info["terminal_observation"] == 3).all() for info in infos)


def test_only_a_truncated_episode_is_marked_as_truncated():
    assert [info["TimeLimit.truncated"] for info in stepped(3)[3]] == [False, True]
    assert [info["TimeLimit.truncated"] for info in stepped(2)[3]] == [False, False]


def test_the_infos_of_a_finished_lane_are_those_of_its_last_step():
    assert [info["trust"] for info in stepped(2)[3]] == [0.5, 0.5]
    assert [info["trust"] for info in stepped(3)[3]] == [0.25, 0.25]
    assert "terminal_observation" not in stepped(2)[3][0]


def test_a_seed_is_used_at_the_next_reset_and_only_there():
    inner = CountingVectorEnv(lengths=[3, 3], rewards=[1, 1])
    env = SB3VecEnv(inner)
    env.seed(7)
    env.reset()
    env.reset()
    assert inner.seeds == [7, None]


def test_another_autoreset_mode_is_refused():
    with pytest.raises(ValueError, match="SAME_STEP"):
        SB3VecEnv(CountingVectorEnv([3], [1], AutoresetMode.NEXT_STEP))


def test_the_adapter_agrees_with_gymnasium_on_the_real_game():
    world = make_world("snake", "real", 3, seed=5)
    gym_env = gym.make_vec(
        "RealSnake-v0", 3, "sync", vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP}
    )
    assert np.array_equal(world.reset(), gym_env.reset(seed=5)[0])
    ended = 0
    for step in range(60):
        actions = np.array([step // 4, step // 8, step // 12]) % 4
        frames, rewards, dones, infos = world.step(actions)
        expected, expected_rewards, terminations, truncations, expected_infos = gym_env.step(
            actions
        )
        assert np.array_equal(frames, expected) and np.array_equal(rewards, expected_rewards)
        assert np.array_equal(dones, terminations | truncations)
        for lane in np.flatnonzero(dones):
            assert np.array_equal(
                infos[lane]["terminal_observation"], expected_infos["final_obs"][lane]
            )
            assert infos[lane]["episode"]["r"] <= 5
        ended += dones.sum()
    assert ended > 0
    world.close()


def test_an_unknown_world_is_named_with_the_known_ones():
    with pytest.raises(UnknownNameError, match="unknown world 'snak'; did you mean 'snake'"):
        make_world("snak", "real", 1, seed=0)
    with pytest.raises(UnknownNameError, match="'imagined'; there are dream, real"):
        make_world("snake", "imagined", 1, seed=0)
