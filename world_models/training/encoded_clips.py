"""Clips of codes in place of frames: once the encoder of a model is frozen, the frames of a dataset
are encoded once, into files, and clips are cut from these.

T frames of a shard, G x G codes per frame.
"""

from __future__ import annotations

import copy
import hashlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from collectors.files import write_atomically
from world_models.protocols import WorldModel
from world_models.training.clips import FRAMES_AT_ONCE, ClipReader


def encoded_clips(
    reader: ClipReader, model: WorldModel, encoder: nn.Module, folder: Path
) -> ClipReader:
    """A reader of the same clips whose frames are codes (B, K + S, G, G) whole numbers, from files
    in `folder`.

    `encoder`: the part of the model that its codes depend on. Files are written where they are
    missing or of another encoder or dataset.
    """
    name = hashlib.sha256((reader.dataset.fingerprint + fingerprint(encoder)).encode()).hexdigest()
    shards = []
    for number, shard in enumerate(reader.dataset.shards):
        file = folder / f"codes_{name[:16]}" / f"{number:06d}.npy"
        if not file.exists():
            codes = encode_all(shard.frames, model)
            write_atomically(file, lambda path, codes=codes: np.save(path, codes), shared=True)
        shards.append(shard._replace(frames=np.load(file, mmap_mode="r", allow_pickle=False)))
    other = copy.copy(reader)
    other.dataset = copy.copy(reader.dataset)
    other.dataset.shards = shards
    return other


def encode_all(frames: np.ndarray, model: WorldModel) -> np.ndarray:
    """Frames (T, H, W, C) uint8 -> their codes (T, G, G), in the type that the model stores."""
    starts = range(0, len(frames), FRAMES_AT_ONCE)
    parts = [torch.from_numpy(np.array(frames[i : i + FRAMES_AT_ONCE])) for i in starts]
    return np.concatenate([model.encode_frames(part).cpu().numpy() for part in parts])


def fingerprint(module: nn.Module) -> str:
    """sha256 of a module's weights."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode() + value.detach().cpu().numpy().tobytes())
    return digest.hexdigest()
