"""Presets of any game fitted to the frames of the data that they are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from world_models.models.chance import ChanceConfig
from world_models.training.config import TrainConfig
from world_models.training.presets.any import any_game

FULL_GRID = 2 * 64 * 64  # pixels up to which patches stay small
PATCH, WIDER = 8, 1.5  # of larger frames: pixels along a patch, times the width


def fitted(name: str, config: TrainConfig, frame_shape: Sequence[int]) -> TrainConfig:
    """The settings of a run of the preset `name` for frames (H, W, C): the preset `any` has larger
    patches and wider tokens where frames are large, so that a step stays about as dear. Settings
    that the user gave, and all other presets, stay as they are.
    """
    height, width, _ = frame_shape
    own, model = any_game().model, config.model
    large = height * width > FULL_GRID and height % PATCH == width % PATCH == 0
    if name != "any" or not large or not isinstance(model, ChanceConfig):
        return config
    assert isinstance(own, ChanceConfig)
    if (model.grid.patch, model.grid.width) != (own.grid.patch, own.grid.width):
        return config
    grid = replace(model.grid, patch=PATCH, width=round(WIDER * model.grid.width))
    return replace(config, model=replace(model, grid=grid))
