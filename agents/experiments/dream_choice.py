"""Which family of models learns a game, by what its recording holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch

from collectors.dataset.dataset import Dataset
from neural_envs.bundles import load_model
from world_models.evaluation.metrics import SSIM_WINDOW
from world_models.models.table import build_model
from world_models.models.tokens_config import TokensConfig
from world_models.networks.patch_counts import PatchCounter, enough, too_many
from world_models.training.expert_clips import ExpertClips
from world_models.training.presets.scaling import fitted
from world_models.training.presets.table import find_preset
from world_models.world_spec import WorldSpec

LOOKED_AT = 5_000  # frames, spread over the recording
MOVES = 0.3  # of all pixels change from a frame to the next: the whole frame scrolls
CHANCE, TOKENS = "any", "any-tokens"


class Choice(NamedTuple):
    """A preset, why it was taken, and what was found."""

    preset: str
    reason: str
    patches: int  # different ones in the frames that were looked at, counted up to the limit
    changed: float  # mean share of pixels that change in a step


def choose_family(dataset: Dataset) -> Choice:
    """Tokens with a dictionary where that holds nearly all patches, tokens with a tokenizer that is
    learned where the whole frame moves, else a chance model that copies what stays.
    """
    frame_shape = dataset.spec["frame_shape"]
    tokens = fitted(TOKENS, find_preset(TOKENS), frame_shape).model
    assert isinstance(tokens, TokensConfig)
    tokenizer = tokens.tokenizer
    frames, after = _pairs(dataset)
    counter = PatchCounter(tokenizer.patch, tokenizer.patch**2 * frames.shape[-1])
    for part in np.array_split(frames, max(1, len(frames) // 64)):
        counter.add(part)
        if too_many(counter, tokenizer.most_patches):
            break
    found, changed = len(counter.counts), float((frames != after).any(-1).mean())
    if enough(counter, tokenizer.most_patches):
        lacking = counter.lacking(tokenizer.most_patches)
        reason = f"{found} different patches: a dictionary lacks {lacking:.2f} per frame"
        return Choice(TOKENS, reason, found, changed)
    if changed > MOVES:
        reason = f"{changed:.0%} of the pixels change in a step: codes cannot melt"
        return Choice(TOKENS, reason, found, changed)
    reason = f"{changed:.0%} of the pixels change in a step: the rest is copied"
    return Choice(CHANCE, reason, found, changed)


def check_size(spec: Mapping[str, Any]) -> None:
    """Raises ValueError for frames of a game that are too small to be measured on."""
    height, width, _ = spec["frame_shape"]
    if min(height, width) < SSIM_WINDOW:
        raise ValueError(
            f"frames of {height}x{width} pixels are too small: a dream is measured by windows of "
            f"{SSIM_WINDOW} pixels; take a larger one, as --options size=16"
        )


def check_family(name: str, spec: Mapping[str, Any]) -> None:
    """Raises ValueError, a sentence, where the model of the preset `name` cannot be one of this
    game, for its actions or its frames. `spec` may leave rewards open.
    """
    preset = fitted(name, find_preset(name), spec["frame_shape"])
    rewards = spec["reward_values"] or [0.0]
    game = WorldSpec.from_dict({**spec, "reward_values": rewards})
    # noise stands for the data, which decide sizes of some models
    noise = np.random.default_rng(0).integers(0, 256, (64, *game.frame_shape), np.uint8)
    try:
        with torch.random.fork_rng(devices=[]):
            build_model(game, preset.model, load_model, lambda: [noise])
            if preset.expert:
                ExpertClips(game, preset.sampled)
    except ValueError as error:
        raise ValueError(f"--family {name} is not for this game: {error}") from error


def _pairs(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Frames and the ones after them, (N, H, W, C) uint8, spread over the training episodes."""
    episodes = dataset.split()["train"] or [row.id for row in dataset.episodes]
    each = max(1, -(-LOOKED_AT // len(episodes)))
    before, after = [], []
    for number in episodes[:: max(1, len(episodes) // LOOKED_AT)][:LOOKED_AT]:
        frames = dataset.episode(number).frames
        steps = np.unique(np.linspace(0, len(frames) - 2, each).astype(int))
        before.append(frames[steps])
        after.append(frames[steps + 1])
    return np.concatenate(before), np.concatenate(after)
