"""The contract of a world model as tests: inherit `WorldModelContract` and give it `make_model`.

It needs no test runner: every method whose name begins with "test_" raises AssertionError where the
contract is broken.

B lanes, S steps.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from world_models.bundles.bundle import load_bundle, save_bundle
from world_models.bundles.contexts import Contexts
from world_models.lanes import map_leaves, put_lanes, take_lanes
from world_models.models.table import family
from world_models.noise import NoiseStream
from world_models.protocols import (
    AugmentationOptions,
    Clips,
    Context,
    SamplingOptions,
    State,
    Transition,
    WorldModel,
)


class WorldModelContract:
    """What every world model owes its callers.

    A subclass gives `make_model`: a small model in eval mode with random weights, the same at every
    call.
    """

    lanes = 3
    rounding = 1  # gray levels by which a lane may differ among others: float sums depend on both

    def make_model(self) -> WorldModel:
        """The model under test."""
        raise NotImplementedError

    def make_context(self, model: WorldModel, lanes: int, seed: int = 0) -> Context:
        """Random frames and actions, of the shapes that the model's spec asks for."""
        generator = torch.Generator().manual_seed(seed)
        length, actions = model.context_length, model.spec.actions
        shape = (lanes, length, *model.spec.frame_shape)
        frames = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
        if not actions.is_discrete:
            between = actions.draw_encoded(np.random.default_rng(seed), (lanes, length - 1))
            return Context(frames, torch.from_numpy(between))
        between = torch.randint(actions.counts[0], (lanes, length - 1), generator=generator)
        return Context(frames, between)

    def make_clips(self, model: WorldModel, count: int, steps: int) -> Clips:
        """Random clips of `steps` steps."""
        generator, spec = torch.Generator().manual_seed(1), model.spec
        context = self.make_context(model, count)
        shape = (count, steps, *spec.frame_shape)
        frames = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)

        def classes(most: int) -> Tensor:
            return torch.randint(most, (count, steps), generator=generator)

        if spec.actions.is_discrete:
            taken = classes(spec.actions.counts[0])
        else:
            generated = np.random.default_rng(1)
            taken = torch.from_numpy(spec.actions.draw_encoded(generated, (count, steps)))
        return Clips(
            frames=torch.cat((context.frames, frames), 1),
            actions=taken,
            reward_classes=classes(len(spec.reward_values)),
            terminations=classes(2).bool(),
            valid=torch.ones(count, steps, dtype=torch.bool),
            sampling_weight=torch.ones(count),
            context_actions=context.actions,
        )

    def noise(self, lanes: int) -> NoiseStream:
        """A stream for each lane."""
        return NoiseStream.from_seeds(torch.arange(lanes) + 10)

    def actions(self, model: WorldModel, lanes: int) -> Tensor:
        """(B, *row), encoded, not all the same."""
        actions = model.spec.actions
        if not actions.is_discrete:
            return torch.from_numpy(actions.draw_encoded(np.random.default_rng(3), (lanes,)))
        return torch.arange(lanes) % actions.counts[0]

    def start(self, model: WorldModel, lanes: int, seed: int = 0) -> State:
        """The state after a random context."""
        return model.init(self.make_context(model, lanes, seed))

    def one_step(self, model: WorldModel, state: State, lanes: int) -> Transition:
        """A step with fixed actions and noise."""
        return model.step(state, self.actions(model, lanes), self.noise(lanes))

    @torch.no_grad()
    def test_a_transition_has_the_promised_shapes_types_and_ranges(self):
        model, lanes = self.make_model(), self.lanes
        out = self.one_step(model, self.start(model, lanes), lanes)
        assert out.frame.shape == (lanes, *model.spec.frame_shape)
        assert out.frame.dtype == torch.uint8
        assert out.reward.shape == (lanes,) and out.reward.dtype == torch.float32
        known = torch.tensor(model.spec.reward_values)
        assert (out.reward[:, None].cpu() == known).any(1).all(), "a reward that the spec lacks"
        assert out.termination.shape == (lanes,) and out.termination.dtype == torch.bool
        assert out.trust.shape == (lanes,) and ((out.trust >= 0) & (out.trust <= 1)).all()

    @torch.no_grad()
    def test_a_step_changes_nothing_and_gives_the_same_again(self):
        model, lanes = self.make_model(), self.lanes
        state = self.start(model, lanes)
        before = map_leaves(state, torch.clone)
        first, second = (self.one_step(model, state, lanes) for _ in range(2))
        assert torch.equal(first.frame, second.frame)
        _same(state, before)
        _same(first.state, second.state)

    @torch.no_grad()
    def test_a_lane_dreams_the_same_alone_and_among_others(self):
        model, lanes = self.make_model(), 4
        state, one = self.start(model, lanes), torch.tensor([2])
        together = self.one_step(model, state, lanes)
        alone = model.step(
            take_lanes(state, one),
            self.actions(model, lanes)[one],
            take_lanes(self.noise(lanes), one),
        )
        apart = (alone.frame.int() - together.frame[one].int()).abs().max()
        assert apart <= self.rounding, f"a lane differs by {apart} gray levels among others"

    @torch.no_grad()
    def test_lanes_start_anew_in_the_middle_of_a_dream(self):
        model, lanes = self.make_model(), self.lanes
        state = self.one_step(model, self.start(model, lanes), lanes).state
        fresh, chosen = self.start(model, 1, seed=5), torch.tensor([1])
        mixed = put_lanes(state, chosen, fresh)
        _same(take_lanes(mixed, chosen), fresh)
        _same(take_lanes(mixed, torch.tensor([0, 2])), take_lanes(state, torch.tensor([0, 2])))

    def test_a_context_of_another_shape_is_refused_by_a_sentence(self):
        model = self.make_model()
        context = self.make_context(model, 1)
        message = _refused(lambda: model.init(Context(context.frames[:, :, 1:], context.actions)))
        assert "shape" in message

    @torch.no_grad()
    def test_options_are_those_that_it_names_and_others_are_refused(self):
        model = self.make_model()
        supported, default = model.supported_options, model.default_options
        assert supported <= set(SamplingOptions._fields)
        assert all(getattr(default, name) is not None for name in supported), "no default"
        values = {"steps": 2, "guidance": 1.5, "temperature": 0.5}
        for name, value in values.items():
            options, state = SamplingOptions(**{name: value}), self.start(model, 1)

            def step(options=options, state=state) -> Transition:
                return model.step(state, self.actions(model, 1), self.noise(1), options)

            if name in supported:
                step()
            else:
                assert name in _refused(step)
        assert model.default_options == default, "an option has changed the model"

    @torch.no_grad()
    def test_the_frames_of_denoising_end_in_the_frame_of_the_step(self):
        model = self.make_model()
        state, action = self.start(model, 2), self.actions(model, 2)
        frames = model.denoising(state, action, self.noise(2))
        assert bool(frames) == model.samples_from_noise
        if frames:
            assert torch.equal(frames[-1], model.step(state, action, self.noise(2)).frame)

    @torch.no_grad()
    def test_frames_of_the_game_come_out_of_its_own_decoder_as_frames(self):
        model = self.make_model()
        frames = self.make_context(model, self.lanes).frames[:, -1]
        again = model.reconstruct(frames)
        assert again is None or (again.dtype == torch.uint8 and again.shape == frames.shape)

    def test_its_losses_are_named_numbers_with_a_gradient(self):
        model = self.make_model().train()
        clips = self.make_clips(model, 4, 4)
        generator = torch.Generator().manual_seed(0)
        losses = model.clip_losses(clips, AugmentationOptions(), 2, generator)
        assert "frame" in losses
        assert all(value.ndim == 0 and value.isfinite() for value in losses.values())
        torch.stack(list(losses.values())).sum().backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())

    def test_a_bundle_gives_it_back(self):
        model = self.make_model()
        model.load_state_dict({name: v.half().to(v) for name, v in model.state_dict().items()})
        assert family(model.kind) is type(model), "its family has no row in models/table.py"
        context = self.make_context(model, 2)
        contexts = Contexts(context.frames.numpy(), context.actions.numpy())
        with tempfile.TemporaryDirectory() as folder:
            save_bundle(Path(folder), model, contexts, {}, {})
            loaded = load_bundle(folder)
        assert loaded.model.spec == model.spec and loaded.model.config == model.config
        with torch.no_grad():
            frames = [self.one_step(m, self.start(m, 2), 2).frame for m in (model, loaded.model)]
        assert torch.equal(*frames)


def _same(one: State, other: State) -> None:
    """Raises AssertionError where two states differ."""
    if isinstance(one, Tensor):
        assert torch.equal(one, other), "two states that should be equal differ"
        return
    for a, b in zip(one, other, strict=True):
        _same(a, b)


def _refused(call) -> str:
    """The sentence of the ValueError that a call raises."""
    try:
        call()
    except ValueError as error:
        return str(error)
    raise AssertionError("what does not fit was taken")
