"""One training run: its state, and one update after another.

B clips, S rollout steps, N parts of a batch.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from collectors.dataset.dataset import Dataset
from world_models.bundles import BundleError
from world_models.bundles.bundle import load_bundle, save_bundle
from world_models.models.table import build_model
from world_models.protocols import Clips, LoadModel
from world_models.training.checkpoints import write_checkpoint, writing
from world_models.training.clips import ClipReader, part_of, read_frames, read_spec
from world_models.training.config import TrainConfig, TrainingError
from world_models.training.distributed import Processes, use_bfloat16
from world_models.training.encoded_clips import encoded_clips
from world_models.training.expert_clips import ExpertClips
from world_models.training.optimizers import build_optimizer
from world_models.training.prefetch import Prefetcher
from world_models.training.schedules import (
    augmentation,
    learning_rate,
    rollout_steps,
    weighted_sum,
)
from world_models.training.start_contexts import start_contexts

VALIDATION_BATCH = 64  # clips


class Trainer:
    """Model, averaged weights, optimizer, data and generators of one run.

    Every process has the same; the main one validates and writes.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset, load: LoadModel | None = None):
        """`load` gives the model of a bundle that the config names, see `build_model`."""
        self.config, self.dataset = config, dataset
        self.update, self.seconds, self.best = 0, 0.0, math.inf
        self.last_progress = 0.0  # at the update before
        self.commands: list[str] = []  # one per start: a resumed run may have other settings

        self.processes = Processes(config.device)
        self.parts, self.own_parts, self.part_size = self.processes.share(
            config.batch_size, config.gradient_accumulation
        )
        self.device = self.processes.device

        with torch.random.fork_rng():  # layers draw their weights from the global generator
            torch.manual_seed(config.seed)
            self.model = build_model(read_spec(dataset), config.model, load, self.training_frames)
        self.model.to(self.device)
        # torch's stubs do not know memory_format
        self.model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.bfloat16 = use_bfloat16(config.precision, self.device)
        self.autocast = torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.optimizer = build_optimizer(
            config.optimizer, self.model, config.learning_rate, config.weight_decay
        )
        self.losses = compiled(self.model.clip_losses, config, self.device)
        self.noise = torch.Generator().manual_seed(config.seed)
        self._open_data()

    def _open_data(self) -> None:
        config, split = self.config, self.dataset.split()
        clips = (self.model.context_length, config.rollout_steps)
        weights = (config.event_weight, config.termination_event_weight, config.unique_steps)
        self.training_clips = ClipReader(self.dataset, split["train"], *clips, *weights)
        self.reader = self.training_clips  # of updates: later perhaps codes in place of frames
        self.validation_clips = ClipReader(self.dataset, split["validation"], *clips, *weights)
        self.expert = ExpertClips(self.model.spec, config.sampled) if config.expert else None
        order = np.random.default_rng(config.seed)
        self.prefetcher = Prefetcher(self.draw_parts, order, config.prefetch)

    def training_frames(self) -> Iterator[np.ndarray]:
        """All frames of the training episodes, in parts."""
        return read_frames(self.dataset, self.dataset.split()["train"])

    @property
    def progress(self) -> float:
        """Share of the run that is done, in [0, 1], by updates or by minutes."""
        if self.config.schedule == "minutes":
            return min(1.0, self.seconds / max(1e-9, 60 * self.config.minutes))
        return self.update / max(1, self.config.updates)

    def done(self, seconds: float) -> bool:
        """Whether to stop, this process having trained for so many seconds."""
        if self.config.schedule == "minutes":
            return self.progress >= 1
        return self.update >= self.config.updates or seconds >= self.config.minutes * 60

    def step(self) -> dict[str, float]:
        """One update; returns its mean losses by name.

        Raises TrainingError on a loss that is not a number, before the weights are changed.
        """
        config, progress = self.config, self.progress
        self.model.begin_update(self.average, self.last_progress, progress)
        self.read_codes(progress)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, self.update, progress)
        losses, minimized = self.compute_gradients(self.prefetcher.next(), progress)
        if not math.isfinite(minimized):
            raise TrainingError(
                f"the loss is {minimized} at update {self.update}; the last good checkpoint is "
                f"kept in {config.out}. Go on with a lower learning_rate and allow_changes=true"
            )
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), config.clip)
        self.optimizer.step()
        self.update_average()
        self.last_progress = progress
        self.update += 1
        return losses

    def read_codes(self, progress: float) -> None:
        """From the moment on at which the model's encoder of frames is frozen, training clips are
        codes that were encoded once. An expert changes frames, so its clips stay frames.
        """
        encoder = self.model.frame_encoder(progress)
        if encoder is None or self.expert is not None or self.reader is not self.training_clips:
            return
        with writing(self.config.out):
            self.reader = encoded_clips(self.training_clips, self.model, encoder, self.config.out)
        self.prefetcher.restart(self.prefetcher.state)  # what was drawn ahead are frames

    def compute_gradients(
        self, parts: list[Clips], progress: float
    ) -> tuple[dict[str, float], float]:
        """Puts the gradients of the whole batch into the model.

        Returns the mean losses by name, and the weighted sum that is minimized. Every part's
        gradient is divided by N, and those of all processes are added up.
        """
        steps = rollout_steps(self.config, progress)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        names: list[str] = []
        sums = torch.zeros((), device=self.device)
        for clips, noise in zip(parts, self.part_generators(), strict=True):
            if self.config.cuda_graphs:
                torch.compiler.cudagraph_mark_step_begin()
            with self.autocast:
                losses = self.losses(clips, augmentation(self.config, progress), steps, noise)
            minimized = weighted_sum(losses, self.config, progress)
            (minimized if self.parts == 1 else minimized / self.parts).backward()
            names, values = list(losses), (*losses.values(), minimized)
            sums = sums + torch.cat([value.detach().reshape(1) for value in values])
        sums = self.processes.add_up(self.model.parameters(), sums)
        *means, minimized = (value / self.parts for value in sums.tolist())  # waits for the device
        return dict(zip(names, means, strict=True)), minimized

    def part_generators(self) -> list[torch.Generator]:
        """A noise generator for each part of this process: the run's own where a batch is one part,
        else one that is seeded by it.
        """
        if self.parts == 1:
            return [self.noise]
        seeds = torch.randint(2**62, (self.parts,), generator=self.noise).tolist()
        return [torch.Generator().manual_seed(seeds[part]) for part in self.own_parts]

    @torch.no_grad()
    def update_average(self) -> None:
        """Moves the averaged weights towards the model's; buffers are copied as they are."""
        decay = min(self.config.ema, (1 + self.update) / (10 + self.update))
        averages = [p.data for p in self.average.parameters()]
        weights = [p.data for p in self.model.parameters()]
        # one call for all of them; torch has no public name for it
        torch._foreach_lerp_(averages, weights, 1 - decay)  # pyright: ignore[reportPrivateImportUsage]
        for mine, theirs in zip(self.average.buffers(), self.model.buffers(), strict=True):
            mine.copy_(theirs)

    def draw(self, reader: ClipReader, count: int, order: np.random.Generator) -> Clips:
        """`count` clips of a reader, with the moves of the expert where the run has one."""
        clips = reader.draw(count, order)
        return clips if self.expert is None else self.expert(clips, order)

    def draw_parts(self, order: np.random.Generator) -> list[Clips]:
        """This process's parts of the next batch. All processes choose the same batch, and each
        cuts its own parts of it.
        """
        size, reader = self.part_size, self.reader
        first, last = self.own_parts[0] * size, (self.own_parts[-1] + 1) * size
        if self.expert is None:
            own = reader.cut(reader.choose(self.config.batch_size, order)[first:last])
        else:
            own = part_of(self.draw(reader, self.config.batch_size, order), first, last)
        return [part_of(own, i, i + size) for i in range(0, last - first, size)]

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Held-out losses of the averaged weights, always on the same clips with the same noise."""
        order, noise = np.random.default_rng(1), torch.Generator().manual_seed(1)
        rows: dict[str, list[float]] = {}
        for _ in range(self.config.validation_batches):
            clips = self.draw(self.validation_clips, VALIDATION_BATCH, order)
            losses = self.average.clip_losses(
                clips, augmentation(self.config, 1.0), self.config.rollout_steps, noise
            )
            for name, value in losses.items():
                rows.setdefault(name, []).append(value.item())
        return {name: float(np.mean(values)) for name, values in rows.items()}

    def save(self, provenance: dict, best: bool = False) -> None:
        """Writes a checkpoint (where `best`, as best.pt too) and the bundle of the averaged
        weights. Raises TrainingError where they cannot be written; older ones are then kept.
        """
        with writing(self.config.out):
            write_checkpoint(self.config.out, self.state(), self.update, best)
            generator = np.random.default_rng(0)
            contexts = start_contexts(self.training_clips, self.config.contexts, generator)
            minutes = round(self.seconds / 60, 1)
            card = {**provenance, "updates": self.update, "minutes": minutes}
            save_bundle(self.config.out / "bundle", self.average, contexts, card, {})

    def state(self) -> dict:
        """Everything that decides how the run goes on."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "noise": self.noise.get_state(),
            "order": self.prefetcher.state,
            "progress": {
                "update": self.update,
                "seconds": self.seconds,
                "best": self.best,
                "commands": self.commands,
            },
            "before": self.last_progress,
            "model_state": self.model.training_state(),
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
                f"({reason}); give the settings of that run (its resolved_config.yaml), or another "
                "out="
            ) from None
        self.model.load_training_state(state["model_state"])
        self.noise.set_state(state["noise"])
        self.prefetcher.restart(state["order"])
        self.last_progress, progress = state["before"], state["progress"]
        self.update, self.seconds = progress["update"], progress["seconds"]
        self.best, self.commands = progress["best"], list(progress["commands"])

    def check_model_state(self, state: dict) -> None:
        """Raises ValueError where the model cannot go on from its part of a checkpoint."""
        try:
            self.model.load_training_state(state["model_state"])
        except (TypeError, ValueError, KeyError, AttributeError):
            raise ValueError("its part 'model_state' is wrong") from None

    def load_weights(self, bundle: Path) -> None:
        """Takes over the weights of a bundle that fit by name and shape.

        Raises TrainingError where none do, or where a part is missing that this run does not learn.
        """
        try:
            theirs = load_bundle(bundle).model.state_dict()
        except BundleError as error:
            raise TrainingError(f"init_from: {error}") from None
        own = self.model.state_dict()
        fit = {
            name: value
            for name, value in theirs.items()
            if name in own and value.shape == own[name].shape
        }
        if not fit:
            raise TrainingError(
                f"init_from: no tensor of {bundle} fits this model; is it of another kind or width?"
            )
        given = self.model.given_weights
        missing = [name for name in own if given and name.startswith(given) and name not in fit]
        if missing:
            raise TrainingError(
                f"init_from: {bundle} must bring all of the {given[:-1]}, but has no fitting "
                f"{min(missing)}"
            )
        for model in (self.model, self.average):
            model.load_state_dict({**own, **fit})


def compiled(
    losses: Callable[..., dict[str, Tensor]], config: TrainConfig, device: torch.device
) -> Callable[..., dict[str, Tensor]]:
    """`losses`, compiled where the settings say so.

    Raises TrainingError where the device or another setting does not allow it.
    """
    if config.cuda_graphs and device.type != "cuda":
        raise TrainingError(
            f"cuda_graphs=true needs a CUDA card, and this run is on {device.type}; try "
            "compile=true"
        )
    if config.cuda_graphs and config.gradient_accumulation > 1:
        raise TrainingError(
            "cuda_graphs=true replays one part per process; set gradient_accumulation=1"
        )
    if not (config.compile or config.cuda_graphs):
        return losses
    return torch.compile(losses, mode="reduce-overhead" if config.cuda_graphs else None)
