"""`python -m world_models.training.throughput PRESET`:
how much of the machine's time training gives to learning.

Training samples per second, as a share of what forward and backward alone reach on one batch that
stays the same. Both are timed in turn, round after round, in one process, and the median of the
rounds' ratios is reported. `share_with_checks` counts in what a validation, a checkpoint, a bundle
and a film take every `validate_every` updates. On a CPU that others use too, the share of CPU time
varies less.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch

from collectors.files import write_atomically
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from world_models.training.presets.table import find_preset
from world_models.training.run import MainProcess, start
from world_models.training.schedules import augmentation, weighted_sum
from world_models.training.trainer import Trainer


@dataclass(frozen=True)
class ThroughputConfig:
    """Measure training against forward and backward alone."""

    preset: str = setting("snake", "training preset")
    data: Path | None = setting(None, "dataset directory; none: the preset's")
    out: str = setting("", "file for the figures, JSON; nothing: they are only printed")
    rounds: int = setting(5, "times that both are timed in turn", least=1)
    seconds: float = setting(5.0, "shortest time of one timing", least=0)
    threads: int = setting(0, "CPU threads; 0: torch's choice", least=0)
    device: str = setting("auto", "as in training")

    def __post_init__(self):
        check_settings(self)


class Round(NamedTuple):
    """Updates per second of one round, by wall clock and by the CPU time of this process."""

    training: float
    training_cpu: float
    bare: float  # forward and backward alone
    bare_cpu: float


def forward_backward(trainer: Trainer) -> Callable[[], None]:
    """A function that does what an update cannot do without, and nothing else."""
    parts = trainer.draw_parts(trainer.prefetcher.generator)
    steps, options = trainer.config.rollout_steps, augmentation(trainer.config, 1.0)

    def advance() -> None:
        trainer.model.train()
        trainer.model.begin_update(trainer.average, 1.0, 1.0)  # what is frozen late in a run is
        for clips in parts:
            with trainer.autocast:
                losses = trainer.losses(clips, options, steps, trainer.noise)
            weighted_sum(losses, trainer.config, 1.0).backward()
        trainer.optimizer.zero_grad(set_to_none=True)

    return advance


def rate(
    advance: Callable[[], object], seconds: float, device: torch.device
) -> tuple[float, float]:
    """Calls per second, and per second of this process's CPU time."""
    done, started, cpu_started = 0, time.perf_counter(), time.process_time()
    while not done or time.perf_counter() - started < seconds:
        advance()
        done += 1
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return done / (time.perf_counter() - started), done / (time.process_time() - cpu_started)


def measure(config: ThroughputConfig) -> dict:
    """All figures; every update has all its rollout steps.

    Writes a run into a temporary directory. Raises UnknownNameError for an unknown preset.
    """
    preset = find_preset(config.preset)
    with tempfile.TemporaryDirectory() as folder:
        changed = replace(
            preset,
            rollout_from=0.0,
            device=config.device,
            threads=config.threads,
            out=Path(folder),
            data=config.data or preset.data,
        )
        trainer = start(changed)
        rounds, waiting = measure_rounds(trainer, config)
        main_process, started = MainProcess(trainer), time.perf_counter()
        main_process.validate(trainer.step())
        check = time.perf_counter() - started
    every, median, batch = preset.validate_every, statistics.median, preset.batch_size
    on_cpu = trainer.device.type == "cpu"
    return {
        "preset": config.preset,
        "device": str(trainer.device),
        "threads": torch.get_num_threads(),
        "training_samples_per_second": median(row.training for row in rounds) * batch,
        "forward_backward_samples_per_second": median(row.bare for row in rounds) * batch,
        "share": median(row.training / row.bare for row in rounds),
        "share_of_cpu_time": median(row.training_cpu / row.bare_cpu for row in rounds)
        if on_cpu
        else None,
        "share_with_checks": median(
            every / (every / row.training + check) / row.bare for row in rounds
        ),
        "check_seconds": check,
        "waiting_for_clips": waiting,
    }


def measure_rounds(trainer: Trainer, config: ThroughputConfig) -> tuple[list[Round], float]:
    """The rounds, and the share of training time that was spent waiting for clips."""
    # the last part of a run, in which what is learned first is frozen and clips are cut from codes
    trainer.update, trainer.seconds = trainer.config.updates, 60 * trainer.config.minutes
    trainer.step()
    bare, device = forward_backward(trainer), trainer.device
    rate(bare, 0, device)
    seconds, rounds, waited = 0.0, [], trainer.prefetcher.waited
    for _ in range(config.rounds):
        alone, started = rate(bare, config.seconds, device), time.perf_counter()
        rounds.append(Round(*rate(trainer.step, config.seconds, device), *alone))
        seconds += time.perf_counter() - started
    return rounds, (trainer.prefetcher.waited - waited) / seconds


def run(config: ThroughputConfig) -> str:
    """Measure; write the figures where `config.out` says; return them as JSON."""
    figures = json.dumps(measure(config), indent=1)
    if config.out:
        write_atomically(config.out, figures + "\n")
    return figures


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    prog = "python -m world_models.training.throughput"
    return command(ThroughputConfig, run, argv, prog, ("preset",))


if __name__ == "__main__":
    raise SystemExit(main())
