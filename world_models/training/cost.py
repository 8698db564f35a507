"""What a run will cost: multiply-adds of a dreamed step, and minutes on this machine, before the
first update.
"""

from __future__ import annotations

import copy
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from collectors.progress import duration
from world_models.evaluation.rollouts import device_of
from world_models.networks.actions import numbered
from world_models.noise import NoiseStream
from world_models.protocols import Context, WorldModel
from world_models.training.presets.scaling import PATCH, larger_size
from world_models.training.schedules import augmentation, rollout_steps, weighted_sum
from world_models.training.trainer import Trainer


@torch.no_grad()
def step_multiply_adds(model: WorldModel) -> int:
    """Multiply-adds of one step of one dream, of convolutions, matrix products and attention."""
    device, length, spec = device_of(model), model.context_length, model.spec
    frames = torch.zeros(1, length, *spec.frame_shape, dtype=torch.uint8, device=device)
    between = torch.from_numpy(spec.actions.encoded_zeros((1, length - 1))).to(device)
    lane = torch.zeros(1, dtype=torch.int64, device=device)
    model = copy.deepcopy(model).eval()
    state = model.init(Context(frames, between))
    with FlopCounterMode(display=False) as counter:
        model.step(state, numbered(spec.actions, lane), NoiseStream.from_seeds(lane))
    return counter.get_total_flops() // 2


def training_seconds(trainer: Trainer) -> float:
    """How long all updates will take, by one of the first and one of the last kind, on a copy of
    the model: nothing of the run is changed, and no random number of it is drawn.
    """
    config, model = trainer.config, copy.deepcopy(trainer.model).train()
    order, found = np.random.default_rng(0), []
    for progress in (0.0, 1.0):
        clips = trainer.draw_parts(order)[0]
        steps, options = rollout_steps(config, progress), augmentation(config, progress)
        model.begin_update(model, progress, progress)
        started = time.perf_counter()
        with trainer.autocast:
            losses = model.clip_losses(clips, options, steps, torch.Generator().manual_seed(0))
        weighted_sum(losses, config, progress).backward()
        if trainer.device.type == "cuda":
            torch.cuda.synchronize(trainer.device)
        found.append(len(trainer.own_parts) * (time.perf_counter() - started))
    early, late = found
    return config.updates * (config.rollout_from * early + (1 - config.rollout_from) * late)


def cost_line(trainer: Trainer) -> str:
    """The sentence: grid, and the size of frames that would have a smaller one; multiply-adds per
    step, time of the updates.
    """
    model, config = trainer.model, trainer.config
    height, width, _ = model.spec.frame_shape
    rows, columns = height // model.patch, width // model.patch
    millions = step_multiply_adds(model) / 1e6
    line = f"frames of {height}x{width} pixels in {rows}x{columns} patches of {model.patch}"
    if size := larger_size(config, model.spec.frame_shape):
        grid = f"{size[0] // PATCH}x{size[1] // PATCH} of {PATCH}"
        line += f" (recorded with size={size[0]}x{size[1]} it would be {grid})"
    line += f": {millions:.3g} M multiply-adds per dreamed step"
    if config.schedule == "minutes":
        return line
    return f"{line}; {config.updates} updates take about {duration(training_seconds(trainer))} here"
