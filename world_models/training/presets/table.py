"""The table of presets: one row per preset,
from its name to a function that returns its settings.
"""

from __future__ import annotations

from collections.abc import Callable

from collectors.worlds.table import UnknownNameError, unknown
from world_models.training.config import TrainConfig
from world_models.training.presets import any, coinrun, pong, reference, snake, tokens, worldmap

PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "snake": snake.snake,
    "snake-edm": snake.snake_edm,
    "snake-eqm": snake.snake_eqm,
    "snake-unet": snake.snake_unet,
    "snake-edm-distilled": snake.snake_edm_distilled,
    "pong": pong.pong,
    "pong-chance": pong.pong_chance,
    "pong-sprites": pong.pong_sprites,
    "pong-forcing": pong.pong_forcing,
    "worldmap": tokens.worldmap,
    "worldmap-diffusion": worldmap.worldmap_diffusion,
    "worldmap-flow": worldmap.worldmap_flow,
    "worldmap-ddpm": worldmap.worldmap_ddpm,
    "worldmap-unconditional": worldmap.worldmap_unconditional,
    "worldmap-distilled": worldmap.worldmap_distilled,
    "coinrun": tokens.coinrun,
    "coinrun-scroll": tokens.coinrun_scroll,
    "coinrun-chance": coinrun.coinrun_chance,
    "coinrun-pixel": coinrun.coinrun_pixel,
    "coinrun-latent": coinrun.coinrun_latent,
    "pong-tokens": tokens.pong_tokens,
    "snake-tokens": tokens.snake_tokens,
    "any": any.any_game,
    "any-tokens": any.any_tokens,
    # at the sizes of the reference systems, for a GPU
    "worldmap-transformer": reference.worldmap_transformer,
    "worldmap-transformer-unconditional": reference.worldmap_transformer_unconditional,
    "snake-unet-reference": reference.snake_unet_reference,
    "snake-unet-diamond": reference.snake_unet_diamond,
    "pong-forcing-reference": reference.pong_forcing_reference,
}


def find_preset(name: str) -> TrainConfig:
    """The settings of a preset. Raises UnknownNameError with the nearest name."""
    if name not in PRESETS:
        raise UnknownNameError(unknown("preset", name, PRESETS))
    return PRESETS[name]()
