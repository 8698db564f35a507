"""What a training run says: what it begins with, each validation, and how long it will take."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping

import torch
from tqdm import tqdm

from collectors.progress import duration, log, note, progress
from world_models.models.chance import ChanceConfig
from world_models.models.diffusion import DiffusionConfig
from world_models.protocols import ModelConfig
from world_models.training.cost import cost_line
from world_models.training.trainer import Trainer

TIMED = 10  # updates of this start, after which its length is estimated
SHOWN = ("frame", "reward", "termination")  # losses of a line; all are in metrics.csv


LEAST_CHANCE = 0.02  # nats per frame; Snake's food is 5 in one frame of five
LEARNED = 500  # updates before which chance need not be used


class RunReport:
    """The lines and the bar of a run. The bar counts updates, or seconds where minutes end it.

    Its lines are those of the main process: `begin` is called in that alone.
    """

    def __init__(self, trainer: Trainer):
        config = trainer.config
        self.trainer, self.by_time = trainer, config.schedule == "minutes"
        self.total = round(60 * config.minutes) if self.by_time else config.updates
        self.started, self.first = time.perf_counter(), trainer.update
        self.shown: float = 0  # where the bar is
        self.bar: tqdm | None = None
        self.held_out, self.remark = "", ""

    def begin(self) -> None:
        """Say what is about to be trained, and show the bar."""
        note(start_line(self.trainer))
        if not self.trainer.update:
            note(cost_line(self.trainer))
        unit = "s" if self.by_time else "update"
        self.shown = self._reached()
        self.bar = progress(total=self.total, desc="train", unit=unit, initial=self.shown)

    def updated(self, losses: Mapping[str, float]) -> None:
        """An update is done, with these losses."""
        if self.bar is None:
            return
        self.bar.set_postfix_str(f"{text_of(losses)}{self.held_out}", refresh=False)
        self._move()
        if self.trainer.update - self.first == TIMED:
            seconds = time.perf_counter() - self.started
            log(f"{TIMED} updates took {seconds:.1f} s{self._left()}")

    def validated(self, losses: Mapping[str, float], held_out: Mapping[str, float]) -> None:
        """A validation is done, and a checkpoint written."""
        trainer = self.trainer
        self.held_out = f"; held out {held_out['frame']:.4g}"  # which has to fit on the bar
        self.remark = unused_chance(trainer.config.model, held_out)
        end = "" if self.by_time else f" of {trainer.config.updates}"
        log(
            f"update {trainer.update}{end}, {duration(trainer.seconds)}: {text_of(losses)}"
            f"; held out: {text_of(held_out)}{self._left()}"
        )

    def close(self) -> None:
        """No more updates."""
        if self.bar is not None:
            self.bar.close()
        if self.remark and self.trainer.progress >= 1 and self.trainer.update >= LEARNED:
            note(self.remark)

    def _move(self) -> None:
        reached = self._reached()
        if self.bar is not None:
            self.bar.update(reached - self.shown)
        self.shown = reached

    def _reached(self) -> float:
        return min(self.trainer.seconds if self.by_time else self.trainer.update, self.total)

    def _left(self) -> str:
        """ "; about 12 min left", by the updates of this start, and never beyond its minutes."""
        config, done = self.trainer.config, self.trainer.update - self.first
        seconds = time.perf_counter() - self.started
        limit = 60 * config.minutes
        if self.by_time:
            left = limit - self.trainer.seconds
        else:
            updates = config.updates - self.trainer.update
            left = min(seconds / max(1, done) * updates, limit - seconds)
        return f"; about {duration(left)} left" if left > 0 else ""


def unused_chance(model: ModelConfig, held_out: Mapping[str, float]) -> str:
    """A sentence where a model has chance variables and draws nothing with them, else ""."""
    if not isinstance(model, ChanceConfig | DiffusionConfig) or "prior" not in held_out:
        return ""
    weight = model.chance.prior_weight
    nats = held_out["prior"] / weight if weight else math.inf
    if nats >= LEAST_CHANCE:
        return ""
    return (
        f"the chance variables are unused ({nats:.2g} nats per frame): right for a game without "
        "chance, else its dream shows the mean of what may happen; see docs/training.md"
    )


def start_line(trainer: Trainer) -> str:
    """Data, parameters, device, when it ends, and where it goes on from."""
    config, dataset = trainer.config, trainer.dataset
    millions = sum(p.numel() for p in trainer.model.parameters()) / 1e6
    device, threads = str(trainer.device), torch.get_num_threads()
    device += f" ({threads} thread{'s' * (threads > 1)})" if device == "cpu" else ""
    goal = f"{config.minutes:g} minutes"
    if config.schedule == "updates":
        goal = f"{config.updates} updates, at most {goal}"
    again = f", going on from update {trainer.update}" if trainer.update else ""
    return (
        f"training {trainer.model.spec.world}: {dataset.steps} steps of {dataset.path}, "
        f"{millions:.2g} M parameters, on {device}; {goal}, into {config.out}{again}"
    )


def text_of(losses: Mapping[str, float]) -> str:
    """The losses of `SHOWN`, as text."""
    return ", ".join(f"{name} {losses[name]:.4g}" for name in SHOWN if name in losses)
