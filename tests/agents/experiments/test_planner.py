"""The planner looks past a tempting move, and a proposer may decide instead."""

from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.evaluation.play import make_agent
from agents.experiments.plan import PlanConfig, plan
from agents.experiments.planner import GreedyField, Planner, Search
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS, Context, Transition, WorldModel, WorldSpec

START, TRAP, SAFE, DEAD = range(4)
TEMPT, WAIT = range(2)


class Observed(NamedTuple):
    frames: Tensor  # (B, 1, 4, 4, 3) uint8, the place in every pixel


class Corridor(WorldModel):
    """Going for it pays at once and kills a move later, whatever is done; waiting is safe and pays
    nothing.
    """

    context_length = 1

    def __init__(self):
        actions, rewards = ("tempt", "wait"), (-1.0, 0.0, 1.0)
        super().__init__(WorldSpec("corridor", (4, 4, 3), actions, rewards, 10, 50))
        self.calls = []

    def init(self, context: Context) -> Observed:
        return Observed(context.frames)

    def step(
        self, state: Observed, action: Tensor, noise: NoiseStream, options=DEFAULT_OPTIONS
    ) -> Transition:
        self.calls.append(len(action))
        place = state.frames[:, 0, 0, 0, 0].long()
        after = torch.where(
            place == TRAP, DEAD, torch.where((place == START) & (action == TEMPT), TRAP, SAFE)
        )
        reward = (after == TRAP).float() - (after == DEAD).float() * 2
        frame = after.to(torch.uint8)[:, None, None, None].expand(-1, 4, 4, 3).contiguous()
        return Transition(
            Observed(frame[:, None]), frame, reward, after == DEAD, torch.ones(len(after))
        )


class Afraid(Corridor):
    """Waiting is not credible to it: it was never trained on that."""

    def trust_signals(self, state: Observed, action: Tensor, frame: Tensor) -> dict[str, Tensor]:
        return {"gradient_norm": (action == WAIT).float()}


def frames(lanes: int) -> np.ndarray:
    return np.zeros((lanes, 4, 4, 3), np.uint8)


def ready(planner, lanes: int):
    players = planner.batch(lanes)
    players.reset(np.ones(lanes, bool), [np.random.default_rng(i) for i in range(lanes)])
    return players


def test_one_move_ahead_it_falls_for_the_trap_and_two_moves_ahead_it_does_not():
    assert ready(Planner(Corridor(), Search(depth=1)), 3)(frames(3)).tolist() == [TEMPT] * 3
    for depth in (2, 3, 5):
        assert (
            ready(Planner(Corridor(), Search(depth=depth, width=2)), 3)(frames(3)).tolist()
            == [WAIT] * 3
        )


def test_a_sequence_that_has_ended_earns_nothing_more_and_a_move_left_behind_does_not_win():
    context, noise = (
        Context(torch.zeros(1, 1, 4, 4, 3, dtype=torch.uint8), torch.zeros(1, 0)),
        NoiseStream.from_seeds,
    )
    worth, after = Planner(Corridor(), Search(5, 2, discount=1.0)).values(
        context, noise(torch.zeros(1).long())
    )
    assert worth[0, WAIT] == 0 and worth[0, TEMPT] <= -0.01 and after.shape == (1, 2, 4, 4, 3)
    assert after[0, :, 0, 0, 0].tolist() == [TRAP, SAFE]
    narrow, _ = Planner(Corridor(), Search(2, 1)).values(context, noise(torch.zeros(1).long()))
    assert narrow.argmax() == TEMPT  # a beam of one follows the tempting move only, and keeps to it


def test_its_cost_is_that_of_the_beam():
    model = Corridor()
    ready(Planner(model, Search(depth=4, width=3)), 5)(frames(5))
    assert model.calls == [5 * 2, 5 * 2 * 2, 5 * 3 * 2, 5 * 3 * 2]


def test_the_gradient_norm_has_a_weight():
    for weight, action in ((0.0, WAIT), (5.0, TEMPT)):
        search = Search(3, 4, gradient_weight=weight, termination_cost=0.0)
        assert ready(Planner(Afraid(), search), 1)(frames(1)).tolist() == [action]


def test_action_logits_decide_where_no_reward_does_and_a_reward_must_be_worth_the_deviation():
    class Patient(Corridor):
        """Its descents rest at waiting, three in four."""

        def action_logits(self, frames: Tensor, noise: NoiseStream, starts: int) -> Tensor:
            assert starts == 7 and len(frames) == len(noise.seeds)
            return torch.tensor([0.25, 0.75]).expand(len(frames), 2)

    for weight, action in ((0.0, TEMPT), (1.0, TEMPT), (4.0, WAIT)):  # the temptation pays 1
        search = Search(1, logits_weight=weight, starts=7)
        assert ready(Planner(Patient(), search), 2)(frames(2)).tolist() == [action] * 2
    with pytest.raises(ValueError, match="'starts' got 0"):
        Search(starts=0)


def test_a_termination_costs_what_would_have_come():
    class Painless(Corridor):
        """Death costs nothing but the future."""

        def step(
            self, state: Observed, action: Tensor, noise: NoiseStream, options=DEFAULT_OPTIONS
        ) -> Transition:
            after = super().step(state, action, noise)
            return after._replace(reward=after.reward.clamp_min(0))

    for price, action in ((0.0, TEMPT), (5.0, WAIT)):
        assert ready(Planner(Painless(), Search(3, termination_cost=price)), 1)(
            frames(1)
        ).tolist() == [action]


