"""A file of figures says how it was made, and nothing about where."""

from __future__ import annotations

import json
import platform
import re
from dataclasses import replace

from agents.evaluation.evaluate import EvaluateConfig
from agents.evaluation.how_made import command_text, how_made
from agents.experiments.transfer import preset
from collectors.settings.parse import parse

BUNDLE = ("bundle",)


def test_the_command_is_what_differs_from_the_defaults_and_gives_the_same_settings():
    config = EvaluateConfig(
        bundle="snake", transitions=5, policies=("random", "astar"), ranking=False, out="a/b"
    )
    text = command_text("evaluate", config, EvaluateConfig, BUNDLE)
    assert text == (
        "neural-envs evaluate snake --no-ranking --transitions 5 --policies random,astar"
    )
    again = parse(EvaluateConfig, text.split()[2:], "evaluate", BUNDLE)
    assert again == replace(config, out=EvaluateConfig.out)


def test_a_preset_is_the_default_of_its_world():
    config = replace(preset(["pong"]), seeds=(0, 1))
    assert command_text("transfer", config, preset(["pong"]), ("name",)) == (
        "neural-envs transfer pong --seeds 0,1"
    )


def test_no_path_and_no_host_is_in_it():
    config = EvaluateConfig(bundle="/home/somebody/runs/bundle", data="/mnt/data/snake")
    made = how_made("evaluate", config, EvaluateConfig, BUNDLE)
    assert made["command"] == "neural-envs evaluate bundle --data snake"
    text = json.dumps(made)
    assert platform.node() not in text.split('"') and "/home" not in text and "/mnt" not in text
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", made["date"])
    assert {"processor", "vectors", "cores", "threads", "torch"} <= set(made["machine"])
