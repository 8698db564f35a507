"""The probabilities of codes, and the passes in which they are decided."""

import math
from types import SimpleNamespace

import torch
from conftest_models import make_context, make_model

from world_models.models.masked_decoding import (
    MaskedDecoding,
)
from world_models.models.place_order import shuffled, spread_order, still_masked, sure_first
from world_models.models.token_losses import some_new_only
from world_models.models.training_masks import draw_masks, mask_shares
from world_models.networks.code_copy import (
    OUTSIDE,
    CodeCopy,
    chosen_codes,
    sure_copies,
    without_rare,
)
from world_models.networks.code_head import CodeHead
from world_models.noise import NoiseStream


def stream(lanes):
    return NoiseStream.from_seeds(torch.arange(lanes))


def test_the_probabilities_of_a_code_are_the_product_of_those_of_its_digits():
    torch.manual_seed(0)
    head, h = CodeHead(8, (3, 4)), torch.randn(1, 1, 8)
    losses = torch.stack([head.losses(h, torch.full((1, 1), code))[0] for code in range(12)])
    assert torch.allclose(losses.neg().exp().sum(), torch.tensor(1.0), atol=1e-5)


def test_draws_follow_the_probabilities_and_none_is_made_at_temperature_zero():
    torch.manual_seed(0)
    head, lanes = CodeHead(8, (3, 4)), 20_000
    h = torch.randn(1, 1, 8).expand(lanes, 1, 8)
    expected = (
        torch.stack([head.losses(h[:1], torch.full((1, 1), code))[0] for code in range(12)])
        .flatten()
        .neg()
        .exp()
    )
    codes, log_probability, mass, _ = MaskedDecoding(temperature=1.0).generate(
        head, head.norm(h), stream(lanes), 64
    )
    share = torch.bincount(codes.flatten(), minlength=12) / lanes
    assert (share - expected).abs().max() < 0.015
    assert torch.allclose(log_probability.exp()[:, 0], expected[codes[:, 0]], atol=1e-5)
    assert mass.abs().max() < 1e-5
    likeliest, log_probability, mass, _ = MaskedDecoding().generate(
        head, head.norm(h[:9]), stream(9), 64
    )
    assert len(likeliest.unique()) == 1 and torch.allclose(mass, log_probability)


def test_copied_and_generated_probabilities_add_up_to_one_and_never_come_from_outside():
    torch.manual_seed(0)
    copy, last = CodeCopy(8, (0, 2)), torch.randint(0, 6, (3, 4, 4))
    sources = copy.sources(last)
    assert copy.moves == [(-2, 0), (0, -2), (0, 0), (0, 2), (2, 0)]
    assert torch.equal(sources[:, :, 2], last.flatten(1)) and sources[0, 0, 0] == -1
    assert sources[1, 0, 4] == last[1, 2, 0]
    copy.gate.weight.data.normal_()
    h = torch.randn(3, 16, 8)
    generated = torch.full((3, 16), math.log(6.0))
    total = sum(
        copy.losses(h, sources, sources == code, generated)[0].neg().exp() for code in range(6)
    )
    assert torch.allclose(total, torch.ones(3, 16), atol=1e-5)
    source = copy.losses(h, sources, sources == last.flatten(1)[..., None], generated)[1]
    assert (chosen_codes(source, torch.zeros(3, 16).long(), sources) >= 0).all()


def test_a_copy_is_weighed_against_single_codes_not_against_all_of_them_together():
    lanes, codes = 20_000, 12
    network = SimpleNamespace(head=CodeHead(8, (3, 4)), copy=CodeCopy(8, (0,)), scroll=None)
    with torch.no_grad():
        for logits in network.head.logits:
            logits.weight.zero_()  # all codes are as likely
            logits.bias.zero_()
        network.copy.gate.bias[:] = torch.tensor([math.log(codes / 2), 0.0])
    h, sources = torch.zeros(lanes, 1, 8), torch.zeros(lanes, 1, 1, dtype=torch.int64)
    copied = {}
    for t in (0.0, 0.5, 1.0):
        decoding = MaskedDecoding(temperature=t)
        source = decoding.choose(network, sources, h, stream(lanes), 64)[2]
        copied[t] = (source == 1).float().mean().item()
    assert copied[0.0] == 1.0  # the copy is twice as likely as any code
    # 1 against N codes of 1/2 at a temperature of 1, against N of 1/4 at 0.5
    assert abs(copied[1.0] - 1 / (1 + codes / 2)) < 0.01
    assert abs(copied[0.5] - 1 / (1 + codes / 4)) < 0.01


