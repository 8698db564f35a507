"""A perfect dream must score full marks, and a frozen one must be found out."""

import json
import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import ModuleType

import numpy as np
import pytest
import torch
from conftest_models import make_context, make_model
from snake_doubles import CopySnake, PerfectSnake

from collectors.policies.policies import make_policy
from collectors.recording.collect import collect
from collectors.worlds.table import WORLDS, World, add_world
from world_models.bundles.bundle import Bundle
from world_models.bundles.contexts import Contexts
from world_models.evaluation import evaluation
from world_models.evaluation.action_probe import ProbingEvaluator
from world_models.evaluation.evaluation import EvaluationOptions
from world_models.evaluation.evaluator import Evaluator
from world_models.evaluation.figures import at_path
from world_models.evaluation.plots import write_plots
from world_models.evaluation.test_split import Place, SplitReader
from world_models.evaluation.worlds import table
from world_models.evaluation.worlds.snake import SnakeEvaluator
from world_models.evaluation.worlds.table import (
    describe_evaluator,
    find_evaluator,
    make_evaluator,
    policies_of,
    real_id,
)
from world_models.noise import NoiseStream
from world_models.protocols import SamplingOptions

KEYS = {
    "one_step",
    "rollout",
    "kid",
    "reward",
    "termination",
    "action_sensitivity",
    "rules",
    "trust",
    "policy_ranking",
}
GRID = 8


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "snake"
    options = {"grid_size": GRID}
    return collect(
        "RealSnake-v0", path, 6000, policy="mix", seed=3, shard_steps=3000, env_options=options
    )


def evaluated(model, dataset, evaluator=None, **changes):
    """The figures and runs of a double, with few samples."""
    sizes = {
        "transitions": 600,
        "random_actions": 300,
        "rollouts": 16,
        "horizon": 20,
        "survival_lanes": 4,
    }
    settings = {**sizes, "survival_steps": 80, "kid_depth": 10, "kid_frames": 0, **changes}
    options = EvaluationOptions(**settings)
    window = SplitReader(dataset, 2, "train").window(
        [Place(i, 0) for i in dataset.split()["train"][:20]]
    )
    contexts = Contexts(window.context.frames.numpy(), window.context.actions.numpy())
    policies = {
        name: (lambda name=name: make_policy(name, 4, "snake")) for name in ("random", "astar")
    }
    evaluator = evaluator or make_evaluator(model.spec)
    bundle = Bundle(model.eval(), contexts, {}, None)
    return evaluation.evaluate(bundle, dataset, evaluator, options, policies)[:2]


@pytest.fixture(scope="module")
def perfect(dataset):
    return evaluated(PerfectSnake(GRID), dataset)


@pytest.fixture(scope="module")
def frozen(dataset):
    return evaluated(CopySnake(GRID), dataset)


def test_every_figure_of_the_measures_is_there(perfect):
    assert set(perfect[0]) == KEYS | {"survival"}
    json.dumps(perfect[0], allow_nan=False)


def test_a_perfect_dream_gets_every_board_right(perfect):
    rules = perfect[0]["rules"]
    full = [name for name in rules if not name.startswith(("samples", "food"))]
    assert {name: rules[name] for name in full} == dict.fromkeys(full, 1.0)
    assert rules["samples_eating"] > 10 and rules["food_uniformity_p"] > 0.001


def test_a_perfect_dream_gets_every_reward_and_end_right(perfect):
    reward, termination = perfect[0]["reward"], perfect[0]["termination"]
    for kind in ("one_step", "closed_loop"):
        assert [score["f1"] for score in reward[kind]["classes"].values()] == [1, 1, 1]
        assert termination[kind]["f1"] == 1 and termination[kind]["support"] > 1
    assert reward["calibration_error"] == termination["calibration_error"] == 0


def test_a_perfect_dream_survives_and_tells_its_action(perfect):
    for run in perfect[0]["survival"].values():
        assert run["one_head_one_food"] == run["transition_exact_rate"] == 1 and run["no_nan"]
        assert run["right_throughout"] == run["legal_throughout"] == {"lanes": 1, "dreams": 1}
    actions = perfect[0]["action_sensitivity"]
    assert actions["dream"] == actions["real"] == actions["dream_random_actions"] == 1


def test_a_perfect_dream_differs_from_the_recording_only_where_chance_does(perfect):
    one_step, rollout = perfect[0]["one_step"], perfect[0]["rollout"]
    assert one_step["others"]["exact_frame_rate"] == 1 > one_step["events"]["exact_frame_rate"]
    assert (
        one_step["events"]["samples"] + one_step["others"]["samples"] == one_step["samples"] == 600
    )
    assert rollout["psnr"]["1"] > rollout["psnr"]["20"] and rollout["break_even_horizon"] is None


