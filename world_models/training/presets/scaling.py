"""Presets of any game fitted to the frames of the data that they are given."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from world_models.models.chance import ChanceConfig
from world_models.models.tokens_config import TokensConfig
from world_models.training.config import TrainConfig
from world_models.training.presets.any import any_game, any_tokens

FULL_GRID = 2 * 64 * 64  # pixels up to which patches stay small
PATCH, WIDER = 8, 1.5  # of larger frames: pixels along a patch, times the width


def fitted(name: str, config: TrainConfig, frame_shape: Sequence[int]) -> TrainConfig:
    """The settings of a run of the preset `name` for frames (H, W, C): `any` and `any-tokens` have
    larger patches and wider tokens where frames are large, so that a step stays about as dear, and
    `any-tokens` twice the values per code. Settings that the user gave, and all other presets,
    stay as they are.
    """
    height, width, _ = frame_shape
    large = height * width > FULL_GRID and height % PATCH == width % PATCH == 0
    if name not in SIZES or not large:
        return config
    preset, sizes, enlarged = SIZES[name]
    model, own = config.model, preset().model
    if type(model) is not type(own) or sizes(model) != sizes(own):
        return config
    return replace(config, model=enlarged(model))


def larger_size(config: TrainConfig, frame_shape: Sequence[int]) -> tuple[int, int] | None:
    """The next size (H, W) of large frames for which `fitted` would take larger patches, None where
    it has, or is not asked to.
    """
    height, width, channels = frame_shape
    size = -(-height // PATCH) * PATCH, -(-width // PATCH) * PATCH
    if height * width <= FULL_GRID or size == (height, width):
        return None
    larger = (*size, channels)
    return size if any(fitted(name, config, larger) is not config for name in SIZES) else None


def _enlarged_grid(model: ChanceConfig) -> ChanceConfig:
    width = round(WIDER * model.grid.width)
    return replace(model, grid=replace(model.grid, patch=PATCH, width=width))


def _enlarged_tokens(model: TokensConfig) -> TokensConfig:
    codes = model.tokenizer  # a patch has four times the pixels
    width = round(WIDER * model.network.width)
    return replace(
        model,
        tokenizer=replace(codes, patch=PATCH, levels=2 * codes.levels),
        network=replace(model.network, width=width),
    )


# by preset: its settings, the sizes that a user may have set, and the model for large frames
SIZES: dict[str, tuple[Callable[[], TrainConfig], Callable[..., Any], Callable[..., Any]]] = {
    "any": (any_game, lambda model: (model.grid.patch, model.grid.width), _enlarged_grid),
    "any-tokens": (
        any_tokens,
        lambda model: (model.tokenizer.patch, model.tokenizer.levels, model.network.width),
        _enlarged_tokens,
    ),
}
