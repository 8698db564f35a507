"""The preset of any Gymnasium game. Each function returns the settings of a training run."""

from __future__ import annotations

from pathlib import Path

from world_models.models.chance import ChanceConfig
from world_models.networks.grid import GridConfig
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
        noise=0.05,
    )
