"""Agents, play, evaluation and the registered ids speak of the worlds of one table."""

import gymnasium as gym
import pytest

import collectors
import neural_envs  # noqa: F401  (registers the ids)
from agents.envs import find_twins, game_actions
from agents.ppo.presets import PPOSettings, any_game, ppo_settings
from collectors.worlds.table import WORLDS, World
from neural_envs.play.twins import default_policy
from world_models.evaluation.worlds.table import policies_of, real_id

collectors.worlds.registration.register_environments()


@pytest.mark.parametrize("name", WORLDS)
def test_dream_and_real_game_have_the_ids_and_policies_of_the_other_tables(name):
    twins = find_twins(name)
    assert twins.real == f"collectors:{real_id(name)}"
    assert default_policy(name) == policies_of(name)[1] == twins.ranking[-1]
    assert gym.spec(twins.dream.split(":")[1]).kwargs["bundle"] == twins.bundle


@pytest.mark.parametrize("name", WORLDS)
def test_dream_and_real_game_end_after_the_same_number_of_steps(name):
    dream = gym.spec(find_twins(name).dream.split(":")[1])
    assert dream.max_episode_steps == WORLDS[name].max_episode_steps


def test_a_world_of_ones_own_has_twins_and_ppo_settings(monkeypatch):
    row = World("toy", "Toy", "toy:Toy", "toy", 9, "points", ("random",), ppo={"stack": 2})
    monkeypatch.setitem(WORLDS, row.name, row)
    twins = find_twins("toy")
    assert (twins.real, twins.dream) == ("collectors:RealToy-v0", "neural_envs:NeuralToy-v0")
    assert ppo_settings("toy") == PPOSettings(stack=2)


def test_a_game_that_is_not_in_the_table_gets_the_settings_of_any_game():
    assert ppo_settings("ALE/Pong-v5") == any_game()


def test_actions_are_counted_in_the_game():
    assert game_actions("collectors:RealSnake-v0") == 4
