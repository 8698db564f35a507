"""`neural-envs train PRESET a.b=c`: train a world model and write its bundle.

Every step of a clip after the first starts from the model's own frame, so that a dream learns to
correct itself. Everything that decides the result (weights, optimizer, averages, generators) is in
the checkpoint: a resumed run gives the weights of an unbroken one. Over many processes: `torchrun
--nproc-per-node 8 -m world_models.training.run PRESET a.b=c`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch

from collectors.dataset.dataset import read_manifest, recorded_dataset
from collectors.interrupts import StopRequest, deferred_interrupts
from collectors.locks import locked
from collectors.progress import note
from collectors.settings.run_command import command, first_word
from collectors.settings.values import SettingsError
from collectors.worlds.table import UnknownNameError
from world_models.protocols import LoadModel
from world_models.training.checkpoints import newest_checkpoint, writing
from world_models.training.config import TrainConfig, TrainingError
from world_models.training.metrics_log import MetricsWriter
from world_models.training.presets.scaling import fitted
from world_models.training.presets.table import PRESETS, find_preset
from world_models.training.resuming import bundle_updates, refusal
from world_models.training.run_info import (
    command_line,
    git_commit,
    machine_text,
    today,
    write_record,
)
from world_models.training.run_report import RunReport
from world_models.training.sample_films import write_samples
from world_models.training.trackers import Tracker, require
from world_models.training.trainer import Trainer

SHOWN_STEPS = 32  # of the film that shows what a run dreams


def train(config: TrainConfig, load: LoadModel | None = None) -> Path:
    """Runs or resumes training; returns the bundle's path. Raises DatasetError, TrainingError (for
    changed settings of a run that is there, too), LockError where another process writes the run
    directory, and Interrupted after a signal, once what is done is saved.

    `load` gives the model of a bundle that the config names; without it the name is a directory.
    """
    require(config.tracker)
    trainer = Trainer(config, recorded_dataset(config.data), load)
    with ExitStack() as opened:
        if trainer.processes.main:
            with writing(config.out):
                opened.enter_context(locked(config.out))
        resume(trainer)
        if is_finished(trainer):
            if trainer.processes.main:
                note(f"{config.out} is finished: {trainer.update} updates are done, nothing to do")
            trainer.processes.end()
            return config.out / "bundle"
        # many processes must stop at the same update, which a signal to each cannot say
        alone = trainer.processes.count == 1
        stop = opened.enter_context(deferred_interrupts()) if alone else StopRequest()
        run_updates(trainer, MainProcess(trainer) if trainer.processes.main else None, stop)
    trainer.processes.end()
    return config.out / "bundle"


def for_data(name: str, config: TrainConfig) -> TrainConfig:
    """The settings of a preset for the frames of its data. Raises DatasetError without such."""
    return fitted(name, config, read_manifest(config.data)["spec"]["frame_shape"])


def is_finished(trainer: Trainer) -> bool:
    """Whether the run that was resumed has had all its updates, or minutes, and its bundle too."""
    done = bool(trainer.update) and trainer.progress >= 1
    own = done and bundle_updates(trainer.config.out) == trainer.update
    return trainer.processes.from_main(own)


def run_updates(trainer: Trainer, main_process: MainProcess | None, stop: StopRequest) -> None:
    """Updates, with a validation every so many, until the run is done or a signal has come: what
    is done until then is saved.
    """
    config, started, earlier = trainer.config, time.monotonic(), trainer.seconds
    report = RunReport(trainer)
    if main_process:
        report.begin()
    while not trainer.done(trainer.seconds - earlier) and not stop:
        losses = trainer.step()
        trainer.seconds = trainer.processes.clock(earlier + time.monotonic() - started)
        report.updated(losses)
        checked = trainer.update % config.validate_every == 0 or trainer.update == config.updates
        if main_process and checked:
            report.validated(losses, main_process.validate(losses))
    report.close()
    if main_process:
        main_process.finish()
    stop.end(f"update {trainer.update} is saved in {config.out}, the same command goes on from it")


def start(config: TrainConfig, load: LoadModel | None = None) -> Trainer:
    """A trainer at the newest good checkpoint of the run directory, or at the beginning, for
    measurements: nothing keeps others from writing the directory.
    """
    trainer = Trainer(config, recorded_dataset(config.data), load)
    resume(trainer)
    return trainer


def resume(trainer: Trainer) -> None:
    """Goes on from the newest good checkpoint of the run directory, or from the beginning."""
    config = trainer.config
    if config.threads:  # after Accelerate has set its own for several processes
        torch.set_num_threads(config.threads)
    reads = config.resume and trainer.processes.main
    checkpoint = trainer.processes.from_main(
        newest_checkpoint(config.out, trainer.check_model_state) if reads else None
    )
    if checkpoint:
        trainer.load(checkpoint)
        reason = refusal(config, trainer.dataset.fingerprint) if trainer.processes.main else ""
        if reason := trainer.processes.from_main(reason):
            raise TrainingError(reason)
    elif config.init_from:
        trainer.load_weights(Path(config.init_from))
    trainer.commands.append(f"from update {trainer.update}: {command_line()}")


class MainProcess:
    """What the main process does beside training: it validates, and writes the run directory."""

    def __init__(self, trainer: Trainer):
        config, dataset = trainer.config, trainer.dataset
        self.trainer, self.out = trainer, config.out
        data = {"dataset": dataset.fingerprint, "steps_in_dataset": dataset.steps}
        commit = git_commit(Path(__file__))
        self.provenance = {
            **data,
            "collect": dataset.how_recorded,
            "command": "; ".join(trainer.commands),
            "commit": commit,
            "date": today(),
            "machine": machine_text(trainer.device.type),
        }
        about = {
            "from_update": trainer.update,
            **data,
            "processes": trainer.processes.count,
            "device": str(trainer.device),
            "bfloat16": trainer.bfloat16,
            "threads": torch.get_num_threads(),
        }
        with writing(self.out):
            write_record(config, self.provenance["command"], about)
            self.metrics = MetricsWriter(self.out, trainer.update)
        self.tracker = Tracker(config, trainer.update)
        shown = trainer.validation_clips.with_steps(SHOWN_STEPS)
        self.shown = shown.draw(10, np.random.default_rng(3))
        self.last_check = (time.perf_counter(), trainer.prefetcher.waited)

    def validate(self, losses: dict[str, float]) -> dict[str, float]:
        """Validates, writes a row of metrics beside the last update's `losses`, and saves; the
        held-out losses.
        """
        trainer, waiting = self.trainer, self.waiting()
        held_out = trainer.validate()
        row = {
            "update": trainer.update,
            "seconds": round(trainer.seconds, 1),
            "waiting": waiting,
            # a model that learns one part after another has not all losses yet
            **{f"train_{name}": losses.get(name, "") for name in held_out},
            **{f"validation_{name}": value for name, value in held_out.items()},
        }
        best = held_out["frame"] < trainer.best
        trainer.best = min(held_out["frame"], trainer.best)
        with writing(self.out):
            self.metrics.write(row)
        trainer.save(self.provenance, best)
        with writing(self.out):
            write_samples(trainer.average, self.shown, self.out)
        self.tracker.log(row, trainer.update)
        self.tracker.show(trainer.update)
        self.last_check = (time.perf_counter(), trainer.prefetcher.waited)
        return held_out

    def waiting(self) -> float:
        """Share of the time since the last check in which training waited for its clips."""
        started, waited = self.last_check
        seconds = time.perf_counter() - started
        return round((self.trainer.prefetcher.waited - waited) / seconds, 4)

    def finish(self) -> None:
        """Saves once more, for the run may have stopped between two checks."""
        self.trainer.save(self.provenance)
        self.tracker.end()


def main(argv: Sequence[str] | None = None, load: LoadModel | None = None) -> int:
    """Run the command; return its exit code. `load`: see `train`."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = first_word(words)
    rest, name = (words[1:], name) if name else (words, "snake")
    if {"-h", "--help"} & set(words):
        print(f"presets: {', '.join(PRESETS)}; these are the settings of {name}\n")

    def preset(_: Sequence[str]) -> TrainConfig:
        try:
            return find_preset(name)
        except UnknownNameError as error:
            raise SettingsError(str(error)) from None

    return command(
        preset,
        lambda config: f"bundle: {train(for_data(name, config), load)}",
        rest,
        f"neural-envs train {name}",
    )


if __name__ == "__main__":
    raise SystemExit(main())