def test_what_is_much_less_likely_than_the_likeliest_is_not_drawn_be_it_a_code_or_a_copy():
    lanes = 5_000
    network = SimpleNamespace(head=CodeHead(8, (4,)), copy=CodeCopy(8, (0,)), scroll=None)
    probabilities = torch.tensor([0.62, 0.3, 0.06, 0.02])
    with torch.no_grad():
        network.head.logits[0].weight.zero_()
        network.head.logits[0].bias[:] = probabilities.log()
    h, sources = torch.zeros(lanes, 1, 8), torch.zeros(lanes, 1, 1, dtype=torch.int64)

    def drawn(copied: float) -> tuple[set[int], float]:
        network.copy.gate.bias.data[:] = torch.tensor([1 - copied, copied]).log()
        decoding = MaskedDecoding(temperature=1.0, least_share=0.1)
        codes, _, source = decoding.choose(network, sources, h, stream(lanes), 64)
        return set(codes[source == 0].tolist()), source.float().mean().item()

    assert drawn(0.02) == ({0, 1}, 0.0)  # a copy of 0.02 beside a code of 0.61
    codes, copied = drawn(0.5)
    assert codes == {0, 1} and abs(copied - 0.5) < 0.03
    # generating is a third as likely as the copy, and its likeliest code a twentieth: not drawn
    with torch.no_grad():
        network.head.logits[0].bias.zero_()
        network.head.logits[0].bias[0] = -9.0
    assert drawn(0.75)[1] < 1 and drawn(0.85) == (set(), 1.0)


def test_what_comes_into_sight_is_drawn_at_a_temperature_of_its_own():
    lanes, copy = 5_000, CodeCopy(8, (0,), further=1)
    network = SimpleNamespace(head=CodeHead(8, (4,)), copy=copy, scroll=True)
    probabilities = torch.tensor([0.2, 0.5, 0.2, 0.1])
    with torch.no_grad():
        network.head.logits[0].weight.zero_()
        network.head.logits[0].bias[:] = probabilities.log()
        copy.gate.bias[:] = torch.tensor([9.0, 0.0, 0.0])  # all is generated
    h, sources = torch.zeros(lanes, 2, 8), torch.zeros(lanes, 2, 2, dtype=torch.int64)
    sources[:, 1, -1] = OUTSIDE  # nothing scrolls there
    decoding = MaskedDecoding(temperature=0.01, new_temperature=1.0)
    new = decoding.new_places(network, sources, torch.Size((1, 2)))
    drawn = decoding.at_places(new)
    codes, log_probability, _ = drawn.choose(network, sources, h, stream(lanes), 64)
    assert (codes[:, 0] == 1).all()
    share = torch.bincount(codes[:, 1], minlength=4) / lanes
    assert (share - probabilities).abs().max() < 0.03
    expected = probabilities[codes[:, 1]]
    assert torch.allclose(log_probability[:, 1].exp(), expected, atol=1e-3)
    likeliest = MaskedDecoding(new_temperature=1.0).at_places(new)  # at 0 nothing is drawn
    assert (likeliest.choose(network, sources, h, stream(lanes), 64)[0] == 1).all()


def test_without_scrolling_what_comes_into_sight_does_so_along_the_edge():
    network = SimpleNamespace(scroll=None, place=torch.zeros(8, 4, 5))
    shape = torch.Size((4, 5))
    decoding = MaskedDecoding(temperature=0.5, new_temperature=1.0, new_edge=1)
    new = decoding.new_places(network, None, shape)
    assert new.view(4, 5).int().tolist() == [
        [1, 1, 1, 1, 1],
        [1, 0, 0, 0, 1],
        [1, 0, 0, 0, 1],
        [1, 1, 1, 1, 1],
    ]
    temperature = decoding.at_places(new).temperature.view(4, 5)
    assert temperature[0, 0] == 1.0 and temperature[1, 1] == 0.5
    assert decoding._replace(new_edge=2).new_places(network, None, shape).all()
    for none in (decoding._replace(new_edge=0), decoding._replace(new_temperature=None)):
        assert none.new_places(network, None, shape) is None


def test_moves_are_drawn_at_a_temperature_of_their_own():
    logits = torch.tensor([0.6, 0.4]).log().expand(5_000, 2)
    drawn = MaskedDecoding(temperature=1.0).choose_move(logits, stream(5_000))
    assert abs(drawn.float().mean() - 0.4) < 0.03
    likeliest = MaskedDecoding(temperature=1.0, move_temperature=0.0)
    assert not likeliest.choose_move(logits, stream(5_000)).any()


