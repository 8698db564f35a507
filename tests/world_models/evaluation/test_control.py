"""Control of doubles of Snake: the game itself obeys, a model that copies does not."""

import numpy as np
import pytest
import torch
from snake_doubles import CopySnake, PerfectSnake

from collectors.recording.collect import collect
from collectors.worlds.snake.tiles import DEAD_HEAD, HEAD, decode_frames, equivalent_keys
from world_models.evaluation import control
from world_models.evaluation.control import (
    Drawn,
    action_f1,
    delta_psnr,
    equivalent_figures,
)
from world_models.evaluation.decisions import Choices, decision_figures, dreamed_returns
from world_models.evaluation.metrics import IDENTICAL_PSNR
from world_models.evaluation.test_split import SplitReader
from world_models.protocols import DEFAULT_OPTIONS, Context

GRID = 8


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "snake"
    options = {"grid_size": GRID}
    data = collect(
        "RealSnake-v0", path, 3000, policy="mix", seed=3, shard_steps=1500, env_options=options
    )
    return SplitReader(data, 2, "train"), SplitReader(data, 2)


def drawn(model):
    return Drawn(model.eval(), DEFAULT_OPTIONS, np.random.default_rng(0))


def test_actions_gain_nothing_in_a_dream_that_ignores_them(splits):
    figure = delta_psnr(drawn(CopySnake(GRID)), splits[1], 40)
    assert figure["value"] == 0 and figure["interval"] == [0, 0] and figure["samples"] == 40
    names = ("true_actions", "random_actions", "copy_first_frame")
    assert len({figure[name]["value"] for name in names}) == 1


def test_the_true_actions_lead_to_the_true_frame_and_random_ones_do_not(splits):
    figure = delta_psnr(drawn(PerfectSnake(GRID)), splits[1], 40)
    assert figure["value"] > 10 and figure["steps"] == 4
    assert figure["true_actions"]["value"] > 0.5 * IDENTICAL_PSNR
    assert figure["copy_first_frame"]["value"] < figure["true_actions"]["value"]


def test_episodes_that_are_too_short_leave_it_out(splits):
    assert "5000 steps" in delta_psnr(drawn(CopySnake(GRID)), splits[1], 4, 5000)["omitted"]


def heading(past, after):
    """In the place of the probe: logits (N, 4) that name the direction that the head looks in."""
    codes = decode_frames(after.numpy())
    heads = np.where((codes >= HEAD[0]) & (codes <= DEAD_HEAD[-1]), codes, 0).max((1, 2))
    return torch.eye(4)[torch.from_numpy(((heads - HEAD[0]) % 4 ^ 1).astype(np.int64))]


def test_actions_are_recognized_in_the_dream_that_obeys_them(splits):
    obeys, ignores = (
        action_f1(drawn(model(GRID)), heading, splits[1], 150, equivalent_keys)
        for model in (PerfectSnake, CopySnake)
    )
    assert obeys["value"] > 0.8 > 0.7 > ignores["value"] and obeys["real"]["value"] > 0.8
    assert ignores["value"] == pytest.approx(ignores["copied"]["value"])
    assert set(obeys["actions"]) == {"up", "down", "left", "right"}
    low, high = obeys["interval"]
    assert low <= obeys["value"] <= high and obeys["samples"] == 150


def test_equivalent_keys_are_alike_in_a_dream_that_is_the_game(splits):
    figures = equivalent_figures(drawn(PerfectSnake(GRID)), splits[1], 60, equivalent_keys)
    assert figures["same_frame"]["value"] == figures["same_outcome"]["value"] == 1
    assert figures["psnr"]["value"] == IDENTICAL_PSNR
    assert figures["other_keys_same_frame"]["value"] < 0.3
    assert figures["same_frame"]["samples"] == 60


def test_keys_that_are_seldom_alike_are_looked_for_in_more_states(splits, monkeypatch):
    def seldom(frames):
        alike = equivalent_keys(frames)
        met = frames.reshape(len(frames), -1).argmax(1) % 7 == 0  # where something bright is
        return np.where(met[:, None], alike, np.arange(alike.shape[1]))

    def pairs() -> int:
        found = equivalent_figures(drawn(PerfectSnake(GRID)), splits[1], 12, seldom)
        return found.get("same_frame", {"samples": 0})["samples"]

    many = pairs()
    monkeypatch.setattr(control, "MANY", control.FEW)
    assert pairs() < many <= 12


def test_a_dream_that_turns_back_where_the_game_ignores_it_is_found_out(splits):
    class Turns(PerfectSnake):
        def step(self, state, action, noise, options=DEFAULT_OPTIONS):
            dream = super().step(state, action, noise, options)
            ignored = equivalent_keys(state.frame.numpy())[np.arange(len(action)), action.numpy()]
            wrong = torch.from_numpy(ignored) != action
            frame = torch.where(wrong[:, None, None, None], state.frame, dream.frame)
            return dream._replace(frame=frame)

    figures = equivalent_figures(drawn(Turns(GRID)), splits[1], 60, equivalent_keys)
    assert figures["same_frame"]["value"] < 0.1


def test_a_world_without_equivalent_keys_says_so(splits):
    assert (
        "names no keys" in equivalent_figures(drawn(CopySnake(GRID)), splits[1], 4, None)["omitted"]
    )


REAL = np.array([[0.0, 1.0, 3.0], [2.0, 0.0, 2.0]])


def test_decisions_by_hand():
    generator = np.random.default_rng(0)
    best = decision_figures(REAL, REAL, generator)
    assert best["hit_rate"]["value"] == 1 and best["regret"]["value"] == 0
    worst = decision_figures(REAL, -REAL, generator)
    assert worst["hit_rate"]["value"] == 0 and worst["regret"]["value"] == 1
    # ties are drawn: of three that look alike one is the best in the first state, two in the second
    blind = decision_figures(REAL, np.zeros((2, 3)), generator)
    assert blind["hit_rate"]["value"] == pytest.approx((1 / 3 + 2 / 3) / 2)
    assert blind["regret"]["value"] == pytest.approx(((1 + 2 / 3 + 0) / 3 + 1 / 3) / 2)
    assert blind["hit_rate_by_chance"] == pytest.approx(blind["hit_rate"]["value"])
    nothing = decision_figures(np.zeros((0, 3)), np.zeros((0, 3)), generator)
    assert nothing["regret"] == {"value": None, "interval": None, "samples": 0}


def test_a_sequence_earns_what_is_paid_before_its_end_and_its_length(splits):
    class Pays(CopySnake):
        def step(self, state, action, noise, options=DEFAULT_OPTIONS):
            dream = super().step(state, action, noise, options)
            return dream._replace(reward=action.float(), termination=action == 3)

    window = splits[1].window(splits[1].transitions(2, np.random.default_rng(0)))
    actions = np.array([[[1, 1, 1, 1], [3, 2, 2, 2]], [[2, 2, 3, 1], [0, 0, 0, 2]]])
    choices = Choices(Context(*window.context), actions, np.array([2, 4]), np.zeros((2, 2)))
    assert dreamed_returns(Pays(GRID), choices).tolist() == [[2, 3], [7, 2]]
