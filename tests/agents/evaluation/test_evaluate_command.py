"""The verb `evaluate`: it asks for data, measures a bundle and writes what it says."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from agents.evaluation import control
from agents.evaluation import evaluate as command
from collectors.recording.collect import collect
from neural_envs.bundles import resolve_bundle
from world_models.evaluation.evaluation import EvaluationOptions

SIZES = {"transitions": 40, "random_actions": 20, "rollouts": 4, "horizon": 8, "kid_frames": 0}
SIZES |= {"game_lanes": 2, "game_steps": 6, "minutes": 0}
SIZES |= {"survival_steps": 10, "survival_lanes": 2, "kid_depth": 4, "trust_transitions": 64}
SIZES |= {"control_clips": 8, "decision_states": 0, "probe_transitions": 200}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("evaluate") / "snake"
    collect("RealSnake-v0", path, 2000, policy="mix", seed=3, shard_steps=1000)
    return path


def test_it_asks_for_data_and_says_how_to_get_it(tmp_path, capsys):
    assert command.main(["snake", "--data", str(tmp_path / "none")]) == 1
    assert "neural-envs collect snake" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--policies=nosuch"], "unknown policy 'nosuch'"),
        (["--policy=nosuch.zip"], "nosuch.zip: No such file"),
        (["--policies=nosuch.zip", "--quick"], "is an agent to rank, and nothing is ranked"),
        (["--real-options=grid_size=5"], "the real game has frames (20, 20, 3), the bundle (64"),
        (["--real-options=nosuch=5"], "unknown option 'nosuch'"),
        (["--real=RealPong-v0"], "RealPong-v0 is not the game of this bundle, RealSnake-v0"),
        (["--device=nosuch"], "cannot use device 'nosuch'"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_dreamed(
    words, sentence, data, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(command, "evaluate", None)
    monkeypatch.chdir(tmp_path)
    assert command.main(["snake", f"--data={data}", *words]) == 1
    assert sentence in capsys.readouterr().err


def test_it_writes_its_figures_and_the_card(data, tmp_path, monkeypatch, capsys):
    written, scales = {}, []
    monkeypatch.setattr(command, "update_scores", lambda path, scores: written.update(scores))
    monkeypatch.setattr(command, "save_scale", lambda path, scale: scales.append(path))
    asked, ranking = [], {"spearman": {"value": 0.5}, "episodes": 2, "horizon": 9, "policies": []}
    monkeypatch.setattr(control, "rank_policies", lambda *words: asked.append(words) or ranking)
    out = tmp_path / "out"
    words = [f"--{name}={value}" for name, value in SIZES.items()]
    words += ["--update-card", "--real-options=apples=1"]
    assert command.main(["snake", f"--data={data}", f"--out={out}", *words]) == 0
    saved = json.loads((out / "evaluation.json").read_text())
    assert saved["rules"]["transition_exact_rate"] == written["rules.transition_exact_rate"]
    assert saved["evaluator"] == "SnakeEvaluator" and saved["real"] == "RealSnake-v0"
    assert set(saved["survival"]) == {"random", "astar", "equivalent"}
    assert set(saved["game"]) == {"random", "astar+random", "equivalent", "astar"}
    assert saved["rules"]["counts"]["real"]["value"] == 1 and set(saved["hold"]) == {"1"}
    assert "no actions" in saved["loop_closure"]["omitted"]
    assert saved["trust"]["min_trust"]["policy"] == "astar" and saved["reduced"] == {}
    assert saved["ranking"] == ranking and saved["policy_ranking"]["spearman"] == 0.5
    assert asked[0][0] == "snake" and asked[0][5] == ("apples=1",)
    assert saved["control"]["delta_psnr"]["samples"] == 8
    assert set(saved["control"]) == {"delta_psnr", "action_f1", "equivalent"}
    assert "omitted" in saved["decisions"]
    assert scales == [resolve_bundle("snake")]  # trust was calibrated on the validation split
    printed, error = capsys.readouterr()
    assert error.startswith("evaluating snake (") and "about " in error
    row = next(line for line in printed.splitlines() if line.startswith("next frame exact"))
    assert " [" in row and ">= 0.995" in row  # interval and goal
    assert "astar: return" in printed and "things counted right, all frames" in printed
    assert "evaluator: SnakeEvaluator" in printed and "evaluation.json" in printed


def test_without_a_ranking_no_policies_are_ranked(monkeypatch, tmp_path, data):
    monkeypatch.setattr(control, "rank_policies", None)
    config = command.EvaluateConfig(
        bundle="snake", data=str(data), out=str(tmp_path), ranking=False, **SIZES
    )
    command.evaluate_bundle(config)
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert "omitted" in saved["policy_ranking"]


def test_policies_are_ranked_in_dreams_that_are_drawn_as_the_others(monkeypatch):
    asked, ranking = [], {"omitted": "not here"}
    monkeypatch.setattr(control, "rank_policies", lambda *words: asked.append(words) or ranking)
    options = control.ControlOptions(control_clips=0, decision_states=0)
    drawn = EvaluationOptions(sampler_steps=2, guidance=1.5, temperature=0.5)
    model: Any = SimpleNamespace(
        spec=SimpleNamespace(world="snake"),
        parameters=lambda: iter([torch.zeros(1, device="meta")]),
        resolve_options=lambda given: given,
    )
    nothing: Any = None
    control.measure_control(Path("runs/a"), model, nothing, options, drawn)
    assert asked[0][1] == {
        "bundle": "runs/a",
        "device": "meta",
        "sampler_steps": 2,
        "guidance": 1.5,
        "temperature": 0.5,
    }


def test_data_are_looked_for_under_the_name_of_the_world(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data" / "pong"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    monkeypatch.setattr(command, "recorded_dataset", lambda path: SimpleNamespace(path=path))
    assert command.open_dataset("", "pong").path == "data/pong"
