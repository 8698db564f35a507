"""Actions in parts, as evaluation tells them apart."""

from dataclasses import replace

import numpy as np
import torch
from gymnasium import spaces

from collectors.action_space import ActionSpace
from tests.world_models.conftest_models import SPEC
from world_models.evaluation.action_classes import MOST_CLASSES, ActionClasses


def classes_of(space, *names):
    return ActionClasses(
        replace(SPEC, action_names=names, action_space=ActionSpace.from_gymnasium(space))
    )


def test_the_thirds_of_a_box_and_the_choices_of_parts_are_classes():
    box = classes_of(spaces.Box(-1, 1, (2,)), "x", "y")
    assert len(box) == 9 and box.names[5] == "x middle, y high"
    assert box.of(torch.tensor([[0.1, 0.9], [-1.0, -1.0], [1.0, 1.0]])).tolist() == [5, 0, 8]
    pad = classes_of(spaces.MultiDiscrete([3, 2], start=[0, 4]), "x", "y")
    assert pad.names[3] == "x 1, y 5"
    assert pad.of(torch.tensor([[[1, 1], [2, 0]]])).tolist() == [[3, 4]]
    plain = ActionClasses(SPEC)
    assert plain.names == ["left", "right"] and plain.of(torch.tensor([1, 0])).tolist() == [1, 0]


def test_there_are_never_more_classes_than_a_probe_can_learn():
    many = classes_of(spaces.MultiBinary(20), *map(str, range(20)))
    assert len(many) == MOST_CLASSES
    drawn = many.space.draw_encoded(np.random.default_rng(0), (500,))
    by_class = many.of(torch.from_numpy(drawn))
    assert 0 <= by_class.min() and by_class.max() < MOST_CLASSES and len(by_class.unique()) > 50
