"""Context codes as a dream might have them wrong."""

from dataclasses import replace

import numpy as np
import torch
from conftest_models import make_model

from world_models.models.context_corruption import corrupt, erase, scrolled_over


def test_corruption_replaces_about_the_share_that_it_reports():
    model = make_model("tokens", corrupted=1.0, corruption=0.5)
    codes = torch.randint(model.tokenizer.codes, (200, 3, 4, 4))
    corrupted, share = corrupt(model, codes, None, None, torch.Generator().manual_seed(0))
    changed = (corrupted != codes).float().mean((1, 2, 3))
    assert share.max() <= 0.5 and np.corrcoef(changed, share)[0, 1] > 0.8
    untouched, none = corrupt(
        make_model("tokens", corrupted=0.0), codes, None, None, torch.Generator()
    )
    assert torch.equal(untouched, codes) and not none.any()


def test_what_is_erased_is_small_rare_and_gone_from_the_last_frame():
    model = make_model("tokens", erased=0.5)
    codes = torch.zeros(400, 3, 16, 16, dtype=torch.int64)
    codes[:, :, 5, 9] = 200  # one thing in an empty frame
    pixels = torch.ones(1, model.patch, model.patch, 3, dtype=torch.uint8)
    last = torch.kron(codes[:, -1, ..., None].byte(), pixels)
    changed = erase(model, codes, last, None, torch.Generator().manual_seed(0)) != codes
    lost = changed[:, -1].flatten(1).any(1)
    assert 0.15 < lost.float().mean() < 0.35  # of half of the boxes, which colors share
    assert changed[:, -1, 5, 9].float().sum() > 0.9 * lost.sum()
    assert not (changed[:, :-1] & ~changed[:, 1:]).any()  # nothing comes back within a context
    assert changed[lost].float().mean() < 0.5
    model.config = replace(model.config, corrupted=0.0)
    _, level = corrupt(model, codes, last, None, torch.Generator())
    assert not level.any()  # a dream is not told


def test_what_is_erased_as_in_a_dream_is_scrolled_over_frame_after_frame(monkeypatch):
    model = make_model("tokens-scroll")
    frames = torch.randint(
        256, (2, 3, 16, 16, 3), generator=torch.Generator().manual_seed(0)
    ).byte()

    def means(shown):
        return shown.float().mean(3).unfold(1, 4, 4).unfold(2, 4, 4).mean((3, 4)).long()

    monkeypatch.setattr(model, "decode_codes", lambda codes: frames.flatten(0, 1))
    monkeypatch.setattr(model, "encode_frames", means)
    move = int((model.network.scroll.moves == torch.tensor([2, 1])).all(1).nonzero())
    codes, where = torch.full((2, 3, 4, 4), 7), torch.zeros(2, 3, 4, 4, dtype=torch.bool)
    where[:, :, 1, 2] = where[1, :, 0, 3] = True  # the second is where nothing was in sight
    changed = scrolled_over(model, codes, where, torch.full((2, 2), move))
    assert (changed[:, 0] == 7).all() and (changed[~where] == 7).all()
    assert (changed[1, :, 0, 3] == 7).all()
    box, before = (slice(4, 8), slice(8, 12)), (slice(2, 6), slice(7, 11))
    second, third = frames[:, 1].clone(), frames[:, 2].clone()
    second[:, *box] = frames[:, 0][:, *before]
    third[:, *box] = second[:, *before]
    assert torch.equal(changed[:, 1, 1, 2], means(second)[:, 1, 2])
    assert torch.equal(changed[:, 2, 1, 2], means(third)[:, 1, 2])
