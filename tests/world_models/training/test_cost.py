"""What a run says that it costs, and presets that fit the frames of their data."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from conftest_models import CONFIGS, SPEC
from quick_runs import config_for

from collectors.action_space import ActionSpace
from collectors.dataset.dataset import Dataset
from world_models.models.table import build_model
from world_models.models.tokens_config import TokensConfig
from world_models.training.cost import cost_line, step_multiply_adds, training_seconds
from world_models.training.presets.any import any_game, any_tokens
from world_models.training.presets.scaling import fitted, larger_size
from world_models.training.trainer import Trainer

TOKENS = any_tokens().model
assert isinstance(TOKENS, TokensConfig)


def of_size(height, width, name="chance", **changes):
    return build_model(replace(SPEC, frame_shape=(height, width, 3), **changes), CONFIGS[name])


def test_a_step_of_four_times_the_pixels_costs_four_times_the_multiply_adds():
    small, large = (step_multiply_adds(of_size(side, side)) for side in (16, 32))
    assert 3.5 < large / small < 4.0  # what a whole frame costs only once does not grow
    box = ActionSpace("Box", low=(0.0,), high=(1.0,))
    numbers = of_size(16, 16, action_names=("turn",), action_space=box)
    assert small < step_multiply_adds(numbers) < 1.2 * small


def test_the_cost_is_measured_on_a_copy_and_said_in_a_sentence(dataset_path, tmp_path):
    config = config_for(dataset_path, tmp_path, model=CONFIGS["chance-sprites"])
    trainer = Trainer(config, Dataset(dataset_path))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    generators = trainer.noise.get_state(), torch.get_rng_state()
    assert 0 < training_seconds(trainer) < 600
    line = cost_line(trainer)
    assert line.startswith("frames of 64x64 pixels in 16x16 patches of 4: ")
    assert "M multiply-adds per dreamed step; 6 updates take about" in line
    after = trainer.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(p.grad is None for p in trainer.model.parameters())
    assert torch.equal(trainer.noise.get_state(), generators[0])
    assert torch.equal(torch.get_rng_state(), generators[1])
    assert trainer.model.sprites.replay is None


@pytest.mark.parametrize(
    ("shape", "patch", "width"),
    [((64, 64, 3), 4, 48), ((80, 80, 1), 4, 48), ((96, 128, 3), 8, 72), ((128, 128, 1), 8, 72),
     ((100, 124, 3), 4, 48)],
)  # fmt: skip
def test_the_preset_any_keeps_its_grid_small(shape, patch, width):
    found = fitted("any", any_game(), shape)
    assert (found.model.grid.patch, found.model.grid.width) == (patch, width)
    own = replace(
        any_game(), model=replace(any_game().model, grid=replace(any_game().model.grid, width=20))
    )
    assert fitted("any", own, shape) == own
    build_model(replace(SPEC, frame_shape=shape), found.model)


LEARNED = replace(TOKENS, tokenizer=replace(TOKENS.tokenizer, kind="fsq"))


@pytest.mark.parametrize("own", [any_game().model, LEARNED], ids=["any", "any-tokens"])
def test_large_frames_that_8_does_not_divide_are_told_the_next_size_that_it_does(own):
    config = replace(any_game(), model=own, schedule="minutes")
    model = build_model(replace(SPEC, frame_shape=(92, 100, 3)), config.model)
    found = cost_line(SimpleNamespace(model=model, config=config))
    assert "in 23x25 patches of 4 (recorded with size=96x104 it would be 12x13 of 8): " in found
    assert larger_size(config, (96, 104, 3)) is larger_size(config, (60, 68, 3)) is None
    assert larger_size(replace(config, model=CONFIGS["chance"]), (92, 100, 3)) is None


@pytest.mark.parametrize(
    ("shape", "patch", "width", "digits"),
    [((64, 64, 3), 4, 64, 4), ((96, 128, 3), 8, 96, 8), ((100, 124, 3), 4, 64, 4)],
)
def test_the_preset_any_tokens_keeps_its_grid_small_with_more_values_per_code(
    shape, patch, width, digits
):
    config = any_tokens()
    found = fitted("any-tokens", config, shape).model
    assert isinstance(found, TokensConfig)
    assert (found.tokenizer.patch, found.network.width) == (patch, width)
    assert found.tokenizer.levels == (8,) * digits
    own = replace(TOKENS, tokenizer=replace(TOKENS.tokenizer, levels=(5, 5)))
    changed = replace(config, model=own)
    assert fitted("any-tokens", changed, shape) == changed


def test_a_step_of_large_frames_by_any_tokens_costs_at_most_three_times_that_of_small_ones():
    costs = []
    for shape in ((64, 64, 3), (128, 128, 3)):
        found = fitted("any-tokens", any_tokens(), shape).model
        assert isinstance(found, TokensConfig)
        learned = replace(found, tokenizer=replace(found.tokenizer, kind="fsq"))
        costs.append(step_multiply_adds(build_model(replace(SPEC, frame_shape=shape), learned)))
    assert costs[0] < costs[1] < 3 * costs[0]
