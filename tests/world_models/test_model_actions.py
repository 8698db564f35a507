"""Families of models on actions in parts, and on frames that are no squares: their contract, and
what networks read of an action.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from gymnasium import spaces

from collectors.action_space import ActionSpace
from tests.world_models.conftest_models import CONFIGS, SPEC
from world_models.models.table import build_model
from world_models.networks.actions import (
    absent,
    embed_actions,
    feature_count,
    features_of,
    nearest_action,
    not_given,
    null_of,
    put_null,
    vector_of,
    vector_width,
)
from world_models.protocols import AugmentationOptions, WorldModel
from world_models.testing import WorldModelContract

BOX = ActionSpace.from_gymnasium(spaces.Box(np.float32([-2, 0]), np.float32([2, 1])))
PAD = ActionSpace.from_gymnasium(spaces.MultiDiscrete([4, 2], start=[0, 7]))
NAMES = ("steer", "gas")
WIDE = replace(SPEC, frame_shape=(16, 24, 3), action_names=NAMES, action_space=BOX)
FAMILIES = ("chance-sprites", "diffusion-guided", "transformer-drops-both", "unet", "pixel",
            "forcing", "latent", "tokens", "joint", "scene")  # fmt: skip


@pytest.fixture(params=[(name, space) for name in FAMILIES for space in (BOX, PAD)],
                ids=lambda pair: f"{pair[0]}-{pair[1].type}")  # fmt: skip
def chosen(request):
    return request.param


class TestContractOfParts(WorldModelContract):
    @pytest.fixture(autouse=True)
    def family(self, chosen):
        self.name, self.space = chosen

    def make_model(self) -> WorldModel:
        torch.manual_seed(0)
        spec = replace(WIDE, action_space=self.space)
        return build_model(spec, CONFIGS[self.name]).eval()

    def test_the_action_decides_and_its_gradient_comes_back(self):
        model = self.make_model().train()
        clips = self.make_clips(model, 4, 4)
        options = AugmentationOptions(action_dropout=0.5)
        losses = model.clip_losses(clips, options, 2, torch.Generator().manual_seed(0))
        torch.stack(list(losses.values())).sum().backward()
        read = [p for name, p in model.named_parameters() if ".table" in name or ".mlp" in name]
        learned = "sprites" in self.name or any(p.grad is not None for p in read)
        assert read and learned


@pytest.mark.parametrize("actions", [3, BOX, PAD], ids=str)
def test_the_null_action_is_told_from_every_other(actions):
    torch.manual_seed(0)
    space = ActionSpace.discrete(actions) if isinstance(actions, int) else actions
    given = torch.from_numpy(space.draw_encoded(np.random.default_rng(0), (5, 3)))
    where = torch.zeros(5, 3, dtype=torch.bool)
    where[1] = where[3, 2] = True
    mixed = put_null(given, where, null_of(actions))
    assert torch.equal(absent(mixed, actions), where) and mixed.dtype == given.dtype
    read = embed_actions(actions, 8)(mixed)
    assert read.shape == (5, 3, 8)
    rows = read[where]
    assert (rows == rows[0]).all() and not (read[~where] == rows[0]).all(1).any()
    plain = features_of(mixed[:, 0], actions)
    assert plain.shape == (5, feature_count(actions)) and plain.isfinite().all()


@pytest.mark.parametrize("actions", [3, BOX, PAD], ids=str)
def test_a_point_of_an_action_leads_back_to_it_and_nearby_points_do_too(actions):
    space = ActionSpace.discrete(actions) if isinstance(actions, int) else actions
    given = torch.from_numpy(space.draw_encoded(np.random.default_rng(0), (50,)))
    points = vector_of(given, actions)
    assert points.shape == (50, vector_width(actions))
    assert torch.equal(nearest_action(points, actions), given)
    near = nearest_action(points + 0.2 * torch.rand(points.shape), actions)
    assert near.dtype == given.dtype and (near - given).abs().max() <= 0.2
    unknown = vector_of(not_given(space, 2, torch.device("cpu")), actions)
    assert torch.allclose(unknown.sum(1), torch.tensor(0.0 if space.is_box else float(space.parts)))


def test_a_pair_holds_the_action_to_the_last_digit_while_networks_learn_in_half_precision():
    torch.manual_seed(0)
    model = build_model(WIDE, CONFIGS["joint"])
    action = torch.from_numpy(BOX.draw_encoded(np.random.default_rng(0), (4,)))
    context = torch.zeros(4, 3 * model.context_length, 16, 24)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.encode(context, action).rest[1], action)


def test_numbers_that_are_near_are_read_alike_and_others_apart():
    torch.manual_seed(0)
    embed = embed_actions(BOX, 16)
    read = embed(torch.tensor([[0.5, 0.5], [0.51, 0.5], [-0.5, 0.5], [0.5, -0.9]]))
    far = (read - read[0]).norm(dim=1)
    assert far[1] < 0.2 * far[2] and far[1] < 0.2 * far[3] and far[1] > 0


def test_a_spec_with_parts_survives_and_one_without_is_as_it_was():
    assert WIDE.from_dict(WIDE.as_dict()) == WIDE and hash(WIDE)
    assert "action_space" not in SPEC.as_dict() and SPEC.actions.is_plain
