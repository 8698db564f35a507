import pytest
import torch

from world_models.networks.sprite_detector import contrasts
from world_models.networks.sprites import (
    FRAME_UPDATE_PERIOD,
    PIXEL_LR_SCALE,
    Places,
    Sprites,
    reads_frames,
)

SHAPE = (24, 32, 3)


def box(
    row: float, column: float, color=(1.0, 1.0, 1.0), height: float = 3.0, width: float = 4.0
) -> torch.Tensor:
    """(3, H, W): a box of that color on black, each pixel by the share of it that is covered."""
    shares = []
    for center, length, n in ((row, height, SHAPE[0]), (column, width, SHAPE[1])):
        edge = torch.arange(n) - 0.5
        start = center - length / 2
        shares.append(
            ((edge + 1 - start).clamp(0, length) - (edge - start).clamp(0, length)).clamp(0, 1)
        )
    share = shares[0][:, None] * shares[1]
    return -1 + share * (torch.tensor(color)[:, None, None] + 1)


def made(count=3, frames=3) -> Sprites:
    torch.manual_seed(0)
    sprites = Sprites(count, 9, SHAPE, frames, actions=2).eval()
    with torch.no_grad():
        sprites.detector.background.fill_(-1)
    return sprites


def test_each_sprite_finds_what_is_of_its_color_to_a_hundredth_of_a_pixel():
    white, red, cyan = (1.0, 1.0, 1.0), (1.0, -1.0, -1.0), (-1.0, 1.0, 1.0)
    places = [(8.3, 12.7), (15.6, 4.2), (11.1, 26.4)]
    frame = torch.stack(
        [box(*at, color) for at, color in zip(places, (white, red, cyan), strict=True)]
    ).amax(0)
    center, mass = made().detector(frame[None])
    assert torch.allclose(center[0], torch.tensor(places), atol=0.02)
    assert (mass > 1).all()


def test_where_nothing_stands_out_there_is_no_mass():
    _, mass = made().detector(torch.full((1, 3, *SHAPE[:2]), -1.0))
    assert (mass == 0).all()


def test_what_flew_straight_flies_on_before_anything_is_learned():
    sprites = made(count=1)
    flight = torch.cat([box(6 + 0.7 * t, 9 + 1.3 * t) for t in range(3)])[None]  # (1, K * C, H, W)
    center = sprites(sprites.track(flight), torch.tensor([1])).center[0, 0]
    assert torch.allclose(center, torch.tensor([6 + 2.1, 9 + 3.9]), atol=0.03)


def test_a_sprite_lies_where_its_place_says_and_not_where_it_is_not_visible():
    sprites = made(count=1)
    with torch.no_grad():
        sprites.appearance.fill_(1 / PIXEL_LR_SCALE)
        sprites.opacity.fill_(-10.0)
        sprites.opacity[:, :, 3:6, 3:6] = 10.0
    decoded = torch.full((2, 3, *SHAPE[:2]), -1.0)
    places = Places(torch.tensor([[[9.25, 13.5]], [[9.25, 13.5]]]), torch.tensor([[1.0], [0.0]]))
    drawn = sprites.draw(decoded, places)
    center, _ = sprites.detector(drawn[:1])
    assert torch.allclose(center[0, 0], torch.tensor([9.25, 13.5]), atol=0.02)
    assert torch.equal(drawn[1], decoded[1])


def test_the_background_becomes_that_of_most_frames_and_bounces_are_learned(monkeypatch):
    """A box between two walls: without learning it flies on through them."""
    monkeypatch.setattr("world_models.networks.sprites.REPLAY_BATCH", 256)
    sprites = Sprites(1, 9, SHAPE, 3, actions=2).train()
    generator = torch.Generator().manual_seed(0)
    row = torch.cat((torch.arange(3.0, 20.0, 1.5), torch.arange(18.0, 3.0, -1.5)))
    film = torch.stack(
        [box(float(r), 12.0) for r in row.repeat(3)]
    )  # one period and a little more, over again
    start = torch.arange(0, len(film) - 5)
    clips = film[start[:, None] + torch.arange(5)]
    action = torch.zeros(len(start), 2, dtype=torch.long)
    optimizer = torch.optim.Adam(sprites.parameters(), 3e-3)
    for turn in range(450):
        optimizer.zero_grad()
        losses = (
            sprites.replay_losses(sprites.replay, generator)
            if turn % 3
            else sprites.losses(clips, action, action == 0, generator)
        )
        sum(losses.values()).backward()
        optimizer.step()
    assert (sprites.detector.background + 1).abs().median() < 0.05
    center = sprites.eval()(sprites.track(clips[:, :3].flatten(1, 2)), action[:, 0]).center[:, 0, 0]
    error = (center - sprites.detector(clips[:, 3])[0][:, 0, 0]).abs()
    assert error.mean() < 0.15 and error.max() < 1.0  # straight on is 3 pixels off after a wall


def test_moves_are_all_windows_of_a_clip_whose_step_happened():
    sprites = made(count=1)
    at = torch.arange(5.0)[None, :, None].expand(2, 5, 1)  # (B, K + S, P), the step's number
    actions, valid = torch.tensor([[0, 1], [1, 0]]), torch.tensor([[True, True], [True, False]])
    moves = sprites.moves(torch.stack((at, -at), 3), at + 10, actions, valid)
    assert moves.center[:, :, 0, 0].tolist() == [[0, 1, 2, 3], [1, 2, 3, 4], [0, 1, 2, 3]]
    assert moves.mass[1, :, 0].tolist() == [11, 12, 13, 14] and moves.action.tolist() == [0, 1, 1]


@pytest.mark.parametrize("updates", [7_000, 10_000, 13_200, 20_000])
def test_one_update_in_four_reads_frames_however_long_the_run(updates):
    share = sum(reads_frames(update / updates) for update in range(updates)) / updates
    assert abs(share - 1 / FRAME_UPDATE_PERIOD) < 0.02


def test_more_sprites_than_colors_tell_apart_are_refused():
    assert len(contrasts(1)) == 3 and len(contrasts(3)) == 7
    with pytest.raises(ValueError, match="at most 7"):
        Sprites(8, 9, SHAPE, 3, 2)
