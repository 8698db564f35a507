"""How a model of the corridor is trained. Importing this adds the preset to the table."""

from pathlib import Path

from world_models.models.chance import ChanceConfig
from world_models.networks.grid import GridConfig
from world_models.training.config import TrainConfig
from world_models.training.presets.table import PRESETS


def corridor() -> TrainConfig:
    """A tiny chance model that sees one frame."""
    grid = GridConfig(width=16, encoder_depth=1, decoder_depth=1)
    return TrainConfig(
        model=ChanceConfig(grid=grid, context_length=1),
        data=Path("data/corridor"),
        out=Path("runs/corridor"),
        updates=200,
    )


PRESETS["corridor"] = corridor
