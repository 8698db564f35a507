"""What a dream and a bundle show of themselves in a prompt and in a notebook."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from neural_envs import bundles
from neural_envs.env import NeuralEnv
from neural_envs.vector_env import NeuralVectorEnv


def test_an_environment_tells_its_bundle_its_device_and_its_step(counting):
    env = NeuralEnv(counting, render_mode="rgb_array")
    assert (
        repr(env) == "<NeuralEnv(bundle='counting', world='counting', device='cpu'), not reset yet>"
    )
    env.reset(seed=0)
    env.step(1)
    assert repr(env).endswith("step 1>")
    assert type(env.render()) is np.ndarray


def test_a_vector_environment_tells_the_steps_of_its_first_lanes(counting):
    env = NeuralVectorEnv(9, counting)
    env.reset(seed=0)
    assert repr(env).startswith("<NeuralVectorEnv(9, bundle='counting'")
    assert repr(env).endswith("step 0, 0, 0, 0, 0, 0, 0, 0, ...>")


@pytest.mark.parametrize(("lanes", "tiles"), [(0, (1, 1)), (6, (2, 3))])
def test_a_notebook_shows_what_every_lane_sees(counting, lanes, tiles):
    env = NeuralVectorEnv(lanes, counting) if lanes else NeuralEnv(counting)
    assert env._repr_png_() is None
    env.reset(seed=0)
    with Image.open(io.BytesIO(env._repr_png_())) as image:
        assert image.size == (tiles[1] * 8 * 3, tiles[0] * 8 * 3)


def test_the_configuration_of_an_environments_bundle_is_a_dict_that_a_notebook_folds_up():
    config = NeuralEnv("snake").bundle
    assert config["kind"] == "chance" and json.loads(json.dumps(config)) == config
    html = config._repr_html_()
    assert "kind chance" in html and "<details><summary>scores</summary>" in html
    assert "one_step.psnr" in html and "<script" not in html


def test_a_bundle_tells_what_it_is_and_shows_its_starts():
    bundle = bundles.load("snake")
    line = "<Bundle snake: chance model of snake, 0.18 M parameters, 4 actions, 256 starts>"
    assert repr(bundle) == line
    html = bundle._repr_html_()
    assert "up, down, left, right" in html and "one_step.psnr" in html
    assert not re.search(r'(?:src|href)="(?!data:)', html)
