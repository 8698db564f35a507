"""What is compared is trained for the same time, measured alike, done once and shown in one table;
here on doubles.
"""

import json
import re
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from torch import nn

from agents.evaluation.play import Episodes
from agents.experiments import compare
from agents.experiments.compare_families import FAMILIES, CompareConfig, chosen, fitted, preset_of
from agents.experiments.compare_families import training as training_of
from agents.experiments.compare_table import markdown
from agents.experiments.stages import StageError
from collectors.dataset.dataset import Dataset
from collectors.recording.collect import collect
from neural_envs import cli
from world_models.training.config import TrainingError
from world_models.training.presets.table import PRESETS
from world_models.training.trainer import Trainer

SCORES = {"one_step.psnr": 30.0, "one_step.ssim": 0.9, "rules.transition_exact_rate": 0.75}


class Policy(str):
    """A trained one, by the name of the world that taught it."""

    num_timesteps = 96


@pytest.fixture(scope="module")
def small_snake(tmp_path_factory):
    """A recording of Snake, and beside it the same under another world's name."""
    path = tmp_path_factory.mktemp("data")
    collect(
        "RealSnake-v0",
        path / "snake",
        frames=400,
        policy="random",
        workers=1,
        seed=0,
        shard_steps=200,
    )
    shutil.copytree(path / "snake", path / "pong")
    manifest = path / "pong" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"snake"', '"pong"'))
    return path / "snake"


@pytest.fixture
def calls(monkeypatch):
    """Doubles of everything that takes time, and a list of what was asked of them."""
    done = []

    def train(config, load_model):
        done.append(
            ("train", config.out.parent.name, config.minutes, config.schedule, str(config.data))
        )
        (config.out / "bundle").mkdir(parents=True, exist_ok=True)
        return config.out / "bundle"

    def train_ppo(run, seconds):
        done.append(
            ("ppo", run.world, run.bundle and run.bundle.split("/")[-3], run.steps, seconds)
        )
        return run.world

    def play(policy, env, episodes, seed):
        assert env == "collectors:RealSnake-v0"
        mean = {"dream": 5.0, "real": 7.0}.get(policy, -1.0)
        return Episodes(np.full(episodes, mean), np.zeros(episodes, int), np.ones(episodes, int))

    loaded = SimpleNamespace(
        model=nn.Linear(30, 10, bias=False), config={"provenance": {"updates": 42}}
    )
    doubles = {
        "train": train,
        "train_ppo": train_ppo,
        "load_policy": Policy,
        "make_policy": lambda name, actions: name,
        "play_policy": play,
        "evaluate_bundle": lambda config: (
            done.append(("evaluate", config.data)) or SimpleNamespace(scores=dict(SCORES))
        ),
        "bundle_macs": lambda name, steps: 3_000_000,
        "dream": lambda bundle, lanes, steps: lambda: lanes,
        "rates_in_turn": lambda subjects, rounds, seconds: {
            key: [2.0 * key[1]] * rounds for key in subjects
        },
        "bundles": SimpleNamespace(load=lambda path: loaded),
    }
    for name, double in doubles.items():
        monkeypatch.setattr(compare, name, double)
    return done


@pytest.fixture
def config(tmp_path, small_snake):
    return CompareConfig(
        "snake",
        0.5,
        ("chance", "edm"),
        str(small_snake),
        str(tmp_path / "out"),
        episodes=4,
        ppo_steps=99,
        ppo_minutes=1.5,
    )


def test_each_family_is_trained_for_the_same_time_on_the_same_data_and_teaches_the_same_ppo(
    calls, config
):
    result = compare.compare(config)
    trained = [call for call in calls if call[0] == "train"]
    assert trained == [("train", name, 0.5, "minutes", config.data) for name in ("chance", "edm")]
    assert [call for call in calls if call[0] == "ppo"] == [
        ("ppo", "dream", "chance", 99, 90.0),
        ("ppo", "dream", "edm", 99, 90.0),
        ("ppo", "real", None, 99, 90.0),
    ]
    row = result["families"][1]
    assert (row["preset"], row["updates"], row["parameters"]) == ("snake-edm", 42, 300)
    assert row["frames_per_second"] == {"1": 2.0, "64": 128.0} and row["scores"] == SCORES
    assert row["ppo"]["return_mean"] == 5 and result["references"]["real"]["return_mean"] == 7
    assert result["references"]["random"]["return_mean"] == -1 and result["machine"]["threads"] >= 1
    assert json.loads((compare.Path(config.out) / "compare.json").read_text()) == result


