"""One run's state and its updates. B clips, S rollout steps, N parts of a batch."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from world_models.bundles.bundle import BundleError, build_model, load_bundle, save_bundle
from world_models.protocols import AugmentationOptions, Clips
from world_models.training.checkpoints import write_checkpoint, writing
from world_models.training.clips import ClipReader, Dataset, ExpertClips, read_spec, start_contexts
from world_models.training.config import TrainConfig
from world_models.training.distributed import Processes, use_bfloat16
from world_models.training.errors import TrainingError
from world_models.training.optimizers import build_optimizer
from world_models.training.prefetch import Prefetcher
from world_models.training.schedules import schedule, total


class Trainer:
    """One run: model, average, optimizer, generators.

    Every process has the same; the main one validates and writes.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset):
        self.config, self.dataset, self.update, self.seconds, self.best = (
            config,
            dataset,
            0,
            0.0,
            math.inf,
        )
        self.before = 0.0  # progress at the update before
        self.commands: list[
            str
        ] = []  # all that the run was called with: a resumed one may have had other settings
        self.processes = Processes(config.device)
        self.parts, self.own, self.part_size = self.processes.share(
            config.batch_size, config.gradient_accumulation
        )
        self.device = self.processes.device
        self.autocast = torch.autocast(
            self.device.type, torch.bfloat16, enabled=use_bfloat16(config.precision, self.device)
        )
        with (
            torch.random.fork_rng()
        ):  # torch's layers draw their weights from the global generator: borrow it
            torch.manual_seed(config.seed)
            self.model = build_model(read_spec(dataset), config.model)
        self.model.to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = build_optimizer(
            config.optimizer, self.model, config.learning_rate, config.weight_decay
        )
        self.losses = compiled(self.model.clip_losses, config, self.device)
        self.augmentation = AugmentationOptions(
            config.noise, config.damage, config.action_dropout, config.rollout_gradient
        )
        self.noise = torch.Generator().manual_seed(config.seed)
        self._open(dataset)

    def _open(self, dataset: Dataset) -> None:
        config, split, length = self.config, self.dataset.split(), self.model.context_length
        weights = (config.event_weight, config.end_weight)
        self.train = ClipReader(dataset, split["train"], length, config.rollout_steps, *weights)
        self.validation = ClipReader(
            dataset, split["validation"], length, config.rollout_steps, *weights
        )
        self.teach = ExpertClips(self.model.spec, config.sampled) if config.expert else None
        self.feed = Prefetcher(self.draw_own, np.random.default_rng(config.seed), config.prefetch)

    def draw(self, reader: ClipReader, count: int, order: np.random.Generator) -> Clips:
        """Clips to learn from or to be measured by."""
        clips = reader.draw(count, order)
        return clips if self.teach is None else self.teach(clips, order)

    def draw_own(self, order: np.random.Generator) -> list[Clips]:
        """This process's parts of the next batch.

        All processes draw the same batch, and cut what is theirs.
        """
        first, last = self.own[0] * self.part_size, (self.own[-1] + 1) * self.part_size
        if self.teach is None:
            own = self.train.cut(self.train.choose(self.config.batch_size, order)[first:last])
        else:
            own = part_of(self.draw(self.train, self.config.batch_size, order), first, last)
        return [part_of(own, i, i + self.part_size) for i in range(0, last - first, self.part_size)]

    def begin_with(self, bundle: Path) -> None:
        """Takes over the weights of a bundle that fit by name and shape.

        Raises TrainingError where none do.
        """
        try:
            theirs = load_bundle(bundle).model.state_dict()
        except BundleError as error:
            raise TrainingError(f"init_from: {error}") from None
        mine = self.model.state_dict()
        fit = {
            name: value
            for name, value in theirs.items()
            if name in mine and value.shape == mine[name].shape
        }
        if not fit:
            raise TrainingError(
                f"init_from: no tensor of {bundle} fits this model; is it of another kind or width?"
            )
        given = getattr(self.model, "given", "")  # the part that this run does not learn
        lacking = sorted(
            name for name in mine if given and name.startswith(given) and name not in fit
        )
        if lacking:
            raise TrainingError(
                f"init_from: {bundle} must bring all of the {given[:-1]}, but has no fitting "
                f"{lacking[0]}"
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
            "order": self.feed.state,
            "progress": {
                "update": self.update,
                "seconds": self.seconds,
                "best": self.best,
                "commands": self.commands,
            },
            "before": self.before,
            "carried": self.model.carried() if hasattr(self.model, "carried") else {},
        }

    def load(self, state: dict) -> None:
        """Inverse of `state`. Raises TrainingError for the state of another model or optimizer."""
        try:
            self.model.load_state_dict(state["model"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, TypeError, KeyError) as error:
            reason = str(error).strip().splitlines()[-1].strip()
            raise TrainingError(
                f"the checkpoints in {self.config.out} are of another model or optimizer "
                f"({reason}); "
                "give the settings of that run (its resolved_config.yaml), or another out="
            ) from None
        if hasattr(self.model, "carry"):
            self.model.carry(state.get("carried", {}))
        self.noise.set_state(state["noise"])
        self.feed.restart(state["order"])
        self.before, done = state.get("before", 0.0), state["progress"]
        self.update, self.seconds = done["update"], done["seconds"]
        self.best, self.commands = (
            done.get("best", math.inf),
            list(done.get("commands", [])),
        )  # runs of older versions

    @property
    def progress(self) -> float:
        """Share of the run that is done, by updates or by time."""
        if self.config.pace == "minutes":
            return min(1.0, self.seconds / max(1e-9, 60 * self.config.minutes))
        return self.update / max(1, self.config.updates)

    def step(self) -> dict[str, float]:
        """One update; returns its losses.

        Raises TrainingError on a loss that is not a number, before it does harm.
        """
        config, progress = self.config, self.progress
        if hasattr(self.model, "settle"):
            self.model.settle(self.average, self.before, progress)
        self.before = progress
        clips = self.feed.next()
        for group in self.optimizer.param_groups:
            group["lr"] = schedule(config, self.update, progress)
        terms, loss = self.gradients(clips, progress)
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at update {self.update}; the last good checkpoint is kept in "
                f"{config.out}. "
                "Go on with a lower learning_rate or clip."
            )
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        decay = min(config.ema, (1 + self.update) / (10 + self.update))
        averages, weights = (
            list(self.average.parameters()),
            [p.detach() for p in self.model.parameters()],
        )
        torch._foreach_lerp_(averages, weights, 1 - decay)
        for mine, theirs in zip(self.average.buffers(), self.model.buffers(), strict=True):
            mine.copy_(theirs)  # what a model measures is no weight: it is taken as it is
        self.update += 1
        return terms

    def gradients(self, clips: list[Clips], progress: float) -> tuple[dict[str, float], float]:
        """Leaves the gradients of the whole batch in the model; its mean losses by name, and what
        is minimised.
        """
        steps = 1 if progress < self.config.rollout_from else self.config.rollout_steps
        augmentation = self.augmentation._replace(progress=progress)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        numbers = 0
        for part, noise in zip(clips, self.noises(), strict=True):
            if self.config.cuda_graphs:
                torch.compiler.cudagraph_mark_step_begin()
            with self.autocast:
                terms = self.losses(part, augmentation, steps, noise)
            loss = total(terms, self.config, progress)
            (loss if self.parts == 1 else loss / self.parts).backward()
            numbers = numbers + torch.cat(
                [value.detach().reshape(1) for value in (*terms.values(), loss)]
            )
        numbers = self.processes.add_up(self.model.parameters(), numbers)
        *means, loss = (
            value / self.parts for value in numbers.tolist()
        )  # the one wait for the device
        return dict(zip(terms, means, strict=True)), loss

    def noises(self) -> list[torch.Generator]:
        """A generator for each part of this process: the run's own where a batch is one part, else
        seeded by it.
        """
        if self.parts == 1:
            return [self.noise]
        seeds = torch.randint(2**62, (self.parts,), generator=self.noise).tolist()
        return [torch.Generator().manual_seed(seeds[part]) for part in self.own]

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
            losses = self.average.clip_losses(
                clips, self.augmentation, self.config.rollout_steps, noise
            )
            for name, value in losses.items():
                rows.setdefault(name, []).append(value.item())
        return {name: float(np.mean(values)) for name, values in rows.items()}

    def save(self, provenance: dict, best: bool = False) -> None:
        """Writes a checkpoint (and as best.pt too) and the bundle of the averaged weights, each
        under another name first. Raises TrainingError where they cannot be written.
        """
        with writing(self.config.out):
            write_checkpoint(self.config.out, self.state(), self.update, best)
            contexts = start_contexts(self.train, self.config.contexts, np.random.default_rng(0))
            card = {**provenance, "updates": self.update}
            save_bundle(self.config.out / "bundle", self.average, contexts, card, {})


def part_of(clips: Clips, first: int, last: int) -> Clips:
    """Clips `first` to `last` (exclusive) of a batch."""
    if first == 0 and last == len(clips.frames):
        return clips
    return Clips(*(None if column is None else column[first:last] for column in clips))


def compiled(
    losses: Callable[..., dict[str, Tensor]], config: TrainConfig, device: torch.device
) -> Callable:
    """`losses` as the settings want it.

    Raises TrainingError where the device or another setting cannot do that.
    """
    if config.cuda_graphs and device.type != "cuda":
        raise TrainingError(
            f"cuda_graphs=true needs a CUDA card, and this run is on {device.type}; try "
            "compile=true"
        )
    if config.cuda_graphs and config.gradient_accumulation > 1:
        raise TrainingError(
            "cuda_graphs=true replays one part a process; set gradient_accumulation=1"
        )
    if not (config.compile or config.cuda_graphs):
        return losses
    return torch.compile(losses, mode="reduce-overhead" if config.cuda_graphs else None)
