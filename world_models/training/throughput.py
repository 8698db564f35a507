"""`python -m world_models.training.throughput PRESET`: how much of the machine's time training
gives to learning.

Training samples per second, as a share of what forward and backward alone reach on one batch that
stays the same. Both are timed in turn, round after round, in one process, and the median of the
rounds' ratios is told. `share_with_checks` counts in what a validation, a checkpoint, a bundle and
a film take every `validate_every` updates. On a CPU that others use too, the share of CPU time is
the steadier figure.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from collectors.settings.command import command
from collectors.settings.parse import setting
from collectors.worlds.table import UnknownNameError, unknown
from world_models.training.presets.table import PRESETS
from world_models.training.run import Run, Trainer, begin
from world_models.training.schedules import total


@dataclass(frozen=True)
class SpeedConfig:
    """Measure training against forward and backward alone."""

    preset: str = setting("snake", "training preset")
    data: Path | None = setting(None, "dataset directory; none: the preset's")
    out: str = setting("", "file for the figures, JSON; nothing: they are only printed")
    rounds: int = setting(5, "times that both are timed in turn")
    seconds: float = setting(5.0, "shortest time of one timing")
    threads: int = setting(0, "CPU threads; 0: torch's choice")
    device: str = setting("auto", "as in training")


def forward_backward(trainer: Trainer) -> Callable[[], None]:
    """One call does what an update cannot do without, and nothing else."""
    clips, steps = trainer.draw_own(trainer.feed.generator), trainer.config.rollout_steps

    def advance() -> None:
        trainer.model.train()
        for part in clips:
            with trainer.autocast:
                terms = trainer.losses(part, trainer.augmentation, steps, trainer.noise)
            total(terms, trainer.config, 1.0).backward()
        trainer.optimizer.zero_grad(set_to_none=True)

    return advance


def rate(
    advance: Callable[[], object], seconds: float, device: torch.device
) -> tuple[float, float]:
    """Calls per second, and per second of this process's CPU time."""
    done, begun, busy = 0, time.perf_counter(), time.process_time()
    while not done or time.perf_counter() - begun < seconds:
        advance()
        done += 1
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return done / (time.perf_counter() - begun), done / (time.process_time() - busy)


def measure(config: SpeedConfig) -> dict:
    """All figures; every update has all its rollout steps.

    Writes a run into a temporary directory.
    """
    preset = PRESETS[config.preset]()
    with tempfile.TemporaryDirectory() as folder:
        changes = {
            "rollout_from": 0.0,
            "device": config.device,
            "threads": config.threads,
            "out": Path(folder),
        }
        trainer = begin(replace(preset, **changes, data=config.data or preset.data))
        bare, device = forward_backward(trainer), trainer.device
        spent, rounds = 0.0, []
        rate(bare, 0, device)
        terms = trainer.step()
        waited = trainer.feed.waited
        for _ in range(config.rounds):
            alone, begun = rate(bare, config.seconds, device), time.perf_counter()
            rounds.append((*rate(trainer.step, config.seconds, device), *alone))
            spent += time.perf_counter() - begun
        waited = trainer.feed.waited - waited
        run, begun = Run(trainer), time.perf_counter()
        run.check(terms)
        check = time.perf_counter() - begun
    every, median = preset.validate_every, statistics.median
    return {
        "preset": config.preset,
        "device": str(device),
        "threads": torch.get_num_threads(),
        "training_samples_per_second": median(row[0] for row in rounds) * preset.batch_size,
        "forward_backward_samples_per_second": median(row[2] for row in rounds) * preset.batch_size,
        "share": median(row[0] / row[2] for row in rounds),
        "share_of_cpu_time": median(row[1] / row[3] for row in rounds)
        if device.type == "cpu"
        else None,
        "share_with_checks": median(every / (every / row[0] + check) / row[2] for row in rounds),
        "check_seconds": check,
        "waiting_for_clips": waited / spent,
    }


def run(config: SpeedConfig) -> str:
    """Measure; write the figures where `config.out` says; return them as JSON."""
    if config.preset not in PRESETS:
        raise UnknownNameError(unknown("preset", config.preset, PRESETS))
    figures = json.dumps(measure(config), indent=1)
    if config.out:
        Path(config.out).write_text(figures + "\n")
    return figures


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    prog = "python -m world_models.training.throughput"
    return command(SpeedConfig, run, argv, prog, ("preset",))


if __name__ == "__main__":
    raise SystemExit(main())
