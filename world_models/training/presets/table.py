"""Presets: functions that return a training configuration. The table reads top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from world_models.diffusion.objectives import DDPM, EDM, FlowMatching
from world_models.diffusion.samplers import Ancestral, Euler
from world_models.models.chance import ChanceConfig, ChanceSettings
from world_models.models.diffusion import DiffusionConfig
from world_models.models.diffusion_forcing import ForcingConfig
from world_models.models.distilled import DistilledConfig
from world_models.models.joint import JointConfig
from world_models.models.latent import LatentConfig
from world_models.models.pixel import PixelConfig
from world_models.networks.causal_dit import CausalDiTConfig
from world_models.networks.dit import TransformerConfig
from world_models.networks.eqm_field import EqMFieldConfig
from world_models.networks.film import FilmConfig
from world_models.networks.grid import GridConfig
from world_models.networks.unet import UNetConfig
from world_models.training.config import TrainConfig
from world_models.training.presets.reference import REFERENCES


def snake() -> TrainConfig:
    """The default Snake bundle: chance variable, one decoding call a step."""
    return TrainConfig(
        model=ChanceConfig(grid=GridConfig(width=48, encoder_depth=2, decoder_depth=2))
    )


def snake_edm() -> TrainConfig:
    """Snake by diffusion: EDM, three Euler steps, attention in both halves; the place of new food
    is drawn first.
    """
    grid = GridConfig(width=64, encoder_depth=2, decoder_depth=3, attention=True)
    return TrainConfig(
        model=DiffusionConfig(network=grid, chance=ChanceSettings()),
        out=Path("runs/snake-edm"),
        learning_rate=1e-3,
        updates=4_500,
        rollout_steps=1,
    )


def snake_eqm() -> TrainConfig:
    """Snake by equilibrium matching: next state and A*'s action as one pair; a policy and a world
    model at once.
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


def pong() -> TrainConfig:
    """Pong: four frames show the speeds; most of the run sees single steps, for precision is what
    counts.
    """
    model = ChanceConfig(
        grid=GridConfig(width=48, encoder_depth=2, decoder_depth=2), context_length=4
    )
    return TrainConfig(
        model=model,
        data=Path("data/pong"),
        out=Path("runs/pong"),
        updates=8_000,
        rollout_steps=3,
        rollout_from=0.9,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.05,
    )


def pong_sprites() -> TrainConfig:
    """Pong with ball and paddles as points. They learn first, at the high rates: a move is a few
    numbers.

    `data/pong-many` has bounces of every kind: with a quarter of its moves the ball is twice as far
    off.
    """
    base = pong()
    return replace(
        base,
        model=replace(base.model, sprites=3, sprites_first=0.6),
        data=Path("data/pong-many"),
        out=Path("runs/pong-sprites"),
        updates=20_000,
        rollout_from=0.95,
        validate_every=1000,
        learning_rate=3e-3,
        noise=0.01,
        damage=0.1,
    )


def worldmap() -> TrainConfig:
    """The world map: what was in sight is copied, what comes into sight is dreamed by diffusion.

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
        out=Path("runs/worldmap"),
        updates=7_000,
        learning_rate=1.5e-3,
        rollout_steps=1,
        end_weight=10.0,
        reward_weight=0.1,
        termination_weight=0.1,
        damage=0.0,
        noise=0.02,
    )


def coinrun() -> TrainConfig:
    """CoinRun: the camera moves by parts of a pixel, so patches are warped copies; four frames show
    the speeds.
    """
    grid = GridConfig(width=64, encoder_depth=2, decoder_depth=2, copy=(0,), flow=8.0)
    return TrainConfig(
        model=ChanceConfig(grid=grid, context_length=4, change_weight=0.0),
        data=Path("data/coinrun"),
        out=Path("runs/coinrun"),
        updates=14_000,
        learning_rate=1e-3,
        rollout_from=0.9,
        event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        noise=0.02,
        damage=0.0,
    )


def snake_unet() -> TrainConfig:
    """Snake by the pixel U-Net, small: pixels are folded two by two, so it starts at 32 x 32; two
    Euler steps.
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


