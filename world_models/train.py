"""`neural-envs train PRESET a.b=c`: trains a world model and writes its bundle.

B clips, S rollout steps. Every step after the first starts from the model's own frame, so that a dream learns to
mend itself. Everything that decides the result (weights, optimizer, averages, generators) is in the checkpoint: a
resumed run gives the weights of an unbroken one.
"""

from __future__ import annotations

import copy
import csv
import math
import os
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from collectors.dataset import Dataset, DatasetError
from collectors.progress import progress
from collectors.settings import as_text, parse
from world_models.checkpoint import BundleError, build_model, load_bundle, save_bundle
from world_models.data import ClipReader, ExpertClips, read_spec, start_contexts
from world_models.optimizers import build_optimizer
from world_models.pace import schedule, total
from world_models.presets import PRESETS, TrainConfig
from world_models.protocols import Clips, Practice
from world_models.samples import write_samples

SHOWN_STEPS = 32  # of the film that shows how a run dreams


class TrainingError(RuntimeError):
    """Training cannot go on; the message says why and what is kept."""


def find_device(name: str) -> torch.device:
    """The device of a name; "auto" is a CUDA card where there is one. Raises TrainingError where it is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.zeros((), device=name).device
    except (RuntimeError, AssertionError) as error:
        raise TrainingError(f"device {name!r} cannot be used here ({error}); try device=cpu") from None


def use_bfloat16(precision: str, device: torch.device) -> bool:
    """Whether to compute in bfloat16: "auto" where the hardware is good at it, which few processors are."""
    if precision not in ("auto", "float32", "bfloat16"):
        raise TrainingError(f"precision is auto, float32 or bfloat16, not {precision!r}")
    if precision != "auto":
        return precision == "bfloat16"
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    has_tiles = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)  # AMX; torch has no public name for it
    return device.type == "cpu" and has_tiles()


class Trainer:
    """One run: model, average, optimizer, generators, and where they are kept."""

    def __init__(self, config: TrainConfig, dataset: Dataset):
        self.config, self.dataset, self.update, self.seconds, self.best = config, dataset, 0, 0.0, math.inf
        self.before = 0.0  # progress at the update before
        self.commands: list[str] = []  # all that the run was called with: a resumed one may have had other settings
        with torch.random.fork_rng():  # torch's layers draw their weights from the global generator: borrow it
            torch.manual_seed(config.seed)
            self.model = build_model(read_spec(dataset), config.model)
        self.device = find_device(config.device)
        self.autocast = torch.autocast(
            self.device.type, torch.bfloat16, enabled=use_bfloat16(config.precision, self.device)
        )
        self.model.to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = build_optimizer(config.optimizer, self.model, config.learning_rate, config.weight_decay)
        self.practice = Practice(config.noise, config.damage, config.action_dropout, config.rollout_gradient)
        self.noise = torch.Generator().manual_seed(config.seed)
        self.order = np.random.default_rng(config.seed)
        split, length = dataset.split(), self.model.context_length
        weights = (config.event_weight, config.end_weight)
        self.train = ClipReader(dataset, split["train"], length, config.rollout_steps, *weights)
        self.validation = ClipReader(dataset, split["validation"], length, config.rollout_steps, *weights)
        self.teach = ExpertClips(self.model.spec, config.sampled) if config.expert else None

    def draw(self, reader: ClipReader, count: int, order: np.random.Generator) -> Clips:
        """Clips to learn from or to be measured by."""
        clips = reader.draw(count, order)
        return clips if self.teach is None else self.teach(clips, order)

    def begin_with(self, bundle: Path) -> None:
        """Takes over the weights of a bundle that fit by name and shape. Raises TrainingError where none do."""
        try:
            theirs = load_bundle(bundle).model.state_dict()
        except BundleError as error:
            raise TrainingError(f"init_from: {error}") from None
        mine = self.model.state_dict()
        fit = {name: value for name, value in theirs.items() if name in mine and value.shape == mine[name].shape}
        if not fit:
            raise TrainingError(f"init_from: no tensor of {bundle} fits this model; is it of another kind or width?")
        given = getattr(self.model, "given", "")  # the part that this run does not learn
        lacking = sorted(name for name in mine if given and name.startswith(given) and name not in fit)
        if lacking:
            raise TrainingError(
                f"init_from: {bundle} must bring all of the {given[:-1]}, but has no fitting {lacking[0]}"
            )
        for model in (self.model, self.average):
            model.load_state_dict({**mine, **fit})

    def state(self) -> dict:
        """All that decides how the run goes on."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "noise": self.noise.get_state(),
            "order": self.order.bit_generator.state,
            "progress": {"update": self.update, "seconds": self.seconds, "best": self.best, "commands": self.commands},
            "before": self.before,
        }

    def load(self, state: dict) -> None:
        """Inverse of `state`."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.noise.set_state(state["noise"])
        self.order.bit_generator.state = state["order"]
        self.before = state.get("before", 0.0)
        names = ("update", "seconds", "best", "commands")
        self.update, self.seconds, self.best, self.commands = (state["progress"][name] for name in names)

    @property
    def progress(self) -> float:
        """Share of the run that is done, by updates or by time."""
        if self.config.pace == "minutes":
            return min(1.0, self.seconds / max(1e-9, 60 * self.config.minutes))
        return self.update / max(1, self.config.updates)

    def step(self) -> dict[str, float]:
        """One update; returns its losses. Raises TrainingError on a loss that is not a number, before it does harm."""
        config, progress = self.config, self.progress
        if hasattr(self.model, "settle"):
            self.model.settle(self.average, self.before, progress)
        self.before = progress
        steps = 1 if progress < config.rollout_from else config.rollout_steps
        clips = self.draw(self.train, config.batch_size, self.order)
        for group in self.optimizer.param_groups:
            group["lr"] = schedule(config, self.update, progress)
        self.model.train()
        with self.autocast:
            terms = self.model.clip_losses(clips, self.practice._replace(progress=progress), steps, self.noise)
        loss = total(terms, config, progress)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} at update {self.update}; the last good checkpoint is kept in {config.out}. "
                "Go on with a lower learning_rate or clip."
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        decay = min(config.ema, (1 + self.update) / (10 + self.update))
        averages, weights = list(self.average.parameters()), [p.detach() for p in self.model.parameters()]
        torch._foreach_lerp_(averages, weights, 1 - decay)
        self.update += 1
        return {name: value.item() for name, value in terms.items()}

    def done(self, seconds: float) -> bool:
        """Whether to stop, this process having trained for so many seconds."""
        if self.config.pace == "minutes":
            return self.progress >= 1
        return self.update >= self.config.updates or seconds >= self.config.minutes * 60

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Held-out losses of the averaged weights, always on the same clips with the same noise."""
        order, noise = np.random.default_rng(1), torch.Generator().manual_seed(1)
        rows: dict[str, list[float]] = {}
        for _ in range(self.config.validation_batches):
            clips = self.draw(self.validation, 64, order)
            losses = self.average.clip_losses(clips, self.practice, self.config.rollout_steps, noise)
            for name, value in losses.items():
                rows.setdefault(name, []).append(value.item())
        return {name: float(np.mean(values)) for name, values in rows.items()}

    def check(self, terms: dict[str, float]) -> bool:
        """Validates and adds a row to metrics.csv, with the last update's losses `terms`; whether it is the best."""
        held_out = self.validate()
        row = {"update": self.update, "seconds": round(self.seconds, 1)}
        row |= {f"train_{k}": terms.get(k, "") for k in held_out}  # a model may learn one part after another
        row |= {f"validation_{k}": v for k, v in held_out.items()}
        log(self.config.out / "metrics.csv", row)
        best, self.best = held_out["frame"] < self.best, min(held_out["frame"], self.best)
        return best

    def save(self, provenance: dict, best: bool = False) -> None:
        """Writes a checkpoint (and as best.pt too) and the bundle of the averaged weights, each under another name
        first.
        """
        out = self.config.out
        target = out / f"checkpoint_{self.update:07d}.pt"
        torch.save(self.state(), out / "writing.tmp")
        os.replace(out / "writing.tmp", target)
        if best:
            shutil.copyfile(target, out / "writing.tmp")
            os.replace(out / "writing.tmp", out / "best.pt")
        for old in sorted(out.glob("checkpoint_*.pt"))[:-2]:
            old.unlink()
        contexts = start_contexts(self.train, self.config.contexts, np.random.default_rng(0))
        save_bundle(out / "bundle", self.average, contexts, {**provenance, "updates": self.update}, {})


