"""What each process of the two-process test runs: trains, then writes its own weights and losses.
DATA OUT PARTS.
"""

import sys
from pathlib import Path

import torch
from conftest_models import GRID

from world_models.models.chance import ChanceConfig
from world_models.training import run as training
from world_models.training.config import TrainConfig


def config_for(data: Path, out: Path, parts: int) -> TrainConfig:
    """Two rollout steps, damage and noise: all that draws."""
    return TrainConfig(
        model=ChanceConfig(grid=GRID, context_length=2),
        data=data,
        out=out,
        updates=4,
        batch_size=8,
        warmup=2,
        validate_every=2,
        validation_batches=1,
        contexts=4,
        rollout_from=0.5,
        gradient_accumulation=parts,
        device="cpu",
        damage=0.5,
    )


def watch(config: TrainConfig) -> dict:
    """Trains; the weights, averages and losses that this process ends with, and its rank."""
    trainers: list[training.Trainer] = []
    losses: list[dict] = []

    class Watched(training.Trainer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            trainers.append(self)

        def step(self):
            losses.append(super().step())
            return losses[-1]

    training.Trainer, before = Watched, training.Trainer
    try:
        training.train(config)
    finally:
        training.Trainer = before
    trainer = trainers[0]
    parts = {"model": trainer.model.state_dict(), "average": trainer.average.state_dict()}
    return {
        **parts,
        "losses": losses,
        "rank": trainer.processes.rank,
        "count": trainer.processes.count,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    data, out, parts = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    found = watch(config_for(data, out, parts))
    torch.save(found, out / f"rank{found['rank']}.pt")
