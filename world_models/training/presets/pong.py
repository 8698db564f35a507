"""Presets of Pong. Each function returns the settings of a training run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from world_models.diffusion.objectives import FlowMatching
from world_models.diffusion.samplers import Euler
from world_models.models.chance import ChanceConfig
from world_models.models.diffusion_forcing import ForcingConfig
from world_models.models.scene import SceneConfig
from world_models.networks.causal_dit import CausalDiTConfig
from world_models.networks.grid import GridConfig
from world_models.training.config import TrainConfig

PONG_MODEL = ChanceConfig(
    grid=GridConfig(width=48, encoder_depth=2, decoder_depth=2), context_length=4
)


def pong_chance() -> TrainConfig:
    """Pong by chance: four frames show the speeds; most of the run trains single steps,
    where precision is learned.
    """
    return TrainConfig(
        model=PONG_MODEL,
        data=Path("data/pong"),
        out=Path("runs/pong-chance"),
        updates=8_000,
        rollout_steps=3,
        rollout_from=0.9,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.05,
    )


def pong_sprites() -> TrainConfig:
    """Pong with ball and paddles as points.

    They learn first, at the high rates: a move is a few numbers.

    The recording has bounces of every kind: with a quarter of its moves the ball is twice as far
    off.
    """
    return replace(
        pong_chance(),
        model=replace(PONG_MODEL, sprites=3, sprites_first=0.6),
        data=Path("data/pong"),
        out=Path("runs/pong-sprites"),
        updates=20_000,
        rollout_from=0.95,
        validate_every=1000,
        learning_rate=3e-3,
        noise=0.01,
        damage=0.1,
    )


def pong() -> TrainConfig:
    """Pong as sprites before patches, all of it in entries of dictionaries: the bundle `pong`.

    An update is numbers only, so there are many: each reads sixteen steps of every clip.
    """
    return TrainConfig(
        model=SceneConfig(),
        data=Path("data/pong"),
        out=Path("runs/pong"),
        updates=8_000,  # more learn the recording by heart
        batch_size=64,
        rollout_steps=16,
        rollout_from=0.0,
        event_weight=10.0,
        termination_event_weight=20.0,
        learning_rate=1e-3,
        reward_weight=1.0,
        termination_weight=1.0,
        validate_every=2_000,
        validation_batches=2,
    )


def pong_forcing() -> TrainConfig:
    """Pong by diffusion forcing: clips of twelve frames at once,
    three steps per frame, a window of ten frames.

    On frames of 24 x 24, as the reference system has them: sixteen patches, which two cores can
    learn. They show no score, so a game is one rally; its data: neural-envs collect pong-rally
    """
    objective = FlowMatching(prediction="frame", times="logit-normal", shift=3.0)
    return TrainConfig(
        model=ForcingConfig(
            network=CausalDiTConfig(patch=6, depth=4, window=10, positions=True),
            objective=objective,
            sampler=Euler(3),
            change_weight=5.0,
        ),
        data=Path("data/pong-rally"),
        out=Path("runs/pong-forcing"),
        optimizer="muon",
        validation_batches=2,
        updates=5_500,
        batch_size=16,
        rollout_steps=8,
        rollout_from=0.0,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.05,
        damage=0.0,
        action_dropout=0.1,
    )
