"""Action spaces: to and from Gymnasium and JSON, encoded for models, and what is refused."""

import json

import numpy as np
import pytest
from gymnasium import spaces

from collectors.action_space import ActionSpace, ActionSpaceError
from collectors.worlds.default_keys import LEFT, MOST_COMBINATIONS, UP, default_keys
from collectors.worlds.lane_arguments import UnknownActionError, check_in_space

SPACES = (
    spaces.Discrete(3),
    spaces.Discrete(4, start=-2),
    spaces.MultiDiscrete([3, 2], start=[0, 5]),
    spaces.MultiBinary(3),
    spaces.Box(np.float32([-2, 0]), np.float32([2, 0.5])),
)


@pytest.mark.parametrize("space", SPACES, ids=str)
def test_a_space_survives_json_and_its_actions_survive_encoding(space):
    ours = ActionSpace.from_gymnasium(space)
    again = ActionSpace.from_dict(json.loads(json.dumps(ours.as_dict())))
    assert again == ours and again.to_gymnasium() == space and hash(again) == hash(ours)
    generator = np.random.default_rng(0)
    actions = np.array([ours.draw(generator) for _ in range(200)])
    assert actions.shape == (200, *ours.row) and ours.holds(actions)
    assert all(space.contains(a.astype(space.dtype)[()]) for a in actions)
    encoded = ours.encode(actions)
    low, high = (-1, 1) if ours.is_box else (0, np.array(ours.counts) - 1)
    assert (encoded >= low).all() and (encoded <= high).all() and encoded.dtype == ours.dtype
    np.testing.assert_allclose(ours.decode(encoded), actions, atol=1e-6)
    assert (ours.draw_encoded(generator, (5, 4)) != ours.null).all()
    assert ours.draw_encoded(generator, (5, 4)).shape == (5, 4, *ours.row)


def test_bounds_are_encoded_as_minus_one_and_one():
    box = ActionSpace.from_gymnasium(SPACES[-1])
    bounds = np.array([[-2, 0], [2, 0.5], [0, 0.25]], np.float32)
    assert box.encode(bounds).tolist() == [[-1, -1], [1, 1], [0, 0]]
    assert (box.decode(np.float32([[-9, 9]])) == [[-2, 0.5]]).all()


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.Box(-np.inf, 1, (2,)), "no bounds to scale"),
        (spaces.Box(0, 1, (2, 2)), "no row of parts"),
        (spaces.Box(0, 9, (2,), np.int64), "floating-point"),
        (spaces.Box(np.float32([0, 1]), np.float32([1, 1])), "not below its upper bound"),
        (spaces.Tuple((spaces.Discrete(2),)), "Discrete, MultiDiscrete, MultiBinary or Box"),
        (spaces.Discrete(5000), "1 to 1024 choices"),
    ],
)
def test_a_space_without_a_dream_is_a_sentence(space, words):
    with pytest.raises(ActionSpaceError, match=words):
        ActionSpace.from_gymnasium(space)


@pytest.mark.parametrize(
    "found",
    [None, [], {"type": "Box"}, {"type": "Box", "low": [0], "high": [1, 2]}, {"type": "Dict"},
     {"type": "Box", "low": [0], "high": [float("inf")]}, {"type": "MultiBinary", "n": 10**9},
     {"type": "Discrete", "n": 2.5, "start": 0}, {"type": "Discrete", "n": -1, "start": 0},
     {"type": "MultiDiscrete", "nvec": [], "start": []},
     {"type": "MultiDiscrete", "nvec": [2], "start": [0, 0]},
     {"type": "Box", "low": "", "high": ""}, {"type": [], "n": 3}, {"type": "Odd"}],
)  # fmt: skip
def test_a_description_that_is_none_is_refused(found):
    with pytest.raises(ActionSpaceError):
        ActionSpace.from_dict(found)


def test_actions_outside_are_refused_or_clipped():
    box = ActionSpace.from_gymnasium(SPACES[-1])
    for wrong in ([3, 0], [0, np.nan], [0], ["a", "b"], 0.5):
        with pytest.raises(UnknownActionError, match=r"Box.*steer, gas"):
            check_in_space(wrong, box, ("steer", "gas"))
    assert check_in_space([3, -1], box, ("steer", "gas"), clip=True).tolist() == [2, 0]
    assert check_in_space([[1, 0.5]], box, ("steer", "gas"), lanes=1).dtype == np.float32
    pad = ActionSpace.from_gymnasium(SPACES[2])
    for wrong in ([3, 5], [0, 4], [0.5, 5], [0]):
        with pytest.raises(UnknownActionError, match="MultiDiscrete"):
            check_in_space(wrong, pad, ("x", "y"), clip=True)


def test_keys_of_different_parts_go_together():
    box = ActionSpace.from_gymnasium(SPACES[-1])
    table = default_keys(box)
    assert table[()] == (0, 0) and table[(LEFT, UP)] == (-2, 0.5) and table[(UP,)] == (0, 0.5)
    pad = ActionSpace.from_gymnasium(SPACES[2])
    assert default_keys(pad)[(LEFT, "1")] == (1, 6) and default_keys(pad)[()] == (0, 5)
    assert default_keys(ActionSpace.discrete(3, 5)) == {("5",): 5, ("6",): 6, ("7",): 7}
    assert len(default_keys(ActionSpace.from_gymnasium(spaces.MultiBinary(200)))) <= 1024


def keyed(counts) -> dict[tuple, tuple]:
    """The keys of a MultiDiscrete of these numbers of choices."""
    return default_keys(ActionSpace.from_gymnasium(spaces.MultiDiscrete(counts)))


def test_a_part_takes_as_many_keys_as_it_has_choices():
    table = keyed([2, 2, 2])
    assert table[("1",)] == (1, 0, 0) and table[("2",)] == (0, 1, 0) and table[("3",)] == (0, 0, 1)
    assert table[("1", "2", "3")] == (1, 1, 1) and len(table) == 8
    table = keyed([4, 4])
    assert set(table.values()) == {(a, b) for a in range(4) for b in range(4)}
    box = default_keys(ActionSpace("Box", low=(-1.0,) * 6, high=(1.0,) * 6))
    assert box[("1",)] == (0, 0, 0, 0, -1, 0) and box[("4",)] == (0, 0, 0, 0, 0, 1)


@pytest.mark.parametrize("counts", [[2] * 12, [30, 2], [9, 9, 9, 9], [2] * 27])
def test_every_part_has_a_key_while_there_are_enough(counts):
    table = keyed(counts)
    assert len(table) <= MOST_COMBINATIONS
    alone = {row for keys, row in table.items() if len(keys) == 1}
    assert {part for row in alone for part, value in enumerate(row) if value} == {
        *range(len(counts))
    }


def test_of_many_parts_fewer_are_moved_together():
    table = keyed([2] * 12)
    assert max(map(len, table)) == 3 and table[("1", "2", "3")] == (1, 1, 1, *[0] * 9)


@pytest.mark.parametrize(("start", "key"), [(-2, "0"), (5, "0"), (300, "0"), (0, "0")])
def test_keys_of_numbers_that_are_no_digits_are_digits(start, key):
    table = default_keys(ActionSpace.discrete(10, start))
    assert table[(key,)] == start and {len(key) for (key,) in table} == {1} and len(table) == 10