def test_a_proposer_may_replace_the_action_or_rank_the_moves_anew():
    proposals = []

    def replace(proposal):
        proposals.append(proposal)
        return torch.full((len(proposal.logits),), TEMPT)

    def rank(proposal):  # whoever likes traps counts their pixels in what the model expects
        return proposal.logits + 9.0 * (proposal.next_frames == TRAP).float().mean((2, 3, 4))

    for proposer in (replace, rank):
        assert ready(Planner(Corridor(), Search(3), proposer), 2)(frames(2)).tolist() == [TEMPT] * 2
    proposal = proposals[0]
    assert proposal.frames.shape == (2, 4, 4, 3) and proposal.next_frames.shape == (2, 2, 4, 4, 3)
    assert proposal.logits.shape == (2, 2) and proposal.logits.argmax(1).tolist() == [WAIT] * 2


def test_it_is_a_policy_of_one_game_and_of_many():
    planner = Planner(Corridor(), Search(2))
    planner.reset(np.random.default_rng(0))
    assert planner(frames(1)[0]) == WAIT and isinstance(planner(frames(1)[0]), int)
    agent = make_agent(planner, 3, seed=0)
    agent.reset(np.array([True, True, True]))
    agent(frames(3))
    agent.reset(np.array([False, True, False]))
    assert agent(frames(3)).shape == (3,)


def test_a_search_that_looks_nowhere_is_refused():
    with pytest.raises(ValueError, match="'depth' got 0"):
        Search(depth=0)


@pytest.fixture(scope="module")
def joint_bundle(tmp_path_factory):
    """An untrained joint model of Snake, and a few recorded games."""
    from collectors.dataset.dataset import Dataset
    from collectors.recording.collect import collect
    from world_models.bundles.bundle import save_bundle
    from world_models.models.joint import JointConfig
    from world_models.models.table import build_model
    from world_models.networks.eqm_field import EqMFieldConfig
    from world_models.training.clips import ClipReader, read_spec
    from world_models.training.start_contexts import start_contexts

    path = tmp_path_factory.mktemp("joint")
    collect(
        "RealSnake-v0",
        path / "data",
        frames=600,
        policy="random",
        workers=1,
        seed=0,
        shard_steps=300,
    )
    dataset = Dataset(path / "data")
    torch.manual_seed(0)
    network = EqMFieldConfig(width=16, depth=1, heads=2, latent=4, field_width=16, field_depth=1)
    model = build_model(read_spec(dataset), JointConfig(network=network)).eval()
    reader = ClipReader(dataset, dataset.split()["train"], 1, 1)
    save_bundle(path / "bundle", model, start_contexts(reader, 4, np.random.default_rng(0)), {}, {})
    return path


def test_the_command_plays_field_planner_and_expert_and_counts_agreement(joint_bundle, capsys):
    config = PlanConfig(
        bundle=str(joint_bundle / "bundle"),
        data=str(joint_bundle / "data"),
        episodes=2,
        frames=30,
        horizon=6,
        search=Search(2, 2),
    )
    figures = plan(config)
    assert set(figures["apples"]) == {"field", "planner", "astar"} and set(
        figures["agreement"]
    ) == {"field", "planner"}
    assert "2 real games of at most 6 steps by each of field, planner" in capsys.readouterr().err
    for row in figures["agreement"].values():
        assert 0 <= row["agreement"] <= 1 and 0 < row["frames"] <= 30


def test_the_command_refuses_a_bundle_of_another_world_in_a_sentence():
    with pytest.raises(ValueError, match="'pong' is a dream of pong: give a bundle of Snake"):
        plan(PlanConfig(bundle="pong"))


def test_agreement_on_a_dataset_without_test_episodes_is_refused_in_a_sentence(tmp_path):
    from collectors.recording.collect import collect

    dataset = collect("RealSnake-v0", tmp_path, frames=20, policy="random", workers=1, seed=0)
    assert not dataset.split()["test"]
    with pytest.raises(ValueError, match="the test split of .* is empty: collect more frames"):
        plan(PlanConfig(data=str(tmp_path)))


def test_the_greedy_field_plays_as_sample_says(joint_bundle):
    from world_models.bundles.bundle import load_bundle

    bundle = load_bundle(joint_bundle / "bundle")
    context = bundle.contexts.choose(torch.arange(3))
    noise = NoiseStream.from_seeds(torch.arange(3))
    with torch.inference_mode():
        expected = bundle.model.sample(context.frames, noise).action
    assert torch.equal(GreedyField(bundle.model, 1).choose(context, noise), expected)


def test_action_logits_are_the_mean_of_descents_from_several_starts_and_each_lane_has_its_own(
    joint_bundle,
):
    from world_models.bundles.bundle import load_bundle

    model = load_bundle(joint_bundle / "bundle")
    model, contexts = model.model, model.contexts
    frames, noise = contexts.choose(torch.arange(3)).frames, NoiseStream.from_seeds(torch.arange(3))
    with torch.inference_mode():
        one, many = (model.action_logits(frames, noise, starts) for starts in (1, 6))
        alone = model.action_logits(frames[1:2], NoiseStream.from_seeds(torch.tensor([1])), 6)
        sampled = model.sample(frames, noise).action_logits
    assert torch.allclose(one, sampled, atol=1e-6) and not torch.allclose(one, many, atol=1e-3)
    assert torch.allclose(many[1:2], alone, atol=1e-4)
