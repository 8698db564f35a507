"""Tokenizers: frames to codes and back."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest_models import FSQ

from world_models import frames as pixels
from world_models.networks.code_head import digits_of
from world_models.networks.patch_dictionary import PatchDictionary
from world_models.networks.reconstruction import patch_weights, roughness
from world_models.networks.tokenizer import (
    FSQTokenizer,
    ScalarQuantizer,
    TokenizerConfig,
    build_tokenizer,
    grouped,
)


@pytest.mark.parametrize("levels", [(8, 5, 5, 5), (2, 3), (8,) * 6])
def test_codes_number_the_levels_and_give_the_rounded_values_back(levels):
    quantizer = ScalarQuantizer(levels)
    z = 3 * torch.randn(500, len(levels))
    codes = quantizer.codes(z)
    assert codes.min() >= 0 and codes.max() < np.prod(levels)
    assert torch.allclose(quantizer.values(codes), quantizer(z), atol=1e-6)
    assert torch.stack(digits_of(codes, levels), -1).equal(quantizer.digits(codes))


def test_rounding_passes_gradients_straight_through():
    quantizer, z = ScalarQuantizer((8, 5)), torch.zeros(3, 2, requires_grad=True)
    quantizer(z).sum().backward()
    assert torch.allclose(z.grad, torch.tensor([8 / 7, 5 / 4]).expand(3, 2))


def test_a_nearby_code_is_one_level_away_in_one_value_at_most():
    tokenizer = FSQTokenizer(TokenizerConfig("fsq"), 3)
    codes = torch.arange(1000)
    apart = (
        tokenizer.quantizer.digits(tokenizer.nearby(codes, torch.Generator()))
        - tokenizer.quantizer.digits(codes)
    ).abs()
    assert apart.sum(1).max() == 1 and apart.sum(1).float().mean() > 0.7


def test_levels_are_grouped_into_digits_of_one_softmax_each():
    assert grouped((8, 5, 5, 5)) == (40, 25)
    assert grouped((8,) * 6) == (64, 64, 64) and grouped((4, 4)) == (16,)


def test_equal_patches_have_equal_codes_wherever_they_are():
    torch.manual_seed(0)
    tokenizer = FSQTokenizer(FSQ, 3)
    frames = torch.rand(2, 3, 16, 24) * 2 - 1
    codes = tokenizer.encode(frames)
    assert torch.equal(tokenizer.encode(frames.roll(8, 3)), codes.roll(2, 2))


def test_an_autoencoder_of_codes_learns_a_few_frames():
    torch.manual_seed(0)
    frames = (torch.rand(8, 3, 4, 4) * 2 - 1).repeat_interleave(4, 2).repeat_interleave(4, 3)
    tokenizer = FSQTokenizer(replace(FSQ, levels=(8, 8, 8), width=32), 3)
    optimizer = torch.optim.AdamW(tokenizer.parameters(), 3e-3)
    for _ in range(100):
        optimizer.zero_grad()
        tokenizer.losses(frames)["reconstruction"].backward()
        optimizer.step()
    assert ((tokenizer.decode(tokenizer.encode(frames)) - frames) ** 2).mean() < 0.1 * frames.var()


def test_a_dictionary_is_exact_for_the_patches_it_holds():
    entries = torch.randint(0, 256, (70, 48), dtype=torch.uint8)
    tokenizer = PatchDictionary(4, 70, 3)
    tokenizer.fill(entries)
    codes = torch.randint(0, 70, (5, 6, 4))
    frames = pixels.to_uint8(tokenizer.decode(codes))
    assert frames.shape == (5, 24, 16, 3)
    assert torch.equal(tokenizer.encode(pixels.stack(frames[:, None])), codes)
    assert (
        tokenizer.sizes == (2, 64) and (tokenizer.nearby(codes, torch.Generator()) != codes).all()
    )


def test_equal_patches_are_encoded_once_and_all_alike():
    tokenizer = PatchDictionary(4, 2, 1)
    tokenizer.fill(torch.tensor([[0] * 16, [255] * 16], dtype=torch.uint8))
    frames = torch.full((3, 1, 8, 12), -0.9)
    frames[1, :, 4:, 8:] = 0.2
    codes = tokenizer.encode(frames)
    assert codes.sum() == 1 and codes[1, 1, 2] == 1


def test_what_makes_no_tokenizer_is_refused():
    with pytest.raises(ValueError, match="dataset"):
        build_tokenizer(TokenizerConfig("auto"), 3)
    with pytest.raises(ValueError, match="two levels"):
        TokenizerConfig(levels=(8, 1))


def test_the_texture_loss_notices_a_blur_that_keeps_the_brightness():
    frames = torch.rand(2, 3, 16, 16) * 2 - 1
    blurred = torch.nn.functional.avg_pool2d(frames, 3, 1, 1)
    assert roughness(blurred).mean() < 0.4 * roughness(frames).mean()
    torch.manual_seed(0)
    plain = FSQTokenizer(FSQ, 3)
    textured = FSQTokenizer(replace(FSQ, texture=1.0), 3)
    textured.load_state_dict(plain.state_dict())
    plain, textured = plain.losses(frames), textured.losses(frames)
    assert textured["mse"] == plain["mse"]
    assert textured["reconstruction"] > plain["reconstruction"] + 0.1


def test_with_focus_a_patch_that_is_drawn_badly_weighs_more():
    squared = torch.full((1, 3, 8, 8), 0.01)
    squared[..., :4, :4] = 0.25
    weights = patch_weights(squared, 4, 0.5)
    assert weights.shape == (1, 1, 8, 8) and weights.mean().item() == pytest.approx(1.0)
    assert (weights[..., 0, 0] / weights[..., 7, 7]).item() == pytest.approx(5.0, rel=1e-3)
    assert patch_weights(squared, 4, 0.0).unique().tolist() == [1.0]
    torch.manual_seed(0)
    plain, focused = (FSQTokenizer(replace(FSQ, focus=focus), 3) for focus in (0.0, 1.0))
    focused.load_state_dict(plain.state_dict())
    frames = torch.rand(2, 3, 16, 16) * 2 - 1
    losses = [tokenizer.losses(frames) for tokenizer in (plain, focused)]
    assert losses[0]["mse"] == losses[1]["mse"]
    assert losses[1]["reconstruction"] > losses[0]["reconstruction"]
