from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from world_models.lanes import put_lanes, take_lanes


class Inner(NamedTuple):
    length: Tensor


class Nested(NamedTuple):
    frames: Tensor
    inner: Inner


def nested(values):
    values = torch.tensor(values)
    return Nested(values[:, None].repeat(1, 3), Inner(values))


def test_put_lanes_replaces_only_the_chosen_lanes_and_leaves_the_old_state_alone():
    old = nested([1, 2, 3])
    new = put_lanes(old, torch.tensor([True, False, True]), nested([8, 9]))
    assert new.inner.length.tolist() == [8, 2, 9] and new.frames[:, 1].tolist() == [8, 2, 9]
    assert old.inner.length.tolist() == [1, 2, 3]


def test_put_lanes_takes_indices_in_any_order():
    assert put_lanes(
        nested([1, 2, 3]), torch.tensor([2, 0]), nested([8, 9])
    ).inner.length.tolist() == [9, 2, 8]


def test_take_lanes_is_what_put_lanes_put():
    lanes = torch.tensor([False, True, True])
    fresh = nested([5, 6])
    assert torch.equal(
        take_lanes(put_lanes(nested([1, 2, 3]), lanes, fresh), lanes).frames, fresh.frames
    )


def test_states_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="cannot put"):
        put_lanes(nested([1, 2, 3]), torch.tensor([0]), nested([8, 9]))
