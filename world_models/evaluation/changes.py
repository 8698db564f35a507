"""Of what changes in a game, how much does the dream change alike? PSNR hardly sees a ball of two
pixels; these figures see nothing else.

N rollouts, H horizon, H' x W x C a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from world_models.evaluation.estimates import bootstrap_interval, estimate
from world_models.evaluation.rollouts import Rollouts

VISIBLE = 25  # gray levels by which a color must differ to count as another one


def differ(frames: Tensor, others: Tensor) -> Tensor:
    """Frames (..., H, W, C) uint8 -> (..., H, W) bool: the pixels that are visibly different."""
    return ((frames.short() - others.short()).abs() > VISIBLE).any(-1)


def counted_changes(start: Tensor, dreamed: Tensor, real: Tensor) -> np.ndarray:
    """(N, 3) int64 for frames (N, H', W, C) uint8: the pixels that differ from the start frame in
    the dream and in the game and are alike, in the dream, and in the game.
    """
    in_dream, in_game = differ(dreamed, start), differ(real, start)
    alike = in_dream & in_game & ~differ(dreamed, real)
    counts = [mask.flatten(1).sum(1) for mask in (alike, in_dream, in_game)]
    return torch.stack(counts, 1).numpy()


def change_figures(run: Rollouts, steps: Sequence[int]) -> dict[str, Any]:
    """By depth: F1, precision and recall of the pixels that differ from the start frame, each with
    its interval over rollouts. A dream that stands still has a recall of 0; one that moves, but not
    as the recording does under the same actions, has little of either.
    """
    found: dict[str, Any] = {"f1": {}, "precision": {}, "recall": {}}
    generator = np.random.default_rng(0)
    for h in steps:
        rows = run.real_running[:, h - 1]
        counts = counted_changes(
            run.real_frames[rows, 0], run.frames[rows, h], run.real_frames[rows, h]
        )
        for name, parts in (("f1", (1, 2)), ("precision", (1,)), ("recall", (2,))):
            found[name][str(h)] = _share(counts, parts, generator)
    return found


def _share(counts: np.ndarray, parts: tuple[int, ...], generator: np.random.Generator) -> Any:
    """Alike pixels over the mean of these columns, as an estimate; None where there are none."""
    alike, total = counts[:, 0], counts[:, parts].mean(1)

    def ratio(picks: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore", invalid="ignore"):
            return alike[picks].sum(-1) / total[picks].sum(-1)

    value = float(alike.sum() / total.sum()) if total.sum() else None
    return estimate(value, bootstrap_interval(ratio, len(counts), generator), len(counts))