def coinrun_pixel() -> TrainConfig:
    """CoinRun by regression: grey frames of 84 x 84, stacked by four; four pictures ahead are
    learned in one pass.

    Its data: neural-envs collect coinrun --options observation=grey84,levels=split --out
    data/coinrun-grey
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


def pong_forcing() -> TrainConfig:
    """Pong by diffusion forcing: clips of twelve frames at once, three steps a frame, the last ten
    of them seen.

    On frames of 24 x 24, as the reference system has them: sixteen patches, which two cores can
    learn. They show no score, so a game is one rally; `collect pong --options
    size=24,points_to_win=1 --out data/pong-rally`.
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


def any_game() -> TrainConfig:
    """Any Gymnasium game: a small chance model that sees four frames and may copy patches.

    `data` is the user's.
    """
    model = ChanceConfig(
        grid=GridConfig(width=48, encoder_depth=2, decoder_depth=2, copy=(0,)), context_length=4
    )
    return TrainConfig(
        model=model,
        data=Path("data/any"),
        out=Path("runs/any"),
        updates=5_000,
        rollout_from=0.6,
        event_weight=10.0,
        noise=0.05,
    )


def worldmap_flow() -> TrainConfig:
    """The world map by a diffusion transformer and flow matching, four steps a frame; guidance may
    be set.
    """
    network = TransformerConfig(width=96, patch=8, depth=3, copy=(0, 8), pixel_features=8)
    model = DiffusionConfig(
        network=network, objective=FlowMatching(prediction="frame"), sampler=Euler(4)
    )
    return replace(worldmap(), model=model, out=Path("runs/worldmap-flow"), action_dropout=0.1)


def worldmap_ddpm() -> TrainConfig:
    """The same network by DDPM, with ten times the steps."""
    flow = worldmap_flow()
    model = replace(flow.model, objective=DDPM(prediction="frame"), sampler=Ancestral(40))
    return replace(flow, model=model, out=Path("runs/worldmap-ddpm"))


def worldmap_unconditional() -> TrainConfig:
    """Windows of the map from nothing; `train worldmap-flow
    init_from=runs/worldmap-unconditional/bundle` goes on.
    """
    flow = worldmap_flow()
    model = replace(flow.model, network=replace(flow.model.network, copy=(), unconditional=True))
    return replace(flow, model=model, out=Path("runs/worldmap-unconditional"), action_dropout=0.0)


def worldmap_distilled() -> TrainConfig:
    """The world map in one step a frame, taught by the released bundle, which takes three
    (docs/speed.md).
    """
    model, out = DistilledConfig(), Path("runs/worldmap-distilled")
    return replace(worldmap(), model=model, out=out, updates=3_000, learning_rate=5e-4, warmup=100)


def snake_edm_distilled() -> TrainConfig:
    """Snake by EDM in one step a frame, taught by the released bundle, which takes three."""
    model, out = DistilledConfig("snake-edm"), Path("runs/snake-edm-distilled")
    return replace(snake_edm(), model=model, out=out, updates=2_000, learning_rate=5e-4, warmup=100)


def coinrun_latent() -> TrainConfig:
    """CoinRun by flow matching in the latents of an autoencoder, which learns first and is then
    frozen.

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


PRESETS: dict[str, Callable[[], TrainConfig]] = {
    "snake": snake,
    "snake-edm": snake_edm,
    "snake-eqm": snake_eqm,
    "pong": pong,
    "pong-sprites": pong_sprites,
    "worldmap": worldmap,
    "coinrun": coinrun,
    "any": any_game,
    "worldmap-flow": worldmap_flow,
    "worldmap-ddpm": worldmap_ddpm,
    "worldmap-unconditional": worldmap_unconditional,
    "snake-unet": snake_unet,
    "coinrun-pixel": coinrun_pixel,
    "pong-forcing": pong_forcing,
    "coinrun-latent": coinrun_latent,
    "worldmap-distilled": worldmap_distilled,
    "snake-edm-distilled": snake_edm_distilled,
    **REFERENCES,
}