def test_a_frozen_dream_is_found_out(frozen):
    figures = frozen[0]
    assert (
        figures["rules"]["transition_exact_rate"]
        == 0
        == figures["rules"]["transition_exact_rate_random_actions"]
    )
    assert (
        figures["action_sensitivity"]["dream"] < 0.6 and figures["action_sensitivity"]["real"] == 1
    )
    assert (
        figures["reward"]["one_step"]["classes"]["1"]["f1"]
        == 0
        == figures["termination"]["one_step"]["f1"]
    )
    assert figures["one_step"]["psnr"] == figures["one_step"]["copy_last_frame"]["psnr"]
    assert figures["survival"]["random"]["right_throughout"] == {"lanes": 0, "dreams": 0}
    assert figures["survival"]["random"]["legal_frames"] == 1


def test_trust_is_scored_only_where_something_is_wrong(perfect, frozen):
    assert perfect[0]["trust"]["auroc"] is None and perfect[0]["trust"]["wrong"] == 0
    assert frozen[0]["trust"]["wrong"] == frozen[0]["trust"]["samples"] == 900
    assert frozen[0]["reward"]["calibration_error"].keys() == {"omitted"}


def test_what_cannot_be_measured_says_why(perfect):
    assert (
        "no frames for KID were asked for" in perfect[0]["kid"]["omitted"]
        and "ranking" in perfect[0]["policy_ranking"]["omitted"]
    )


def test_an_open_loop_stops_where_the_dream_or_the_recording_ends(perfect):
    run = perfect[1].rollouts
    assert (run.terminations.sum(1) <= 1).all() and (run.running[:, 0]).all()
    ended = (~run.running[:, -1]).nonzero()[:, 0]
    assert (run.frames[ended, -1] == run.frames[ended, -2]).all() and (
        run.rewards[~run.running] == 0
    ).all()


def test_the_same_seed_gives_the_same_figures(dataset, perfect):
    assert evaluated(PerfectSnake(GRID), dataset)[0] == perfect[0]


def test_held_out_contexts_repeat_the_first_frame_and_use_action_zero(dataset):
    test_split = SplitReader(dataset, 4)
    number = int(test_split.episodes[test_split.lengths.argmax()])
    episode = dataset.episode(number)
    window = test_split.window([Place(number, 1), Place(number, 5)], horizon=3)
    frames, actions = window.context
    assert (frames[0].numpy() == episode.frames[[0, 0, 0, 1]]).all()
    assert actions[0].tolist() == [0, 0, episode.actions[0]]
    assert actions[1].tolist() == episode.actions[2:5].tolist()
    assert (window.frames[1].numpy() == episode.frames[5:9]).all()


def test_held_out_windows_stop_at_the_end_of_the_episode(dataset):
    test_split = SplitReader(dataset, 2)
    number = int(test_split.episodes[0])
    episode = dataset.episode(number)
    window = test_split.window([Place(number, len(episode) - 1)], horizon=4)
    assert (
        window.lengths.tolist() == [1]
        and window.terminations[0].tolist() == [bool(episode.terminations[-1])] + [False] * 3
    )
    assert (window.frames[0, 1:].numpy() == episode.frames[-1]).all()


def test_held_out_transitions_are_different_ones_of_the_test_split(dataset):
    test_split = SplitReader(dataset, 2)
    places = test_split.transitions(10**6, np.random.default_rng(0))
    assert len(places) == len(test_split) == len(set(places))
    assert {place.episode for place in places} == set(dataset.split()["test"])
    assert all(0 <= place.step < dataset.episodes[place.episode].length for place in places)
    starts = test_split.starts(64, 20, np.random.default_rng(0))
    assert sum(dataset.episodes[p.episode].length - p.step >= 20 for p in starts) >= 32
    every = test_split.starts(10**6, 20, np.random.default_rng(0))
    assert len(starts) == len(set(starts)) and len(every) == len(set(every)) == len(test_split)


def test_a_bundle_of_another_game_is_refused_by_name(dataset):
    with pytest.raises(ValueError, match="frame shape is .*64.* the dataset's .*32"):
        evaluated(CopySnake(16), dataset)


COUNTS = ("transitions", "random_actions", "rollouts", "horizon", "batch", "kid_depth")


@pytest.mark.parametrize("name", [*COUNTS, "survival_steps", "survival_lanes"])
def test_a_count_of_nothing_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name}. got 0, expected 1 or more"):
        EvaluationOptions(**{name: 0})


def test_sampler_steps_need_a_sampler(dataset):
    with pytest.raises(ValueError, match="in one call: .*; leave out sampler_steps=2"):
        evaluated(CopySnake(GRID), dataset, sampler_steps=2)


def test_a_bundle_is_measured_at_other_steps_and_guidance_than_its_own():
    model = make_model("transformer-film")
    options = EvaluationOptions(sampler_steps=7, guidance=3.0).sampling
    assert model.resolve_options(options) == SamplingOptions(7, 3.0)
    assert not torch.equal(one_frame(model, options), one_frame(model, SamplingOptions()))
    own = model.resolve_options(EvaluationOptions().sampling)
    assert own == SamplingOptions(3, 1.0)  # as the bundle has it


