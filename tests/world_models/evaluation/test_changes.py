"""What changes is found by its pixels, however small it is, and a dream is held against it."""

import numpy as np
import torch

from world_models.evaluation.changes import change_figures, counted_changes
from world_models.evaluation.rollouts import Rollouts


def ball_at(*columns: int) -> torch.Tensor:
    """Frames (N, 8, 8, 3) uint8, black but for one white pixel in row 4."""
    frames = torch.zeros(len(columns), 8, 8, 3, dtype=torch.uint8)
    frames[range(len(columns)), 4, list(columns)] = 255
    return frames


def test_a_ball_that_moves_is_two_changed_pixels_and_one_that_is_gone_is_half_right():
    start, real = ball_at(1, 1, 1, 1), ball_at(2, 2, 2, 1)
    dreamed = ball_at(2, 3, 1, 1)
    dreamed[3, 0, 0] = 26
    counts = counted_changes(start, dreamed, real)
    assert counts.tolist() == [[2, 2, 2], [1, 2, 2], [0, 0, 2], [0, 1, 0]]


def test_what_is_invisibly_different_has_not_changed():
    start = ball_at(1)
    assert counted_changes(start, start - start // 255 * 25, start).tolist() == [[0, 0, 0]]


def dreams(columns: list[int], real: list[int]) -> Rollouts:
    frames, there = (ball_at(*path)[None] for path in (columns, real))
    steps = len(real) - 1
    going, nothing = torch.ones(1, steps, dtype=torch.bool), torch.zeros(1, steps)
    none = [nothing] * 3
    return Rollouts(
        frames.repeat(2, 1, 1, 1, 1), there.repeat(2, 1, 1, 1, 1), *none, nothing, nothing, nothing,
        going.repeat(2, 1), going.repeat(2, 1), there[:, 0],
    )  # fmt: skip


def test_figures_are_by_depth_with_their_samples_and_a_dream_that_stands_still_has_no_recall():
    right = change_figures(dreams([1, 2, 3], [1, 2, 3]), (1, 2))
    assert right["f1"]["2"] == {"value": 1.0, "interval": [1.0, 1.0], "samples": 2}
    still = change_figures(dreams([1, 1, 1], [1, 2, 3]), (1, 2))
    assert still["recall"]["1"]["value"] == 0 and still["precision"]["1"]["value"] is None
    lost = change_figures(dreams([1, 2, 5], [1, 2, 3]), (1, 2))
    np.testing.assert_allclose([lost["f1"][h]["value"] for h in ("1", "2")], [1.0, 0.5])


def test_where_nothing_changes_there_is_no_figure():
    found = change_figures(dreams([1, 1], [1, 1]), (1,))
    assert found["f1"]["1"] == {"value": None, "interval": None, "samples": 2}
