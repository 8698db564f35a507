"""Samples of a run as it goes: one step from held-out frames, and a film of an open-loop dream.

K context frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from collectors.media import spread, write_strip
from collectors.video_writers import write_comparison
from world_models.evaluation.rollouts import device_of, to_model
from world_models.noise import NoiseStream
from world_models.protocols import Clips, WorldModel
from world_models.training.clips import context_of


@torch.inference_mode()
def dream_along(model: WorldModel, clips: Clips) -> np.ndarray:
    """The clips' actions dreamed open loop from their contexts: (B, S, H, W, C) uint8."""
    state = model.init(to_model(context_of(clips, model.context_length), model))
    noise = to_model(NoiseStream.from_seeds(torch.arange(len(clips.frames))), model)
    frames = []
    for action in clips.actions.unbind(1):
        out = model.step(state, action.to(device_of(model)), noise)
        state, noise = out.state, noise.next()
        frames.append(out.frame.cpu())
    return torch.stack(frames, 1).numpy()


def write_samples(model: WorldModel, clips: Clips, out: Path) -> None:
    """Writes strip.png (last real frames, next real ones, next dreamed ones) and rollout.mp4 and
    .gif: the clip that goes on longest, real | dreamed | difference.
    """
    dreamed, real = dream_along(model, clips), clips.frames[:, model.context_length :].numpy()
    last = clips.frames[:, model.context_length - 1].numpy()
    rows = [spread(frames, 16) for frames in (last, real[:, 0], dreamed[:, 0])]
    write_strip(out / "strip.png", rows, scale=3)
    longest = int(clips.valid.sum(1).argmax())
    steps = int(clips.valid[longest].sum())
    write_comparison(
        out / "rollout", real[longest, :steps], dreamed[longest, :steps], model.spec.fps
    )
