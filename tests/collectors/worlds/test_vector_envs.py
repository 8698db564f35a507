"""The four real games in lanes owe what every vector environment owes; lanes are single games."""

import importlib.util

import gymnasium
import pytest

import collectors  # noqa: F401  registers the ids
from tests.contracts import VectorEnvContract


class RealGameContract(VectorEnvContract):
    """The contract for a registered real game, by its id and options that make games short."""

    env_id = ""
    options: dict = {}
    short = 40  # steps, where the contract sets no limit

    def make_vec(self, num_envs, autoreset_mode, max_episode_steps=None):
        return gymnasium.make_vec(
            self.env_id,
            num_envs=num_envs,
            autoreset_mode=autoreset_mode,
            max_episode_steps=max_episode_steps or self.short,
            **self.options,
        )

    def make_single(self, max_episode_steps=None):
        return gymnasium.make(
            self.env_id, max_episode_steps=max_episode_steps or self.short, **self.options
        )


class TestSnake(RealGameContract):
    env_id, horizon, short = "RealSnake-v0", 60, 1000


class TestSnakeCodes(RealGameContract):
    env_id, horizon, options = "RealSnake-v0", 60, {"observation": "grid", "wrap": True}


class TestPong(RealGameContract):
    env_id, horizon, short, options = "RealPong-v0", 150, 3000, {"points_to_win": 1}


class TestWorldMap(RealGameContract):
    env_id, options = "RealWorldMap-v0", {"region": "split"}
    horizon = 60


@pytest.mark.skipif(importlib.util.find_spec("envpool") is None, reason="needs the extra coinrun")
class TestCoinRun(RealGameContract):
    env_id, options = "RealCoinRun-v0", {"levels": "split"}
    horizon, short = 25, 12


@pytest.mark.parametrize("env_id", ["RealSnake-v0", "RealPong-v0", "RealWorldMap-v0"])
def test_a_vector_environment_says_of_its_world_what_a_single_game_says(env_id):
    vector, single = gymnasium.make_vec(env_id, num_envs=2), gymnasium.make(env_id)
    assert vector.unwrapped.world_spec() == single.unwrapped.world_spec()
    assert vector.unwrapped.get_keys_to_action() == single.unwrapped.get_keys_to_action()