def newest_checkpoint(out: Path) -> dict | None:
    """The newest checkpoint that can be read, or None; a damaged one is passed over with a word on stderr."""
    for path in sorted(out.glob("checkpoint_*.pt"), reverse=True):
        try:
            return torch.load(path, weights_only=False)
        except Exception as error:  # whatever a half-written file makes torch raise
            print(f"passing over {path}: {error}", file=sys.stderr)
    return None


def log(path: Path, row: dict) -> None:
    """Appends a row to metrics.csv, with a header the first time."""
    fresh = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, row.keys())
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def train(config: TrainConfig) -> Path:
    """Runs or resumes training; returns the bundle's path. Raises DatasetError, TrainingError."""
    dataset = Dataset(config.data)
    if config.threads:
        torch.set_num_threads(config.threads)
    trainer = Trainer(config, dataset)
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "resolved_config.yaml").write_text(as_text(config) + "\n")
    found = newest_checkpoint(config.out) if config.resume else None
    if found:
        trainer.load(found)
    elif config.init_from:
        trainer.begin_with(Path(config.init_from))
    trainer.commands.append(f"from update {trainer.update}: {' '.join(sys.argv[1:])}")
    command = "; ".join(trainer.commands)
    provenance = {"dataset": dataset.fingerprint, "steps_in_dataset": dataset.steps, "command": command}
    begun, spent = time.monotonic(), trainer.seconds
    bar = progress(total=config.updates, desc="train", unit="update")
    bar.update(trainer.update)
    shown = trainer.validation.with_steps(SHOWN_STEPS).draw(10, np.random.default_rng(3))
    while not trainer.done(time.monotonic() - begun):
        terms = trainer.step()
        bar.update(1)
        trainer.seconds = spent + time.monotonic() - begun
        if trainer.update % config.validate_every == 0 or trainer.update == config.updates:
            trainer.save(provenance, best=trainer.check(terms))
            write_samples(trainer.average, shown, config.out)
    trainer.save(provenance)
    return config.out / "bundle"


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words and not words[0].startswith("-") else "snake"
    if name not in PRESETS:
        import difflib

        near = difflib.get_close_matches(name, PRESETS, 1, 0.0)[0]
        known = ", ".join(PRESETS)
        print(f"neural-envs train: no preset '{name}'; did you mean '{near}'? There are {known}", file=sys.stderr)
        return 2
    if {"-h", "--help"} & set(words):
        print(f"presets: {', '.join(PRESETS)}; these are the settings of {name}\n")
    config = parse(PRESETS[name](), words[1:] if words[:1] == [name] else words, f"neural-envs train {name}")
    try:
        print(f"bundle: {train(replace(config))}")
    except (DatasetError, TrainingError, ValueError) as error:
        print(f"neural-envs train: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
