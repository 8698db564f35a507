"""Crafter is a Gymnasium game, made and recorded like any other."""

import sys

import gymnasium
import numpy as np
import pytest

from collectors.worlds import any_game_source
from collectors.worlds.any_game_images import AnyGameError


class Stand:
    """What the package `crafter` has, as far as it is used: a player who dies in step 3."""

    action_names = ["noop", "do"]

    def __init__(self, size, reward, length, seed):
        self.size, self.seed, self.length, self.steps = size, seed, length, 0

    def reset(self):
        self.steps = 0
        return np.full((*self.size, 3), self.seed, np.uint8)

    def step(self, action):
        self.steps += 1
        dead = self.steps == 3 and action == 0
        info = {"discount": 1.0 - dead, "achievements": {"eat": 0}, "semantic": np.zeros(2)}
        return np.zeros((*self.size, 3), np.uint8), 0.1, dead or self.steps == 3, info


@pytest.fixture
def crafter(monkeypatch):
    """The module `crafter`, as if it were installed, and its two ids."""
    module = type(sys)("crafter")
    module.__dict__["Env"] = Stand
    monkeypatch.setitem(sys.modules, "crafter", module)
    monkeypatch.delitem(sys.modules, "collectors.worlds.crafter_game", raising=False)
    for name in ("CrafterReward-v1", "CrafterNoReward-v1"):
        monkeypatch.delitem(gymnasium.registry, name, raising=False)
    yield
    sys.modules.pop("collectors.worlds.crafter_game", None)
    for name in ("CrafterReward-v1", "CrafterNoReward-v1"):
        gymnasium.registry.pop(name, None)


def test_it_is_made_by_its_id_from_a_seed_and_death_is_a_termination(crafter):
    env = gymnasium.make("collectors:AnyGame-v0", env="CrafterReward-v1")
    assert env.unwrapped.world_spec()["action_names"] == ["noop", "do"]
    frame, _ = env.reset(seed=9)
    assert frame.shape == (64, 64, 3) and (frame == 9).all()
    outcomes = [env.step(0)[2:4] for _ in range(3)]
    assert outcomes == [(False, False), (False, False), (True, False)]
    env.reset()
    assert [env.step(1)[2:4] for _ in range(3)][-1] == (False, True)


def test_where_it_is_not_installed_a_sentence_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "crafter", None)
    with pytest.raises(AnyGameError, match="needs crafter.*pip install crafter"):
        any_game_source.make_game("CrafterReward-v1", "auto", "", {})
