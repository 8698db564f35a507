"""What is rare in a frame."""

import torch

from world_models.models.augment import rarity


def test_what_is_rare_in_a_frame_is_distinguished_from_its_background():
    frames = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    frames[0, 4:8, 8:12] = 200  # one patch of sixteen
    frames[0, 12:16, :8, 1] = 90  # two alike
    expected = torch.full((4, 4), 1 / 13)
    expected[1, 2], expected[3, 0], expected[3, 1] = 1, 1 / 2, 1 / 2
    assert torch.allclose(rarity(frames, 4), expected.flatten()[None])


def test_frames_with_the_same_pixels_in_other_places_are_distinguished():
    frames = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    frames[0, 0, 0], frames[0, 4 + 3, 4 + 3] = 255, 255
    assert torch.allclose(rarity(frames, 4), torch.tensor([[1.0, 1 / 2, 1 / 2, 1.0]]))
