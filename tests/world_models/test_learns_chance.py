"""Slow: what a world model has learned after a minute, from nothing."""

import json
from dataclasses import replace

import pytest

from agents.evaluation.evaluate import EvaluateConfig, evaluate_bundle
from collectors.recording.collect import collect
from world_models.training.presets.table import PRESETS
from world_models.training.run import train


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_food_comes_back_after_a_meal_in_a_dream_that_saw_only_random_play(tmp_path):
    """One meal in a hundred steps: too few for a chance variable whose early preferences grow
    certain.
    """
    game = {"env_id": "neural_envs:RealSnake-v0", "env_options": {"grid_size": 6}}
    collect(out=tmp_path / "data", frames=20_000, policy="random", lanes=16, **game)
    collect(out=tmp_path / "held_out", frames=8_000, policy="astar", lanes=16, seed=1, **game)
    run = replace(
        PRESETS["snake"](), data=tmp_path / "data", out=tmp_path / "run", updates=2_000, threads=1
    )
    run = replace(run, validate_every=500, validation_batches=1, event_weight=20.0, contexts=32)
    places = {
        "bundle": str(train(run)),
        "data": str(tmp_path / "held_out"),
        "out": str(tmp_path / "evaluation"),
    }
    counts = {
        "transitions": 600,
        "random_actions": 64,
        "rollouts": 16,
        "horizon": 8,
        "kid_frames": 0,
    }
    counts |= {"survival_steps": 50, "survival_lanes": 8, "trust_transitions": 0}
    evaluate_bundle(EvaluateConfig(**places, **counts, ranking=False))
    figures = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text())
    assert figures["rules"]["one_food_after_eating"] > 0.5
    assert figures["survival"]["astar"]["one_head_one_food"] > 0.7
