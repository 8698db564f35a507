import pytest
import torch

from world_models import noise
from world_models.noise import Draw, NoiseStream


def stream(*seeds):
    return NoiseStream.from_seeds(torch.tensor(seeds))


def test_a_lane_draws_the_same_numbers_whatever_its_neighbours_are():
    alone, together = stream(7).normal((3, 5), 2), stream(3, 7, 9).normal((3, 5), 2)
    assert torch.equal(alone[0], together[1])


def test_seeds_steps_and_salts_each_change_the_numbers():
    base = stream(1).bits((1000,), 0)
    others = (
        stream(2).bits((1000,), 0),
        stream(1).next().bits((1000,), 0),
        stream(1).bits((1000,), 1),
    )
    assert all((base != other).all() for other in others)


def test_uniform_numbers_have_the_mean_variance_and_range_of_a_uniform():
    x = stream(*range(100)).uniform((1000,), 0).double()
    assert x.min() >= 0 and x.max() < 1
    assert abs(x.mean() - 1 / 2) < 4 / (12 * 1e5) ** 0.5 and abs(x.var() - 1 / 12) < 1e-3


def test_consecutive_steps_and_neighbouring_seeds_are_uncorrelated():
    a, b = stream(*range(100)), stream(*range(1, 101))
    rows = [s.uniform((1000,), 0).flatten() for s in (a, b, a.next())]
    correlation = torch.corrcoef(torch.stack([rows[0], rows[2]]))[0, 1]
    shifted = torch.corrcoef(
        torch.stack([rows[0].view(100, 1000)[:99].flatten(), rows[1].view(100, 1000)[1:].flatten()])
    )
    assert abs(correlation) < 0.015 and abs(shifted[0, 1]) < 0.015


def test_normal_numbers_have_the_moments_of_a_standard_normal():
    x = stream(*range(100)).normal((1000,), 0).double()
    assert abs(x.mean()) < 0.015 and abs(x.var() - 1) < 0.02 and abs((x**4).mean() - 3) < 0.1


def test_categorical_draws_follow_the_softmax():
    probability = torch.tensor([0.5, 0.3, 0.2, 0.0])
    draws = stream(*range(20_000)).categorical(probability.log().expand(20_000, 4), 0)
    share = torch.bincount(draws, minlength=4) / 20_000
    assert torch.allclose(share, probability, atol=0.015) and share[3] == 0


def test_integers_reach_every_value_and_no_other():
    draws = stream(*range(2000)).integers(7, 0)
    assert set(draws.tolist()) == set(range(7))


DRAWS = (Draw(False, (3, 5), 2), Draw(True, (4,), 9), Draw(False, (), 2), Draw(True, (0, 2), 1))


@pytest.mark.parametrize("few", [0, 10**6])
def test_draws_made_together_are_those_made_one_by_one_by_numpy_and_by_torch(few, monkeypatch):
    lanes = stream(3, 2**62, -5).next()
    alone = [lanes.normal(d.shape, d.salt) if d.normal else lanes.uniform(d.shape, d.salt)
             for d in DRAWS]  # fmt: skip
    monkeypatch.setattr(noise, "FEW", few)
    together = lanes.draw(DRAWS)
    assert [x.shape for x in together] == [(3, 3, 5), (3, 4), (3,), (3, 0, 2)]
    assert all(map(torch.equal, together, alone)) and lanes.draw(()) == []


def test_what_a_lane_alone_draws_ahead_is_what_it_draws_among_others_and_stays_when_it_is_changed():
    draws = (Draw(False, (3, 5), 2), Draw(False, (), 2))
    alone, together = stream(-5), stream(3, -5)
    for _ in range(2 * noise.AHEAD + 1):
        alone, together = alone.next(), together.next()
        expected = [x[1:] for x in together.draw(draws)]
        assert all(map(torch.equal, alone.draw(draws), expected))
        alone.uniform((3, 5), 2).zero_()
        assert torch.equal(alone.uniform((3, 5), 2), expected[0])


def test_the_numbers_of_a_stream_are_those_of_its_first_release():
    assert stream(7).next().bits((2,), 3).tolist() == [[-5177043589127083226, 8938277022927128886]]
