"""Presets of CoinRun. Each function returns the settings of a training run."""

from __future__ import annotations

from pathlib import Path

from world_models.diffusion.objectives import FlowMatching
from world_models.models.chance import ChanceConfig
from world_models.models.latent import LatentConfig
from world_models.models.pixel import PixelConfig
from world_models.networks.grid import GridConfig
from world_models.networks.pixel_network import FilmConfig
from world_models.training.config import TrainConfig


def coinrun_chance() -> TrainConfig:
    """CoinRun by chance: the camera moves by parts of a pixel, so patches are warped copies;
    four frames show the speeds.
    """
    grid = GridConfig(width=64, encoder_depth=2, decoder_depth=2, copy=(0,), flow=8.0)
    return TrainConfig(
        model=ChanceConfig(grid=grid, context_length=4, change_weight=0.0),
        data=Path("data/coinrun"),
        out=Path("runs/coinrun-chance"),
        updates=14_000,
        learning_rate=1e-3,
        rollout_from=0.9,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.02,
        damage=0.0,
    )


def coinrun_latent() -> TrainConfig:
    """CoinRun by flow matching in the latents of an autoencoder,
    which learns first and is then frozen.

    In two runs: `model.autoencoder_share=1 out=runs/a`, then `model.autoencoder_share=0
    init_from=runs/a/bundle`.
    """
    grid = GridConfig(
        width=96, patch=1, encoder_depth=2, decoder_depth=2, attention=True, positions=True
    )
    objective = FlowMatching(times="logit-normal")
    return TrainConfig(
        model=LatentConfig(network=grid, objective=objective, context_length=4),
        data=Path("data/coinrun"),
        out=Path("runs/coinrun-latent"),
        updates=9_000,
        learning_rate=1e-3,
        rollout_steps=1,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.02,
        damage=0.0,
    )


def coinrun_pixel() -> TrainConfig:
    """CoinRun by regression: gray frames of 84 x 84, stacked by four; four images ahead are
    learned in one pass.

    Its data: neural-envs collect coinrun-grey
    """
    network = FilmConfig(width=64, ahead=4)
    return TrainConfig(
        model=PixelConfig(network=network, stack=4),
        data=Path("data/coinrun-grey"),
        out=Path("runs/coinrun-pixel"),
        updates=5_000,
        learning_rate=1e-3,
        rollout_steps=4,
        rollout_from=0.85,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.02,
        damage=0.0,
        contexts=128,
    )