def test_guidance_needs_a_model_that_has_it(dataset):
    with pytest.raises(ValueError, match="no guidance on the action; leave out guidance=2"):
        evaluated(CopySnake(GRID), dataset, guidance=2.0)


def one_frame(model, options):
    return model.step(
        model.init(make_context(model, 1)),
        torch.tensor([0]),
        NoiseStream.from_seeds(torch.tensor([1])),
        options,
    ).frame


def test_pictures_and_films_are_written(perfect, tmp_path):
    figures, runs = perfect
    write_plots(tmp_path, runs, figures, fps=10)
    names = {
        "psnr.png",
        "ssim.png",
        "strip.png",
        "side_by_side.mp4",
        "side_by_side.gif",
        "dream_random.mp4",
        "dream_astar.gif",
    }
    assert names <= {path.name for path in tmp_path.iterdir() if path.stat().st_size > 200}


def test_the_evaluator_comes_from_the_world_and_its_real_environment():
    evaluator = make_evaluator(CopySnake(16).spec)
    assert isinstance(evaluator, SnakeEvaluator) and evaluator.rules.apples == 1
    assert evaluator.rules.decode(np.zeros((1, 64, 64, 3), np.uint8)).shape == (1, 16, 16)


def test_a_game_that_is_in_no_row_gets_the_general_evaluator_and_is_told_so():
    spec = replace(CopySnake(GRID).spec, world="ALE/Breakout-v5")
    assert type(make_evaluator(spec)) is ProbingEvaluator
    assert policies_of(spec.world) == ("random",) and real_id(spec.world) == ""
    assert "no row of collectors/worlds/table.py" in describe_evaluator(spec.world)


@pytest.fixture
def toy_world():
    row = World("toy", "Toy", "toy:Env", "toy.policies", 9, "points", ("random", "good"))
    yield lambda **changes: add_world(row._replace(**changes))
    WORLDS.pop("toy", None)


def test_a_world_of_ones_own_names_its_evaluator_in_its_row(toy_world):
    toy_world(evaluator="world_models.evaluation.worlds.snake:SnakeEvaluator")
    assert find_evaluator("toy") is SnakeEvaluator and policies_of("toy") == ("random", "good")


def test_a_world_without_an_evaluator_gets_the_general_one(toy_world):
    toy_world()
    assert find_evaluator("toy") is ProbingEvaluator
    assert "no evaluator is written for 'toy'" in describe_evaluator("toy")


def test_a_module_of_several_evaluators_names_the_one_of_its_world(toy_world, monkeypatch):
    toy_world()
    room = ModuleType(f"{table.ROOM}.toy")
    for name in ("First", "Second"):
        setattr(room, name, type(name, (Evaluator,), {"__module__": room.__name__}))
    room.__spec__ = ModuleSpec(room.__name__, None)
    monkeypatch.setitem(sys.modules, room.__name__, room)
    with pytest.raises(ValueError, match="2 evaluators; name the world's one as EVALUATOR"):
        find_evaluator("toy")
    room.EVALUATOR = room.Second
    assert find_evaluator("toy") is room.Second


def test_an_evaluator_that_cannot_be_imported_is_named(toy_world):
    toy_world(evaluator="nowhere:Evaluator")
    with pytest.raises(ValueError, match="'nowhere:Evaluator' .*cannot be imported"):
        find_evaluator("toy")


def test_every_world_of_the_table_has_an_evaluator_with_targets():
    for name in WORLDS:
        evaluator = find_evaluator(name)
        assert evaluator.targets != Evaluator.targets and "general" not in describe_evaluator(name)


def test_the_evaluator_of_frames_fills_every_figure_or_says_why(dataset):
    figures, _ = evaluated(CopySnake(GRID), dataset, Evaluator(CopySnake(GRID).spec))
    json.dumps(figures, allow_nan=False)
    assert set(figures) == KEYS | {"survival"} and "no rules" in figures["rules"]["omitted"]
    assert figures["trust"]["samples"] == figures["one_step"]["samples"] == 600
    assert "closed_loop" not in figures["reward"] and figures["survival"]["random"]["no_nan"]


def test_card_scores_are_found_by_dotted_paths():
    figures = {
        "rules": {"ball": {"32": 0.5}},
        "survival": {"random": {"ok": 1}, "astar": {"ok": 0}},
    }
    assert at_path(figures, ["rules", "ball", "32"]) == {"rules.ball.32": 0.5}
    assert at_path(figures, ["survival", "*", "ok"]) == {
        "survival.random.ok": 1,
        "survival.astar.ok": 0,
    }
    assert at_path(figures, ["rules", "none", "32"]) == {"rules.none.32": None}