def test_finished_families_are_not_repeated_and_other_settings_are_refused(calls, config):
    one = replace(config, families=("chance",))
    first = compare.compare(one)["families"][0]
    calls.clear()
    both = compare.compare(config)
    assert {call[1] for call in calls if call[0] == "train"} == {"edm"} and len(calls) == 3
    assert both["families"][0] == first
    calls.clear()
    assert compare.compare(config) == both and calls == []
    with pytest.raises(StageError, match="'family/chance' with budget=0.5, not 1"):
        compare.compare(replace(config, budget=1.0))


def test_a_family_that_fails_is_a_line_that_says_why_and_is_tried_again(calls, config, monkeypatch):
    working = compare.train

    def train(settings, load_model):
        if settings.out.parent.name == "edm":
            raise TrainingError("the loss is nan")
        return working(settings, load_model)

    monkeypatch.setattr(compare, "train", train)
    result = compare.compare(config)
    assert result["families"][1][
        "failed"
    ] == "the loss is nan" and "failed: the loss is nan" in markdown(result)
    monkeypatch.setattr(compare, "train", working)
    assert "failed" not in compare.compare(config)["families"][1]


def test_the_table_has_a_column_for_every_figure_and_a_line_for_every_player(calls, config):
    text = markdown(compare.compare(config)).splitlines()
    head, rule, *lines = [line for line in text if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert set(rule) == {"|", "-"} and len({len(line) for line in (head, rule, *lines)}) == 1
    assert [row[0] for row in cells] == ["chance", "edm", "random policy", "the real game"]
    assert cells[0] == [
        "chance",
        "snake",
        "42",
        "0.00 M",
        "3 M",
        "2",
        "128",
        "30",
        "0.9",
        "0.75",
        "-",
        "96",
        "5.00 (5.00 to 5.00)",
    ]
    assert (
        cells[2][-1] == "-1.00 (-1.00 to -1.00)"
        and set(cells[2][1:-2]) == {""}
        and cells[2][-2] == "-"
    )
    assert "0.5 minutes" in text[-2] and "99 steps in each dream or 1.5 minutes" in text[-2]
    assert re.search(r"chance \d+\.\d\d", text[-1])


def test_the_table_names_the_card_of_trainings_that_were_made_on_another_machine(calls, config):
    result = compare.compare(config)
    assert "Trained on" not in markdown(result)
    result["families"][0]["trained_on"]["cuda"] = "a card"
    assert "Trained on a card; timed on the machine above." in markdown(result)


def test_games_give_columns_of_deep_dreams_and_ppo_may_be_left_out(
    calls, config, monkeypatch, tmp_path
):
    figures = {
        "hold": {
            "1": {"sharpness": {"value": 0.5}},
            "100": {"sharpness": {"value": 0.875}, "kid": {"value": 0.25}},
            "500": {"omitted": "no dream is so long"},
        },
        "game": {"astar": {"events_per_1000": {"value": 1.125}}, "equivalent": {"omitted": "no"}},
    }
    asked, file = [], tmp_path / "evaluation.json"
    file.write_text(json.dumps(figures))
    found = SimpleNamespace(scores=dict(SCORES), path=file)
    monkeypatch.setattr(compare, "evaluate_bundle", lambda config: asked.append(config) or found)
    result = compare.compare(replace(config, ppo_steps=0, game_steps=100))
    assert {(one.game, one.game_steps, one.all_players) for one in asked} == {(True, 100, False)}
    assert not any(call[0] == "ppo" for call in calls) and result["references"] == {}
    head, _, first, *_ = markdown(result).splitlines()
    assert "sharpness, dream / game, 100 deep" in head and "PPO" not in markdown(result)
    assert [cell.strip() for cell in first.split("|")[-4:-1]] == ["0.875", "0.25", "1.12"]
    assert compare.compare(replace(config, ppo_steps=0, game_steps=100)) == result


def test_every_preset_found_for_a_family_is_there_and_the_worlds_own_comes_first():
    assert preset_of("snake", "chance") == "snake" and preset_of("snake", "edm") == "snake-edm"
    assert (
        preset_of("pong", "edm") == "snake-edm" and preset_of("snake", "latent") == "coinrun-latent"
    )
    assert all(preset_of("pong", family) in PRESETS for family in FAMILIES)


def test_a_preset_is_of_the_family_that_it_is_found_for():
    kinds = {
        "chance": "ChanceConfig",
        "tokens": "TokensConfig",
        "scene": "SceneConfig",
        "sprites": "ChanceConfig",
    }
    for world in ("snake", "pong", "worldmap", "coinrun"):
        for family, kind in kinds.items():
            name = preset_of(world, family)
            assert type(PRESETS[name]().model).__name__ == kind, (world, family, name)
    assert preset_of("coinrun", "tokens") == "coinrun" and preset_of("pong", "scene") == "pong"


def test_every_family_trains_on_snake_or_says_in_a_sentence_why_not(small_snake, tmp_path):
    for world, data in (("snake", small_snake), ("pong", small_snake.parent / "pong")):
        config = CompareConfig(world, 0.1, data=str(data), out=str(tmp_path / world))
        refused = {}
        for family, preset in chosen(config).items():
            settings = training_of(config, family, preset)
            assert (settings.schedule, settings.minutes, settings.data) == ("minutes", 0.1, data)
            try:
                Trainer(settings, Dataset(data))
            except ValueError as error:
                refused[family] = str(error)
        assert set(refused) == ({"eqm"} if world == "pong" else set())
        assert all("needs Snake" in sentence for sentence in refused.values())


def test_what_cannot_be_compared_is_an_error_of_one_sentence(calls, config, tmp_path, capsys):
    short = tmp_path / "short"
    collect("RealSnake-v0", short, frames=20, policy="random", workers=1, seed=0)
    for change, text in (
        ({"families": ("gan",)}, "chance, edm"),
        ({"data": str(tmp_path)}, "collect snake"),
        ({"data": str(short)}, "the test split of .* is empty: collect more frames"),
        ({"world": "chess"}, "unknown world"),
        ({"budget": 0.0}, "budget"),
    ):
        with pytest.raises(ValueError, match=text):
            compare.compare(replace(config, **change))
    assert cli.main(["compare", "--world", "snake", "--budget", "1", "--data", str(tmp_path)]) == 1
    assert "neural-envs compare: there is no dataset" in capsys.readouterr().err and calls == []


def test_a_preset_of_another_world_is_fitted_to_the_data(small_snake):
    forcing, pixel = (
        fitted(PRESETS[name](), str(small_snake)).model
        for name in ("pong-forcing", "coinrun-pixel")
    )
    assert (
        PRESETS["pong-forcing"]().model.network.patch == 6
        and forcing.network.patch == 8
        and pixel.stack == 1
    )


WRONG = {
    "family": "edm",
    "preset": 3,
    "updates": -1,
    "parameters": "many",
    "macs_per_frame": 1.5,
    "train_seconds": float("nan"),
    "cpu_seconds_per_second": -0.5,
    "load_average_before": True,
    "seconds": -1,
}


def played(**wrong):
    return {"return_mean": 1.0, "return_ci": [0.0, 2.0], "episodes": 4, "steps": 96} | wrong


@pytest.mark.parametrize(
    ("stage", "wrong"),
    [
        *(("family/chance", {name: value}) for name, value in WRONG.items()),
        ("family/chance", {"scores": [30.0]}),
        ("family/chance", {"scores": {"one_step.psnr": "high"}}),
        ("family/chance", {"ppo": played(return_ci=[3.0, 2.0])}),
        ("family/chance", {"ppo": played(return_ci=[float("-inf"), 2.0])}),
        ("family/chance", {"ppo": {"return_mean": 1.0}}),
        ("reference/random", {"ppo": played(return_ci=None)}),
        ("reference/random", {"ppo": played(episodes=0)}),
        ("reference/real", {"ppo": played(steps="96")}),
    ],
)
def test_a_row_whose_record_is_wrong_is_measured_again_with_a_sentence(
    calls, config, capsys, stage, wrong
):
    config = replace(config, families=("chance",))
    first = compare.compare(config)
    file = compare.Path(config.out) / "state.json"
    state = json.loads(file.read_text())
    state["done"][stage] |= wrong
    file.write_text(json.dumps(state))
    capsys.readouterr()
    again = compare.compare(config)
    assert f"passing over '{stage}' in {file}" in capsys.readouterr().err
    assert again["references"] == first["references"]
    assert again["families"][0]["scores"] == SCORES and again["families"][0]["updates"] == 42
    assert compare.compare(config) == again
    error = capsys.readouterr().err
    assert "passing over" not in error and "finished already: chance" in error