def test_every_place_is_decided_after_the_last_pass():
    unsure = torch.tensor([256, 32, 0])
    left = [still_masked(unsure, n, 4).tolist() for n in (1, 2, 3, 4)]
    assert left == [[236, 29, 0], [181, 22, 0], [97, 12, 0], [0, 0, 0]]
    assert still_masked(unsure, 1, 1).tolist() == [0, 0, 0]
    left = [still_masked(unsure, n, 4, doubling=True).tolist() for n in (1, 2, 3, 4)]
    assert left == [[238, 29, 0], [204, 25, 0], [136, 17, 0], [0, 0, 0]]
    assert still_masked(unsure, 1, 1, doubling=True).tolist() == [0, 0, 0]
    for passes in (1, 2, 5):
        model = make_model("tokens", passes=passes)
        state = model.init(make_context(model, 2))
        codes = model.step(state, torch.tensor([0, 1]), stream(2)).state.codes
        assert codes.min() >= 0 and codes.max() < model.tokenizer.codes


def test_where_one_choice_is_sure_no_other_is_drawn():
    logits = torch.tensor([[[9.0, 0.0, 1.0], [1.0, 0.0, 0.5]]])
    kept = without_rare(logits)
    assert kept[0, 0].softmax(0).tolist() == [1.0, 0.0, 0.0]
    assert torch.equal(kept[0, 1], logits[0, 1])


def test_a_copy_above_the_share_is_taken_for_sure_and_a_drawing_never_is():
    gates = torch.tensor([[[0.5, 0.4, 0.1], [0.75, 0.2, 0.05], [0.98, 0.01, 0.01]]]).log()
    assert sure_copies(gates, 1.0) is gates
    found = sure_copies(gates, 0.3)
    assert found[0, 0].isfinite().tolist() == [False, True, False]
    assert torch.equal(found[0, 1:], gates[0, 1:])


def test_half_of_the_samples_show_what_could_be_copied_and_hide_only_what_is_new():
    count, generator = 4000, torch.Generator().manual_seed(0)
    right = torch.ones(count, 4, 2, dtype=torch.bool)
    right[:, 3] = False  # the last place is new
    everything = torch.ones(count, 2, 2, dtype=torch.bool)
    masked = some_new_only(everything, right, 0.5, generator)
    assert masked[:, 1, 1].all()
    assert 0.47 < masked[:, 0, 0].float().mean() < 0.53
    assert torch.equal(masked[:, 0, 0], masked[:, 1, 0])
    known = everything.clone()
    known[:, 1, 1] = False  # nothing new is hidden: the mask stays
    assert torch.equal(some_new_only(known, right, 0.5, generator), known)
    assert torch.equal(some_new_only(everything, right, 0.0, generator), everything)


def test_what_is_decided_in_a_pass_stays_and_the_surest_come_first():
    model, shown = make_model("tokens", passes=4), []
    original = model.network.forward
    model.network.forward = lambda codes, features: (
        shown.append(codes),
        original(codes, features),
    )[1]
    state = model.step(model.init(make_context(model, 2)), torch.tensor([0, 1]), stream(2)).state
    assert len(shown) == 4 and (shown[0] == model.network.mask_code).all()
    for before, after in zip(shown, [*shown[1:], state.codes[:, -1].long()], strict=True):
        kept = before != model.network.mask_code
        assert torch.equal(before[kept], after[kept])


def test_a_choice_temperature_shuffles_the_unsure_places_and_leaves_the_sure_ones_first():
    probability = torch.tensor([[0.99, 0.5, 0.4, 0.01, 0.95]]).expand(2_000, 5)
    assert torch.equal(sure_first(probability.log(), None), probability.log())
    order = sure_first(probability.log(), shuffled(probability.log(), stream(2_000), 64, 1.0))
    assert (order[:, [0, 4]].amin(1) > order[:, 1:4].amax(1)).all()
    # Gumbel noise of weight 1: the first of the unsure ones is a draw by their probabilities
    first = torch.bincount(order[:, 1:4].argmax(1), minlength=3) / 2_000
    assert (first - torch.tensor([0.5, 0.4, 0.01]) / 0.91).abs().max() < 0.04


