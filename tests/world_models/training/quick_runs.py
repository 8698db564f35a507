"""Settings of training runs that take a second."""

from dataclasses import replace

from conftest_models import GRID

from world_models.models.chance import ChanceConfig
from world_models.training.config import TrainConfig


def config_for(dataset_path, out, **changes):
    quick = TrainConfig(
        model=ChanceConfig(grid=GRID, context_length=2),
        data=dataset_path,
        out=out,
        updates=6,
        batch_size=4,
        warmup=2,
        validate_every=3,
        validation_batches=1,
        contexts=4,
    )
    return replace(quick, **changes)
