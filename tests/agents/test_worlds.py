"""The tables of worlds agree: agents, play, evaluation and the registered ids speak of the same
games.
"""

import gymnasium as gym
import pytest

import collectors
import neural_envs  # noqa: F401  (registers the ids)
from agents.envs import WORLDS, action_count
from agents.ppo.presets import PRESETS
from collectors.worlds.table import WORLDS as ROWS
from neural_envs.commands.play import WORLDS as PLAYED
from world_models.evaluation.worlds.table import policies_of, real_id

collectors.worlds.registration.register_environments()


def test_every_table_has_the_same_worlds():
    assert set(WORLDS) == set(PLAYED) == set(ROWS) == set(PRESETS)


@pytest.mark.parametrize("name", WORLDS)
def test_dream_and_real_game_have_the_ids_and_policies_of_the_other_tables(name):
    world, played = WORLDS[name], PLAYED[name]
    assert (world.dream, world.real) == (played.dream, played.real)
    assert world.real == f"collectors:{real_id(name)}"
    assert played.policy == policies_of(name)[1] == world.ranking[-1]
    assert gym.spec(world.dream.split(":")[1]).kwargs["bundle"] == world.bundle


@pytest.mark.parametrize("name", [name for name in WORLDS if name in ROWS])
def test_dream_and_real_game_end_after_the_same_number_of_steps(name):
    dream = gym.spec(WORLDS[name].dream.split(":")[1])
    assert dream.max_episode_steps == ROWS[name].max_episode_steps


def test_actions_are_counted_in_the_game():
    assert action_count("collectors:RealSnake-v0") == 4