def test_spread_places_are_decided_far_from_one_another_wherever_the_order_begins():
    shape, lanes = torch.Size((8, 16)), 200
    order = spread_order(shape, stream(lanes), 3).unflatten(1, shape)
    assert all(len(lane.unique()) == 128 for lane in order)
    first = order >= order.flatten(1).sort(1).values[:, -32, None, None]  # a quarter of the places
    assert not (first & first.roll(1, 2)).any() and not (first & first.roll(1, 1)).any()
    per_block = first.float().unfold(1, 4, 4).unfold(2, 4, 4).sum((3, 4))
    assert per_block.min() >= 2 and per_block.max() <= 6  # 4 of 16 where the shift begins a block
    share = first.float().mean(0)
    assert share.min() > 0.1 and share.max() < 0.4  # no place is always among the first


def test_the_sure_places_come_first_in_a_spread_order_too():
    probability = torch.tensor([[0.99, 0.5, 0.4, 0.01, 0.95, 0.2]]).expand(50, 6)
    spread = spread_order(torch.Size((2, 3)), stream(50), 3)
    order = sure_first(probability.log(), spread)
    assert (order[:, [0, 4]].amin(1) > order[:, [1, 2, 3, 5]].amax(1)).all()
    unsure = [1, 2, 3, 5]
    assert torch.equal(order[:, unsure].argsort(1), spread[:, unsure].argsort(1))


def test_masks_hide_at_least_one_place_and_all_in_a_share_of_samples():
    generator = torch.Generator().manual_seed(0)
    shares = mask_shares(4000, 0.3, generator)
    masks = draw_masks(shares, (4, 4), generator)
    assert masks.any((1, 2)).all()
    assert (
        abs(masks.all(2).all(1).float().mean() - 0.3 - 0.7 * 0.22) < 0.05
    )  # a cosine share above 15 / 16 is all too


def every_place(decoding, among, head, h, noise, salt):
    return decoding.generate(head, h, noise, salt)


def test_what_is_not_generated_where_a_copy_is_sure_changes_no_code(monkeypatch):
    torch.manual_seed(0)
    head, copy, lanes = CodeHead(8, (3, 4, 2)), CodeCopy(8, (0, 1)), 40
    copy.gate.weight.data.normal_(std=1.5)
    network = SimpleNamespace(head=head, copy=copy, scroll=None)
    h, last = torch.randn(2 * lanes, 16, 8), torch.randint(0, 24, (lanes, 4, 4))
    sources, among = copy.sources(last), torch.rand(lanes, 16) < 0.8
    by_place = torch.rand(1, 16, 1).clamp(0.3)
    few = 0
    for fields, halves in [
        ({"temperature": 1.0, "sure_copy": 0.3}, 1),
        ({"temperature": 0.6, "least_share": 0.1}, 1),
        ({"temperature": by_place, "sure_copy": 0.5}, 1),
        ({"temperature": 0.0}, 1),
        ({"temperature": 1.0, "guidance": 2.0, "sure_copy": 0.3}, 2),
        ({"temperature": 1.3, "sure_copy": 0.3}, 1),
    ]:
        decoding, rows = MaskedDecoding(**fields), h[: halves * lanes]
        found = decoding.choose(network, sources, rows, stream(lanes), 64, among)
        with monkeypatch.context() as patch:
            patch.setattr(MaskedDecoding, "generate_among", every_place)
            expected = decoding.choose(network, sources, rows, stream(lanes), 64)
        for one, other in zip(found, expected, strict=True):
            assert torch.allclose(one[among].double(), other[among].double(), atol=1e-5)
        nowhere = torch.zeros_like(among)
        found = decoding.choose(network, sources, rows, stream(lanes), 64, nowhere)
        assert all(x.shape == among.shape for x in found)
        gates = copy.masked(decoding.guided(copy.gate(head.norm(rows)), halves), sources)
        few += int((~decoding.may_generate(gates)).sum() > lanes)
    assert few == 5  # above a temperature of 1 every place may be generated


def test_passes_end_where_nothing_is_left_to_decide():
    model, calls = make_model("tokens", passes=4), []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    state = model.init(make_context(model, 3))
    features = model.encode_state(state, torch.zeros(3, dtype=torch.int64))
    with torch.no_grad():
        for logits in model.network.head.logits:
            logits.weight.zero_()
            logits.bias.zero_()[0] = 30  # every place is sure
    steps = list(MaskedDecoding(4, 1.0).pass_by_pass(model.network, features, stream(3)))
    assert len(steps) == 5 and len(calls) == 1
    assert all(torch.equal(step.codes, steps[1].codes) for step in steps[2:])
