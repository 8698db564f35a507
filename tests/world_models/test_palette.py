"""A model that draws in the colors of its recording keeps no ghosts, and the rest is as before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from neural_envs.bundles import load_model
from world_models.bundles.bundle import load_bundle, save_bundle
from world_models.bundles.contexts import Contexts
from world_models.models.chance import ChanceConfig, ChanceModel
from world_models.models.palette import find_palette, to_palette
from world_models.networks.grid import GridConfig
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS, Context
from world_models.world_spec import WorldSpec

COLORS = np.array([[0, 0, 0], [12, 14, 28], [60, 180, 90], [255, 255, 255]], np.uint8)
SPEC = WorldSpec("toy", (16, 16, 3), ("a", "b"), (0.0, 1.0), 10, 100)
CONFIG = ChanceConfig(grid=GridConfig(width=8, encoder_depth=1, decoder_depth=1), most_colors=4)


def frames(colors: np.ndarray) -> np.ndarray:
    return colors[np.random.default_rng(0).integers(len(colors), size=(6, 16, 16))]


@pytest.mark.parametrize("channels", [1, 3, 12])
def test_the_colors_are_those_of_all_parts_and_none_where_there_are_too_many(channels):
    generator = np.random.default_rng(1)
    parts = [generator.integers(2, size=(3, 4, 4, channels)).astype(np.uint8) for _ in range(2)]
    expected = np.unique(np.concatenate(parts).reshape(-1, channels), axis=0)
    found = find_palette(lambda: parts, len(expected))
    assert sorted(map(tuple, found)) == sorted(map(tuple, expected))
    assert find_palette(lambda: parts, len(expected) - 1) is None


def test_each_pixel_becomes_the_nearest_color():
    levels = torch.tensor([[3.0, 5, 9], [20, 30, 40], [70, 160, 80], [400, 200, 250]])
    x = (levels / 127.5 - 1).T.reshape(1, 3, 2, 2)
    drawn = to_palette(x, torch.from_numpy(COLORS).float())
    assert drawn.dtype == torch.uint8 and drawn.shape == (1, 2, 2, 3)
    assert np.array_equal(drawn.reshape(4, 3).numpy(), COLORS)


def test_colors_that_are_close_are_told_apart_where_matrices_are_rounded():
    close = torch.tensor([[200.0, 200, 200], [202, 200, 200], [204, 200, 200]])
    x = (close / 127.5 - 1).T.reshape(1, 3, 1, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(to_palette(x, close).reshape(3, 3), close.to(torch.uint8))


def test_a_trained_model_dreams_in_its_colors_and_so_does_its_bundle(tmp_path):
    recorded = frames(COLORS)
    model = ChanceModel.build_for_training(SPEC, CONFIG, load_model, lambda: [recorded])
    assert {*map(tuple, model.palette.tolist())} == {*map(tuple, COLORS.tolist())}
    contexts = Contexts(recorded[:, None], np.zeros((6, 0), np.int64))
    save_bundle(tmp_path, model, contexts, {}, {})
    loaded, rows = load_bundle(tmp_path).model, torch.arange(6)
    for one in (model, loaded):
        state = one.init(Context(torch.from_numpy(recorded[:, None]), torch.zeros(6, 0).long()))
        dream = one.step(state, rows % 2, NoiseStream.from_seeds(rows), DEFAULT_OPTIONS)
        assert {*map(tuple, dream.frame.reshape(-1, 3).tolist())} <= {*map(tuple, COLORS.tolist())}
        assert torch.equal(dream.state.frames[:, -1], dream.frame)


def test_a_recording_of_many_colors_leaves_the_model_as_it_was():
    many = np.random.default_rng(2).integers(256, size=(4, 16, 16, 3)).astype(np.uint8)
    model = ChanceModel.build_for_training(SPEC, CONFIG, load_model, lambda: [many])
    plain = ChanceModel(SPEC, replace(CONFIG, most_colors=0))
    assert model.config.palette == 0 and set(model.state_dict()) == set(plain.state_dict())
