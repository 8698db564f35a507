"""A real game is branched from a state, and a model that is the game chooses the best branch."""

import importlib
import runpy
from pathlib import Path
from typing import NamedTuple

import gymnasium
import numpy as np
import pytest
import torch
from torch import Tensor

from agents.evaluation import branches, decisions
from agents.evaluation.branches import BranchOptions, find_choices
from agents.evaluation.decisions import decide, players_of
from collectors.policies.policies import make_policy
from collectors.worlds.table import WORLDS, add_world
from world_models.protocols import DEFAULT_OPTIONS, Transition, WorldModel, WorldSpec

# By its path: importing the toy world while tests are collected would add its row for all of them.
TOY = runpy.run_path(str(Path(__file__).parents[2] / "toy_world" / "env.py"))
ACTIONS, LAMP, PLACES, SIZE, WALKER = (
    TOY[name] for name in ("ACTIONS", "LAMP", "PLACES", "SIZE", "WALKER")
)
SPEC = WorldSpec("corridor", (SIZE, SIZE, 3), ACTIONS, (0.0, 1.0), 5, 20)


class Shown(NamedTuple):
    frame: Tensor  # (B, H, W, C) uint8


class PerfectCorridor(WorldModel):
    """The corridor itself: reads walker and lamp from the frame, and moves the walker."""

    context_length = 3

    def __init__(self):
        super().__init__(SPEC)

    def init(self, context) -> Shown:
        return Shown(context.frames[:, -1])

    def step(self, state: Shown, action: Tensor, noise, options=DEFAULT_OPTIONS) -> Transition:
        walker, lamp = (
            (state.frame[:, row, ::2] == torch.tensor(color)).all(-1).int().argmax(1)
            for row, color in ((8, WALKER), (4, LAMP))
        )
        walker = (walker + action - 1).clamp(0, PLACES - 1)
        frame = state.frame.clone()
        frame[:, 8:10] = 0
        for lane, place in enumerate(walker.tolist()):
            frame[lane, 8:10, 2 * place : 2 * place + 2] = torch.tensor(WALKER, dtype=torch.uint8)
        there = walker == lamp
        trust = torch.ones(len(frame))
        return Transition(Shown(frame), frame, self.pays(there.float()), there, trust)

    def pays(self, reward: Tensor) -> Tensor:
        return reward


class MistakenCorridor(PerfectCorridor):
    """Pays where the game does not."""

    def pays(self, reward: Tensor) -> Tensor:
        return 1 - reward


@pytest.fixture(autouse=True)
def corridor(monkeypatch):
    monkeypatch.setattr(branches, "LANES", 8)
    yield add_world(importlib.import_module("tests.toy_world").CORRIDOR)
    WORLDS.pop("corridor", None)
    for name in ("RealCorridor-v0", "NeuralCorridor-v0"):
        gymnasium.registry.pop(name, None)


def found(seed=0, **options):
    players = [make_policy(name, 3, "corridor") for name in ("random", "walk:0.5", "walk")]
    size = BranchOptions(states=12, shortest=2, longest=6, warm_up=5, attempts=12)
    return find_choices("collectors:RealCorridor-v0", {}, players, 3, size, seed)


def test_the_model_that_is_the_game_always_picks_the_best():
    figures = decide(PerfectCorridor(), BranchOptions(states=20, shortest=2, longest=6, warm_up=5))
    assert figures["hit_rate"]["value"] == 1 and figures["regret"]["value"] == 0
    assert figures["hit_rate"]["samples"] == 20 <= figures["states_tried"]
    assert 0 < figures["regret_by_chance"] < 1 and figures["players"][0] == "random"


def test_the_model_that_is_wrong_picks_the_worst():
    size = BranchOptions(states=20, shortest=2, longest=6, warm_up=5)
    figures = decide(MistakenCorridor(), size)
    assert figures["regret"]["value"] > figures["regret_by_chance"]


def test_a_branch_goes_on_from_the_very_state_that_its_context_shows():
    choices, _ = found()
    model = PerfectCorridor()
    state = model.init(choices.context)
    for number in range(choices.actions.shape[1]):
        now, earned, going = state, torch.zeros(12), torch.ones(12, dtype=torch.bool)
        for step in range(6):
            action = torch.from_numpy(choices.actions[:, number, step])
            dream = model.step(now, action, None)
            going &= step < torch.from_numpy(choices.lengths)
            earned += dream.reward * going
            going &= ~dream.termination
            now = dream.state
        np.testing.assert_array_equal(earned.numpy(), choices.returns[:, number])


def test_contexts_are_the_frames_before_and_a_seed_repeats_them():
    (first, tried), (second, _), (other, _) = found(), found(), found(seed=1)
    assert first.context.frames.shape == (12, 3, SIZE, SIZE, 3) and tried >= 12
    assert first.context.actions.shape == (12, 2)
    assert torch.equal(first.context.frames, second.context.frames)
    np.testing.assert_array_equal(first.returns, second.returns)
    assert not torch.equal(first.context.frames, other.context.frames)


def test_a_game_without_a_row_has_no_decisions(monkeypatch):
    WORLDS.pop("corridor")
    assert "corridor" in decide(PerfectCorridor(), BranchOptions())["omitted"]


def test_five_players_are_spread_from_random_to_the_best():
    ranking = ("random", "a", "b", "c", "d", "e", "best")
    assert players_of(ranking) == ["random", "b", "c", "d", "best"]
    assert players_of(("random", "best")) == ["random", "best"]
    assert decisions.SEQUENCES == 5
