"""`neural-envs train PRESET a.b=c`: trains a world model and writes its bundle.

Every step of a clip after the first starts from the model's own frame, so that a dream learns to
mend itself. Everything that decides the result (weights, optimizer, averages, generators) is in the
checkpoint: a resumed run gives the weights of an unbroken one. Over many processes: `torchrun
--nproc-per-node 8 -m world_models.training.run PRESET a.b=c`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch

from collectors.dataset.dataset import Dataset
from collectors.progress import progress
from collectors.settings.command import command, first_word
from collectors.settings.values import SettingsError
from collectors.worlds.table import unknown
from world_models.training.checkpoints import newest_checkpoint, writing
from world_models.training.distributed import use_bfloat16
from world_models.training.errors import TrainingError
from world_models.training.metrics_log import MetricsWriter
from world_models.training.presets.table import PRESETS, TrainConfig
from world_models.training.run_info import command_line, write_record
from world_models.training.samples import write_samples
from world_models.training.trackers import Tracker, require
from world_models.training.trainer import Trainer

__all__ = ["Trainer", "TrainingError", "main", "newest_checkpoint", "train", "use_bfloat16"]
SHOWN_STEPS = 32  # of the film that shows how a run dreams


class Run:
    """What the main process does beside training: it validates, writes, and tells."""

    def __init__(self, trainer: Trainer):
        config = trainer.config
        self.trainer, self.out = trainer, config.out
        command = "; ".join(trainer.commands)
        dataset = {
            "dataset": trainer.dataset.fingerprint,
            "steps_in_dataset": trainer.dataset.steps,
        }
        self.provenance = {**dataset, "command": command}
        about = {"from_update": trainer.update, **dataset, "processes": trainer.processes.count}
        about |= {
            "device": str(trainer.device),
            "bfloat16": trainer.autocast._enabled,
            "threads": torch.get_num_threads(),
        }
        with writing(self.out):
            write_record(config, command, about)
            self.journal = MetricsWriter(self.out, trainer.update)
        self.tracker = Tracker(config, trainer.update)
        self.shown = trainer.validation.with_steps(SHOWN_STEPS).draw(10, np.random.default_rng(3))
        self.since = (time.perf_counter(), trainer.feed.waited)

    def check(self, terms: dict[str, float]) -> None:
        """Validates, tells it with the last update's losses `terms`, and saves: as the best, too,
        if it is.
        """
        trainer, waiting = self.trainer, self.waiting()
        held_out = trainer.validate()
        row = {"update": trainer.update, "seconds": round(trainer.seconds, 1), "waiting": waiting}
        row |= {
            f"train_{k}": terms.get(k, "") for k in held_out
        }  # a model may learn one part after another
        row |= {f"validation_{k}": v for k, v in held_out.items()}
        best, trainer.best = held_out["frame"] < trainer.best, min(held_out["frame"], trainer.best)
        with writing(self.out):
            self.journal.write(row)
        trainer.save(self.provenance, best)
        with writing(self.out):
            write_samples(trainer.average, self.shown, self.out)
        self.tracker.log(row, trainer.update)
        self.tracker.show(trainer.update)
        self.since = (time.perf_counter(), trainer.feed.waited)

    def waiting(self) -> float:
        """Share of the time since the last check in which training waited for its clips."""
        begun, waited = self.since
        return round((self.trainer.feed.waited - waited) / (time.perf_counter() - begun), 4)

    def end(self) -> None:
        """Saves once more, for time may have ended the run between two checks."""
        self.trainer.save(self.provenance)
        self.tracker.end()


def begin(config: TrainConfig) -> Trainer:
    """A trainer that stands where the run directory's newest good checkpoint does, or at the
    start.
    """
    require(config.tracker)
    dataset = Dataset(config.data)
    trainer = Trainer(config, dataset)
    if config.threads:  # after Accelerate has set its own for several processes
        torch.set_num_threads(config.threads)
    with writing(config.out):
        config.out.mkdir(parents=True, exist_ok=True)
    processes = trainer.processes
    found = processes.from_main(
        newest_checkpoint(config.out) if config.resume and processes.main else None
    )
    if found:
        trainer.load(found)
    elif config.init_from:
        trainer.begin_with(Path(config.init_from))
    trainer.commands.append(f"from update {trainer.update}: {command_line()}")
    return trainer


def train(config: TrainConfig) -> Path:
    """Runs or resumes training; returns the bundle's path. Raises DatasetError, TrainingError."""
    trainer = begin(config)
    run = Run(trainer) if trainer.processes.main else None
    begun, spent = time.monotonic(), trainer.seconds
    bar = progress(total=config.updates, desc="train", unit="update")
    bar.update(trainer.update)
    while not trainer.done(trainer.seconds - spent):
        terms = trainer.step()
        bar.update(1)
        trainer.seconds = trainer.processes.clock(spent + time.monotonic() - begun)
        if run and (
            trainer.update % config.validate_every == 0 or trainer.update == config.updates
        ):
            run.check(terms)
    if run:
        run.end()
    trainer.processes.end()
    return config.out / "bundle"


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = first_word(words)
    rest, name = (words[1:], name) if name else (words, "snake")
    if {"-h", "--help"} & set(words):
        print(f"presets: {', '.join(PRESETS)}; these are the settings of {name}\n")
    return command(
        lambda _: preset(name),
        lambda config: f"bundle: {train(config)}",
        rest,
        f"neural-envs train {name}",
    )


def preset(name: str) -> TrainConfig:
    """A preset of the table. Raises SettingsError with the nearest name."""
    if name not in PRESETS:
        raise SettingsError(unknown("preset", name, PRESETS))
    return PRESETS[name]()


if __name__ == "__main__":
    raise SystemExit(main())
