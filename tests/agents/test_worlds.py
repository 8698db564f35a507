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
from world_models.evaluation.worlds.table import WORLDS as JUDGED

collectors.worlds.registration.register_environments()


def test_every_table_has_the_same_worlds():
    assert set(WORLDS) == set(PLAYED) == set(JUDGED) == set(PRESETS)


@pytest.mark.parametrize("name", WORLDS)
def test_dream_and_real_game_have_the_ids_and_policies_of_the_other_tables(name):
    world, played, judged = WORLDS[name], PLAYED[name], JUDGED[name]
    assert (world.dream, world.real) == (played.dream, played.real)
    assert (
        world.real == f"collectors:{judged.real}"
        and played.policy == judged.policies[1] == world.ranking[-1]
    )
    assert gym.spec(world.dream.split(":")[1]).kwargs["bundle"] == world.bundle


@pytest.mark.parametrize("name", [name for name in WORLDS if name in ROWS])
def test_dream_and_real_game_end_after_the_same_number_of_steps(name):
    dream = gym.spec(WORLDS[name].dream.split(":")[1])
    assert dream.max_episode_steps == ROWS[name].max_episode_steps
    assert ROWS[name].real_id == JUDGED[name].real


def test_actions_are_counted_in_the_game():
    assert action_count("collectors:RealSnake-v0") == 4
