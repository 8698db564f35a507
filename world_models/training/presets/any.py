"""Presets of any Gymnasium game. Each function returns the settings of a training run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from world_models.models.chance import ChanceConfig
from world_models.models.tokens_config import TokensConfig
from world_models.networks.grid import GridConfig
from world_models.networks.masked_tokens import MaskedTokensConfig
from world_models.networks.tokenizer import TokenizerConfig
from world_models.training.config import TrainConfig


def any_game() -> TrainConfig:
    """Any Gymnasium game: a small chance model of four context frames that may copy patches.

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
        unique_steps=True,  # agents that learned little do one thing over and over
        noise=0.05,
    )


def any_tokens() -> TrainConfig:
    """Any Gymnasium game by tokens: the data decide whether a dictionary of patches is enough, or
    the first part of the run learns a tokenizer.

    Temperature 1 lets chance appear as often as in the game, but for what is much less likely than
    something else: of hundreds of places, some would always be wrong. `data` is the user's.
    """
    model = TokensConfig(
        tokenizer=TokenizerConfig(levels=(8, 8, 8, 8)),
        network=MaskedTokensConfig(copy=(0, 1)),
        temperature=1.0,
        least_share=0.1,
        rare=0.5,  # an agent is a few patches of many
        tokenizer_share=0.15,
        all_masked=0.9,  # as its one pass
        new_only=0.0,
        corruption=0.03,  # with more, what is small is mended away
    )
    return replace(
        any_game(),
        model=model,
        out=Path("runs/any-tokens"),
        batch_size=16,  # minutes are few: more updates are worth more than larger ones
        updates=10_000,
        learning_rate=2e-3,
        rollout_steps=2,
        termination_event_weight=20.0,
        trust_weight=0.02,
        noise=0.0,
        damage=0.0,
        action_dropout=0.1,
    )
