"""Attention with a mask of frames, and positions as rotations."""

import pytest
import torch

from world_models.networks.attention import attend, attend_dense, attend_flex, dense_mask
from world_models.networks.rotary import Rotary, rotate


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize(("frames", "tokens", "window"), [(5, 16, 5), (6, 7, 3), (9, 65, 4)])
def test_flex_attention_and_sdpa_with_the_same_mask_are_equal(frames, tokens, window):
    query, key, value = torch.randn(3, 2, 2, frames * tokens, 16).unbind()
    dense = attend_dense(query, key, value, tokens, window)
    assert torch.allclose(dense, attend_flex(query, key, value, tokens, window), atol=1e-5)
    number = [n // tokens for n in range(frames * tokens)]
    expected = [[0 <= i - j < window for j in number] for i in number]
    assert dense_mask(frames, tokens, window, torch.device("cpu")).tolist() == expected


@pytest.mark.parametrize("kind", ["flat", "factored"])
def test_only_the_distance_between_positions_counts(kind):
    place = Rotary(kind, 12, (2, 3), 1, 5000.0)
    angle, (query, key) = place(9), torch.randn(2, 7, 12)
    scores = [rotate(query, angle[n]) @ rotate(key, angle[n - 2]).T for n in (2, 5, 8)]
    assert torch.allclose(scores[0], scores[1], atol=1e-4) and torch.allclose(
        scores[0], scores[2], atol=1e-4
    )
    assert (
        len({tuple(row) for row in angle.flatten(0, 1).tolist()}) == 9 * 7
    )  # no two tokens share a place
    assert not torch.allclose(scores[0], rotate(query, angle[3]) @ rotate(key, angle[0]).T)


def test_attention_of_all_is_that_of_a_window_which_sees_all():
    qkv = torch.randn(2, 6, 3 * 8)
    query, key, value = (part.unflatten(2, (2, 4)).transpose(1, 2) for part in qkv.chunk(3, 2))
    whole = attend_dense(query, key, value, 6, 1).transpose(1, 2).flatten(2)
    assert torch.allclose(attend(qkv, 2), whole, atol=1e-6)
