"""Presets of the token family, of all worlds.

Each function returns the settings of a training run.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from world_models.models.tokens_config import TokensConfig
from world_models.networks.masked_tokens import MaskedTokensConfig
from world_models.networks.tokenizer import TokenizerConfig
from world_models.training.config import TrainConfig


def _tokens(model: TokensConfig, data: str) -> TrainConfig:
    """What the runs of token models have in common; `data` is the dataset's name."""
    return TrainConfig(
        model=model,
        data=Path("data") / data,
        updates=20_000,
        learning_rate=1.5e-3,
        rollout_steps=2,
        rollout_from=0.6,
        event_weight=10.0,
        termination_event_weight=20.0,
        reward_weight=0.1,
        termination_weight=0.1,
        trust_weight=0.02,
        noise=0.0,
        damage=0.0,
        action_dropout=0.1,
        validate_every=500,
        validation_batches=4,
    )


def coinrun() -> TrainConfig:
    """CoinRun by tokens: the bundle `coinrun`. In one pass it dreams fast enough to learn in.

    Its data: neural-envs collect coinrun
    """
    model = TokensConfig(
        tokenizer=TokenizerConfig(levels=(8,) * 4, focus=0.5),  # coins are five pixels large
        network=MaskedTokensConfig(copy=(0, 1)),
        temperature=0.6,
        new_temperature=1.0,  # else levels run empty, without coins and enemies
        new_edge=3,
        sure_copy=0.3,  # players stay
        tokenizer_share=0.15,
        pixel_features=8,
        rare=0.5,
        all_masked=0.7,  # as its one pass
        new_only=0.0,
        corruption=0.03,  # with more, what is rare is mended away
        corrupted=0.5,
        assumed_corruption=0.0,
        erased=0.2,  # else a lost player never comes back
    )
    return replace(
        _tokens(model, "coinrun"),
        out=Path("runs/coinrun"),
        updates=16_000,
    )


def coinrun_scroll() -> TrainConfig:
    """CoinRun by tokens with the camera's move as a choice of its own, and the moved frame to copy
    from: coins stay, players get lost more often than with `coinrun`, at a quarter of the speed.

    Its data: neural-envs collect coinrun
    """
    model = TokensConfig(
        tokenizer=TokenizerConfig(levels=(8,) * 6, focus=0.5),  # coins are five pixels large
        network=MaskedTokensConfig(width=96, copy=(0,), scroll=(10, 4)),  # at 64 players get lost
        passes=2,  # in one, each place of what is new is drawn by itself
        temperature=0.6,
        new_temperature=1.0,  # else levels run empty, without coins and enemies
        move_temperature=0.0,  # drawn moves leave players in the air, and they die
        tokenizer_share=0.2,
        pixel_features=8,
        rare=0.5,
        all_masked=0.5,
        corruption=0.03,  # with more, what is rare is mended away
        corrupted=0.5,
        assumed_corruption=0.0,
        erased=0.3,  # else a lost player never comes back
        own_moves=0.5,
    )
    return replace(
        _tokens(model, "coinrun"),
        out=Path("runs/coinrun-scroll"),
        updates=9_000,
    )


def worldmap() -> TrainConfig:
    """The world map by tokens: the bundle `worldmap`. More codes for its relief; what comes into
    sight is drawn in five passes.

    A move is 8 pixels, two places, and what was in sight is copied from there, pixel by pixel.
    """
    model = TokensConfig(
        tokenizer=TokenizerConfig(levels=(8,) * 10, width=96, texture=0.3),
        network=MaskedTokensConfig(width=96, copy=(0, 2)),
        context_length=2,
        passes=5,
        temperature=1.0,
        spread_order=True,  # the surest draws are the smooth ones, and coasts become crumbs
        sure_copy=0.3,  # what was in sight stays
        draw_ends=True,  # where land begins is a matter of a few pixels
        copy_pixels=True,
        pixel_features=32,  # land is counted; with 8 of them ends come late
        outcomes_by_frame=True,  # with the context, ends of dreamed coasts are missed
        tokenizer_share=0.25,
        all_masked=0.1,
    )
    return replace(
        _tokens(model, "worldmap"),
        out=Path("runs/worldmap"),
        updates=3_600,
        batch_size=128,
        learning_rate=2e-3,
        event_weight=2.0,
        termination_event_weight=10.0,
    )


def pong_tokens() -> TrainConfig:
    """Pong by tokens, four frames for the speeds."""
    model = TokensConfig(
        tokenizer=TokenizerConfig(levels=(8, 8, 8, 8)),
        network=MaskedTokensConfig(copy=(0,)),
        tokenizer_share=0.15,
    )
    return replace(
        _tokens(model, "pong"),
        out=Path("runs/pong-tokens"),
        event_weight=20.0,
    )


def snake_tokens() -> TrainConfig:
    """Snake by tokens: a dictionary of its tiles, which is exact; one frame holds the whole state;
    food is drawn as the model believes.
    """
    model = TokensConfig(
        tokenizer=TokenizerConfig(),
        network=MaskedTokensConfig(width=48, copy=(0,)),
        context_length=1,
        passes=2,
        temperature=1.0,
        all_masked=0.5,
        corruption=0.02,
    )
    return replace(
        _tokens(model, "snake"),
        out=Path("runs/snake-tokens"),
        updates=8_000,
    )
