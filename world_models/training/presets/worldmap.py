"""Presets of the world map. Each function returns the settings of a training run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from world_models.diffusion.objectives import DDPM, EDM, FlowMatching
from world_models.diffusion.samplers import Ancestral, Euler
from world_models.models.diffusion import DiffusionConfig
from world_models.models.distilled import DistilledConfig
from world_models.networks.dit import TransformerConfig
from world_models.networks.grid import GridConfig
from world_models.training.config import TrainConfig

FLOW_NETWORK = TransformerConfig(width=96, patch=8, depth=3, copy=(0, 8), pixel_features=8)
FLOW_MODEL = DiffusionConfig(
    network=FLOW_NETWORK, objective=FlowMatching(prediction="frame"), sampler=Euler(4)
)


def worldmap_diffusion() -> TrainConfig:
    """The world map by diffusion: what was in sight is copied, what comes into sight is dreamed.

    A move is 8 pixels, and so is a patch: what is new is one row or column of patches, each dreamed
    as a whole.
    """
    grid = GridConfig(
        width=96,
        patch=8,
        encoder_depth=2,
        decoder_depth=3,
        attention=True,
        positions=True,
        copy=(0, 8),
        pixel_features=8,
    )
    objective = EDM(log_mean=-0.2, log_std=1.2, sigma_min=0.1, precondition=False)
    return TrainConfig(
        model=DiffusionConfig(network=grid, objective=objective),
        data=Path("data/worldmap"),
        out=Path("runs/worldmap-diffusion"),
        updates=7_000,
        learning_rate=1.5e-3,
        rollout_steps=1,
        termination_event_weight=10.0,
        reward_weight=0.1,
        termination_weight=0.1,
        damage=0.0,
        noise=0.02,
    )


def worldmap_flow() -> TrainConfig:
    """The world map by a diffusion transformer and flow matching, four steps per frame.

    Guidance may be set.
    """
    out = Path("runs/worldmap-flow")
    return replace(worldmap_diffusion(), model=FLOW_MODEL, out=out, action_dropout=0.1)


def worldmap_ddpm() -> TrainConfig:
    """The same network by DDPM, with ten times the steps."""
    model = replace(FLOW_MODEL, objective=DDPM(prediction="frame"), sampler=Ancestral(40))
    return replace(worldmap_flow(), model=model, out=Path("runs/worldmap-ddpm"))


def worldmap_unconditional() -> TrainConfig:
    """Windows of the map from nothing; `train worldmap-flow
    init_from=runs/worldmap-unconditional/bundle` goes on.
    """
    network = replace(FLOW_NETWORK, copy=(), unconditional=True)
    model, out = replace(FLOW_MODEL, network=network), Path("runs/worldmap-unconditional")
    return replace(worldmap_flow(), model=model, out=out, action_dropout=0.0)


def worldmap_distilled() -> TrainConfig:
    """The world map in one step per frame, taught by `worldmap-diffusion`, which takes three
    (docs/speed.md).
    """
    model, out = DistilledConfig(), Path("runs/worldmap-distilled")
    return replace(
        worldmap_diffusion(), model=model, out=out, updates=3_000, learning_rate=5e-4, warmup=100
    )
