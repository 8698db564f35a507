"""Presets of the reference systems' own sizes, for a GPU.

Tests build them and count their weights.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from world_models.diffusion.objectives import DDPM, EDM, FlowMatching
from world_models.diffusion.samplers import Euler
from world_models.models.diffusion import DiffusionConfig
from world_models.models.diffusion_forcing import ForcingConfig
from world_models.networks.causal_dit import CausalDiTConfig
from world_models.networks.dit import TransformerConfig
from world_models.networks.unet import UNetConfig
from world_models.training.config import TrainConfig

MAP_NETWORK = TransformerConfig(width=256, patch=4, depth=3, heads=1, start="film", drop="both")


def worldmap_transformer() -> TrainConfig:
    """The world map's transformer and its training:
    5.7 M parameters, the start image as one vector.
    """
    return TrainConfig(
        model=DiffusionConfig(
            network=MAP_NETWORK, objective=FlowMatching(), sampler=Euler(10), guidance=2.0
        ),
        data=Path("data/worldmap"),
        out=Path("runs/worldmap-transformer"),
        updates=1_875_000,
        batch_size=16,
        learning_rate=1e-4,
        rollout_steps=1,
        termination_event_weight=10.0,
        reward_weight=0.1,
        termination_weight=0.1,
        damage=0.0,
        noise=0.02,
        action_dropout=0.1,
        validate_every=5_000,
    )


def worldmap_transformer_unconditional() -> TrainConfig:
    """The reference system's larger, unconditional transformer: DDPM to the noise, 100 steps."""
    network = replace(MAP_NETWORK, depth=6, unconditional=True)
    model = DiffusionConfig(network=network, objective=DDPM(prediction="noise"), sampler=Euler(100))
    return replace(
        worldmap_transformer(),
        model=model,
        out=Path("runs/worldmap-transformer-unconditional"),
        action_dropout=0.0,
    )


def snake_unet_reference() -> TrainConfig:
    """The pixel U-Net as it was published, 53 M parameters,
    with its noise levels and guidance, for a large GPU.
    """
    objective = EDM(log_mean=-1.2, log_std=1.2, sigma_min=0.002, sigma_max=80.0)
    return TrainConfig(
        model=DiffusionConfig(
            network=UNetConfig(), objective=objective, context_length=4, guidance=2.0
        ),
        out=Path("runs/snake-unet-reference"),
        batch_size=512,
        learning_rate=1e-4,
        weight_decay=1e-4,
        updates=13_800,
        rollout_steps=1,
        ema=0.9999,
        action_dropout=0.3,
        termination_event_weight=5.0,
        damage=0.0,
        noise=0.0,
    )


def snake_unet_diamond() -> TrainConfig:
    """A U-Net as wide as DIAMOND's for Atari (Alonso et al. 2024, arXiv:2405.12399), with its noise
    levels: for a GPU.

    Its blocks and its offset noise are not rebuilt.
    """
    network = UNetConfig(base=64, multipliers=(1, 1, 1), blocks=2, condition=256)
    objective = EDM(log_mean=-0.4, log_std=1.2, sigma_min=0.002, sigma_max=5.0)
    return TrainConfig(
        model=DiffusionConfig(network=network, objective=objective, context_length=4),
        out=Path("runs/snake-unet-diamond"),
        learning_rate=1e-4,
        weight_decay=1e-2,
        updates=40_000,
        rollout_steps=2,
        rollout_from=0.0,
    )


def pong_forcing_reference() -> TrainConfig:
    """Diffusion forcing at the size of the reference system, 19.5 M parameters: for a GPU, and
    frames of 24 x 24.
    """
    network = CausalDiTConfig(
        width=320,
        patch=3,
        depth=8,
        heads=20,
        expansion=4,
        window=30,
        registers=1,
        stem=160,
        rope="flat",
    )
    return TrainConfig(
        model=ForcingConfig(network=network, sampler=Euler(6), clean=0.0),
        data=Path("data/pong-rally"),
        out=Path("runs/pong-forcing-reference"),
        optimizer="muon",
        updates=2_500,
        batch_size=64,
        rollout_steps=26,
        rollout_from=0.0,
        warmup=100,
        weight_decay=1e-5,
        clip=10.0,
        noise=0.0,
        damage=0.0,
        action_dropout=0.2,
    )
