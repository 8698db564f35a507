"""Presets of Snake. Each function returns the settings of a training run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from world_models.diffusion.samplers import Euler
from world_models.models.chance import ChanceConfig
from world_models.models.chance_variables import ChanceSettings
from world_models.models.diffusion import DiffusionConfig
from world_models.models.distilled import DistilledConfig
from world_models.models.joint import JointConfig
from world_models.networks.eqm_field import EqMFieldConfig
from world_models.networks.grid import GridConfig
from world_models.networks.unet import UNetConfig
from world_models.training.config import TrainConfig


def snake() -> TrainConfig:
    """The default Snake bundle: chance variable, one decoding call per step."""
    grid = GridConfig(width=48, encoder_depth=2, decoder_depth=2)
    model = ChanceConfig(
        grid=grid,
        point_weight=0.05,  # without it two of three seeds painted no food at all
        most_colors=16,  # agents hardly learn among faint ghosts
    )
    return TrainConfig(model=model, random_chance=0.4, updates=8_000)


def snake_edm() -> TrainConfig:
    """Snake by diffusion: EDM, three Euler steps, attention in both halves;
    the place of new food is drawn first.
    """
    grid = GridConfig(width=64, encoder_depth=2, decoder_depth=3, attention=True)
    return TrainConfig(
        model=DiffusionConfig(network=grid, chance=ChanceSettings()),
        out=Path("runs/snake-edm"),
        learning_rate=1e-3,
        updates=4_500,
        rollout_steps=1,
    )


def snake_edm_distilled() -> TrainConfig:
    """Snake by EDM in one step per frame, taught by the bundle of `train snake-edm`, in three."""
    teacher = snake_edm()
    model = DistilledConfig(str(teacher.out / "bundle"))
    out = Path("runs/snake-edm-distilled")
    return replace(teacher, model=model, out=out, updates=2_000, learning_rate=5e-4, warmup=100)


def snake_eqm() -> TrainConfig:
    """Snake by equilibrium matching: next state and A*'s action as one pair;
    a policy and a world model at once.
    """
    return TrainConfig(
        model=JointConfig(
            network=EqMFieldConfig(width=48, depth=2, heads=3, field_width=48),
            chance=ChanceSettings(entropy_weight=3e-3, prior_weight=0.1),
            change_weight=8.0,
        ),
        out=Path("runs/snake-eqm"),
        expert=True,
        entropy_until=0.9,
        event_weight=15.0,
        learning_rate=1.5e-3,
        updates=7_000,
        rollout_steps=1,
    )


def snake_unet() -> TrainConfig:
    """Snake by the pixel U-Net, small: pixels are folded two by two,
    so it starts at 32 x 32; two Euler steps.
    """
    network = UNetConfig(
        width=32,
        base=24,
        multipliers=(1, 2),
        condition=64,
        groups=8,
        heads=4,
        stem=2,
        pixel_features=8,
    )
    return TrainConfig(
        model=DiffusionConfig(network=network, sampler=Euler(2), context_length=4),
        out=Path("runs/snake-unet"),
        learning_rate=1e-3,
        updates=8_000,
        rollout_steps=1,
    )
