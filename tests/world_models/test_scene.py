"""A scene is read from frames, drawn again, and what is not chosen to change stays."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from collectors.action_space import ActionSpace
from tests.world_models.conftest_models import make_context, make_model
from tests.world_models.test_model_actions import BOX, PAD
from world_models import frames as pixels
from world_models.models.scene_losses import SURE, likelihood_of_best, trust_loss
from world_models.networks.actions import vector_of
from world_models.networks.scene import SceneSizes
from world_models.networks.scene_dynamics import RowSums, SceneDynamics, SceneHistory, SceneLogits
from world_models.networks.scene_fit import dictionary, fit_scene, spread
from world_models.noise import NoiseStream
from world_models.protocols import WorldSpec

SIZE, SIDE, SPEED = 24, 4.0, 1.25  # pixels, of the court, of the box in it, per frame
LAMP = slice(0, 4)  # rows and columns of a patch that is now dark, now lit


def coverage(center: float) -> np.ndarray:
    """(SIZE,): the share of each pixel along an axis that the box covers."""
    low, high = center - SIDE / 2, center + SIDE / 2
    edges = np.arange(SIZE) - 0.5
    return (np.minimum(edges + 1, high) - np.maximum(edges, low)).clip(0, 1)


def box(row: float, column: float, lit: bool) -> np.ndarray:
    """A frame (SIZE, SIZE, 3) uint8 of a white box on gray, and the lamp."""
    share = np.outer(coverage(row), coverage(column))[..., None]
    frame = 40 + (250 - 40) * share.repeat(3, 2)
    frame[LAMP, LAMP] = (90, 0, 0) if lit else (10, 10, 10)
    return frame.round().astype(np.uint8)


def path(steps: int) -> np.ndarray:
    """(steps, 2): centers of a box that goes back and forth and sinks slowly."""
    to_and_fro = np.abs(np.arange(steps) * SPEED % 22 - 11)
    return np.stack((10 + np.arange(steps) * 0.4 % 9, 6.5 + to_and_fro), 1)


@pytest.fixture(scope="module")
def scene():
    centers = path(120)
    frames = np.stack([box(*center, i // 20 % 3 == 1) for i, center in enumerate(centers)])
    spec = WorldSpec("box", (SIZE, SIZE, 3), ("stay",), (0.0,), 10, 50)
    with torch.no_grad():
        return fit_scene(lambda: iter(np.split(frames, 4)), spec, 1, 7, 4)


def test_a_box_between_pixels_is_found_and_drawn_again(scene):
    truth = path(60)[7:]
    frames = torch.from_numpy(np.stack([box(*center, True) for center in truth]))
    x = pixels.stack(frames[:, None])
    center, there = scene.locate(x)
    assert there.all() and np.abs(center[:, 0].numpy() - truth).max() < 0.03
    codes = scene.codes_of(scene.without_sprites(x, center, there))
    drawn = pixels.to_uint8(scene.draw(center, there, codes)).float()
    error = (drawn - frames.float()).abs()
    assert error.mean() < 0.5 and (error > 16).float().mean() < 0.001


def test_the_dictionaries_hold_what_occurs(scene):
    for move in (SPEED, -SPEED):
        assert (scene.moves[0, 1] - move).abs().min() < 0.01
    assert (scene.moves[0, 0] - 0.4).abs().min() < 0.01
    assert scene.changing.tolist() == [0] and len(scene.patches) == 2


def test_a_move_that_is_in_no_dictionary_has_no_code(scene):
    moved = torch.tensor([[[0.4, SPEED]], [[0.4, SPEED / 2]]])
    known = scene.move_codes(moved)[:, 0] < scene.sizes.moves
    assert known.tolist() == [[True, True], [True, False]]


def test_a_dictionary_keeps_neighbors_apart_and_leaves_accidents_out():
    values = torch.tensor([0.0] * 20 + [0.1] * 20 + [0.7] * 3)
    assert dictionary(values, 0.045).tolist() == pytest.approx([0.0, 0.1])


def test_parts_are_spread_over_all_frames():
    parts = [np.full(1, i) for i in range(10)]
    assert [int(part[0]) for part in spread(lambda: iter(parts), 3)] == [0, 3, 6, 9]
    assert len(list(spread(lambda: iter(parts), 99))) == 10


def test_what_is_much_less_likely_than_the_likeliest_is_never_drawn():
    model = make_model("scene", least_share=0.2)
    logits = torch.tensor([0.5, 0.4, 0.05, 0.05]).log().expand(500, 4)
    noise = NoiseStream.from_seeds(torch.arange(500))
    choice, usual = model.draw(logits, noise, 1)
    assert set(choice.tolist()) == {0, 1}
    entropy = -(logits[0].exp() * logits[0]).sum()
    expected = (logits[0, choice] + entropy).clamp(max=0)
    assert torch.allclose(usual, expected, atol=1e-5)


def test_any_of_many_equal_choices_is_usual_and_a_rare_one_is_not():
    model, noise = make_model("scene"), NoiseStream.from_seeds(torch.arange(2_000))
    serve = torch.zeros(2_000, 40)
    assert torch.allclose(model.draw(serve, noise, 1)[1], torch.zeros(2_000), atol=1e-5)
    sure = torch.tensor([0.99, 0.01]).log().expand(2_000, 2)
    choice, usual = model.draw(sure, noise, 1)
    assert (usual[choice == 0] > -0.01).all() and (usual[choice == 1] < -4).all()
    assert 0 < (choice == 1).sum() < 60


def test_what_is_not_chosen_to_change_stays():
    model = make_model("scene")
    state = model.init(make_context(model, 2))
    sizes = model.scene.sizes
    logits = SceneLogits(
        torch.tensor([0.0, 50.0, 0.0]).expand(2, sizes.sprites, 3),
        torch.zeros(2, sizes.sprites, 2, sizes.moves).index_fill(3, torch.tensor([1]), 50.0),
        torch.zeros(2, sizes.sprites, 2, sizes.places),
        torch.zeros(2, sizes.changing, 1 + sizes.patches).index_fill(2, torch.tensor([0]), 50.0),
    )
    center, there, codes, sure = model.decide(
        logits, state, NoiseStream.from_seeds(torch.arange(2))
    )
    assert torch.equal(codes, state.codes) and there.all()
    assert torch.allclose(center, state.center[:, -1] + model.scene.moves[:, :, 1])
    assert torch.allclose(likelihood_of_best(logits), sure, atol=1e-4)


def test_frames_are_read_as_finely_while_networks_learn_in_half_precision(scene, monkeypatch):
    model = make_model("scene")
    monkeypatch.setattr(model, "scene", scene)
    frames = torch.from_numpy(np.stack([box(*center, True) for center in path(60)[7:]]))
    exact = model.encode_frames(frames)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.encode_frames(frames), exact)


def test_trust_is_learned_by_the_cross_entropy_of_whether_a_step_went_wrong():
    likely = torch.tensor([-2.0, -2.0, -1e-3, -30.0])
    wrong = torch.tensor([False, True, True, False])
    known = likely.clamp(*SURE).double().exp()
    expected = F.binary_cross_entropy(known, (~wrong).double(), reduction="none")
    assert torch.allclose(trust_loss(likely, wrong).double(), expected, rtol=1e-3)


@pytest.mark.parametrize("weights", [None, torch.rand(4, 6)])
def test_rows_add_up_to_the_same_in_a_graph(weights, monkeypatch):
    torch.manual_seed(0)
    sums, rows = RowSums(9, 5), torch.randint(9, (4, 6))
    eager = sums(rows, weights)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(sums(rows, weights), eager)


@pytest.mark.parametrize("actions", [3, BOX, PAD], ids=str)
def test_what_happens_may_follow_from_the_action_of_the_step_and_from_those_before(actions):
    torch.manual_seed(0)
    sizes = SceneSizes(1, 5, 2, 2, 2, 1)
    dynamics = SceneDynamics(sizes, (8, 8), 3, actions, 4, 32, 1)
    space = ActionSpace.discrete(actions) if isinstance(actions, int) else actions
    given = torch.from_numpy(space.draw_encoded(np.random.default_rng(0), (512, 3)))
    high = vector_of(given.flatten(0, 1), actions)[:, 0].view(512, 3) > 0
    target = high[:, 2].long() + 2 * high[:, 0].long()
    still = SceneHistory(
        torch.zeros(512, 1, 2), torch.zeros(512, 1, 2), torch.zeros(512, 2, 1, 2).long(),
        torch.ones(512, 3, 1).bool(), given, torch.zeros(512, 1).long(),
    )  # fmt: skip
    optimizer = torch.optim.Adam(dynamics.parameters(), lr=0.01)
    for _ in range(150):
        loss = F.cross_entropy(dynamics.outcome(dynamics.read(still)), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = dynamics.outcome(dynamics.read(still)).argmax(1) == target
    assert right.float().mean() > 0.97
