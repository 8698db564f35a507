"""Patches are counted one by one, and a dictionary is enough where it lacks hardly any."""

from collections import Counter

import numpy as np
import pytest
import torch

from world_models.networks.patch_counts import PatchCounter, count_patches, enough
from world_models.networks.patch_dictionary import cut_patches
from world_models.networks.tokenizer import TokenizerConfig

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(("patch", "colors"), [(4, 3), (2, 1), (8, 1)])
def test_each_patch_is_counted_as_often_as_it_occurs(patch, colors):
    frames = RNG.integers(0, 2, (30, 16, 24, colors), dtype=np.uint8)
    frames[:, :patch, :patch] = 7
    tiles = cut_patches(torch.from_numpy(frames), patch).flatten(0, 2).numpy()
    expected = Counter(tile.tobytes() for tile in tiles)
    counter = PatchCounter(patch, patch * patch * colors)
    for part in np.array_split(frames, 4):
        counter.add(part)
    found = {counter.patches[key].tobytes(): count for key, count in counter.counts.items()}
    assert found == expected
    first = counter.most_frequent(1)[0]
    assert first.tobytes() == max(expected, key=lambda tile: (expected[tile], tile))


def frames_of(*counts: int) -> np.ndarray:
    """Frames (N, 4, 4, 1) of one patch each, the i-th patch in counts[i] of them."""
    return np.repeat(np.arange(len(counts), dtype=np.uint8), counts)[:, None, None, None].repeat(
        4, 1
    ).repeat(4, 2)  # fmt: skip


def test_a_dictionary_lacks_what_is_left_out_and_what_was_not_seen_yet():
    counter = PatchCounter(4, 16)
    counter.add(frames_of(50, 40, 6, 4))
    assert counter.lacking(4) == 0 and counter.lacking(2) == 0.1
    counter.add(frames_of(0, 0, 0, 0, *[1] * 25))
    assert counter.lacking(100) == 25 / 125, "as many new ones as were seen once"
    assert enough(counter, 100) and not enough(counter, 2)


def test_auto_takes_a_dictionary_that_holds_nearly_all_and_stops_early_where_none_does():
    config = TokenizerConfig(patch=4, most_patches=2)
    few, many = frames_of(60, 30, 10), RNG.integers(0, 255, (64, 4, 4, 1), dtype=np.uint8)
    patches = count_patches(config, 1, lambda: [few])
    assert patches is not None and patches[:, 0].tolist() == [0, 1]
    read = []

    def parts():
        for part in np.array_split(many, 8):
            read.append(len(part))
            yield part

    assert count_patches(config, 1, parts) is None
    assert len(read) < 8
