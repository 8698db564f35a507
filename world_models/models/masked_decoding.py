"""Masked decoding: a frame's codes in a few passes, the places of highest probability first
(MaskGIT, arXiv:2202.04200, section 3.2), or evenly spread places first (`place_order`).

The schedule counts only the places of which the first pass is unsure. Where most of a frame is
copied, all of its places would otherwise fill the early passes, and the last one would draw what is
new at once, each place by itself.

B lanes, L = G * G places, M logits of a softmax. All draws come from the lanes' noise streams.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from world_models.models.place_order import spread_order
from world_models.networks.code_copy import OUTSIDE, chosen_codes
from world_models.networks.code_head import CodeHead
from world_models.networks.masked_tokens import CodeFeatures, MaskedTokens, MovedFrame
from world_models.noise import FRAME_SALT, NoiseStream

DIGITS = 8  # salts that a pass may use
SURE = math.log(0.9)  # a place that is more probable than this waits for no other pass
FAR = 1_000.0  # puts all unsure places behind the sure ones


class Decided(NamedTuple):
    """The codes of a frame, and how probable each was when it was chosen."""

    codes: Tensor  # (B, G, G) int64
    log_probability: Tensor  # (B, G, G) float32
    source: Tensor  # (B, G, G) int64: 0 generated, m > 0 copied from source m - 1
    moved: MovedFrame | None = None  # the last frame as it scrolls, where it does

    @property
    def surprise(self) -> Tensor:
        """(B,) the mean negative log-probability of a frame's codes, in nats."""
        return -self.log_probability.mean((1, 2))


class MaskedDecoding(NamedTuple):
    """`passes` calls of the decoder; a temperature
    of 0 takes the likeliest codes, 1 draws as the model believes.

    `guidance` on the action: logits are extrapolated away from those without it (Ho & Salimans
    2022, arXiv:2207.12598); 1 is off.

    `choice_temperature` weighs the Gumbel noise that is added to the log-probabilities by which
    places are ordered, as in the code of MaskGIT. At 0 the surest draws come first, and where much
    is unsure, as relief, these are the smooth ones: a long dream loses its texture.

    With `spread_order` places that are decided in one pass lie far apart. What lies side by side
    in one pass does not know of each other, so that coasts become crumbs.

    A copy that is more probable than `sure_copy` is taken without a draw. Where games keep what was
    in sight, one place in ten that is drawn anew per step soon covers it.

    Where frames scroll, `new_temperature` is that of places that come into sight, and
    `move_temperature` that of the move; None: `temperature`. What is in sight should stay, and the
    move follows from it, but what is new, as a coin, is rare and has to come as often as it does. A
    `temperature` of 0 takes the likeliest of all. Where the network does not predict how a frame
    scrolls, `new_edge` places along the frame's edge are where things come into sight; 0: none.

    Of what is drawn, choices less than `least_share` times as likely as the likeliest are left out
    (Nguyen et al. 2024, "Min-p sampling", arXiv:2407.01082): hundreds of places are drawn per step,
    and one that went wrong stays in sight.
    """

    passes: int = 1
    temperature: float | Tensor = 0.0  # a number, or (B, L, 1) that of each place, above 0
    guidance: float = 1.0
    choice_temperature: float = 0.0
    spread_order: bool = False
    sure_copy: float = 1.0
    new_temperature: float | None = None
    move_temperature: float | None = None
    new_edge: int = 0
    least_share: float = 0.0

    def __call__(
        self, network: MaskedTokens, features: CodeFeatures, noise: NoiseStream
    ) -> Decided:
        """Features of (B, ...), under guidance of (2 B, ...), the second half with no action."""
        *_, decided = self.pass_by_pass(network, features, noise)
        return decided

    def pass_by_pass(
        self, network: MaskedTokens, features: CodeFeatures, noise: NoiseStream
    ) -> Iterator[Decided]:
        """What is decided before the first pass (nothing) and after each; see `__call__`."""
        lanes, shape = len(noise.seeds), features.last.shape[1:]
        places, mask = shape.numel(), network.mask_code
        codes = torch.full((lanes, places), mask, device=features.tokens.device)
        masked = torch.ones_like(codes, dtype=torch.bool)
        found = torch.zeros(lanes, places, device=codes.device)
        origin = torch.zeros_like(codes)
        moved = None if features.moved is None else features.moved.codes
        sources = network.sources(features.last[:lanes], moved)
        decoding = self.at_places(self.new_places(network, sources, shape))
        spread = spread_order(shape, noise, FRAME_SALT + 1) if self.spread_order else None
        now = [x.unflatten(1, shape) for x in (codes, found, origin)]
        yield Decided(now[0], now[1], now[2], features.moved)
        for number in range(1, self.passes + 1):
            given = codes.unflatten(1, shape).repeat(len(features.tokens) // lanes, 1, 1)
            h, salt = network(given, features), FRAME_SALT + DIGITS * number
            chosen, log_probability, source = decoding.choose(network, sources, h, noise, salt)
            codes = torch.where(masked, chosen, codes)
            found = torch.where(masked, log_probability, found)
            origin = torch.where(masked, source, origin)
            if number < self.passes:
                if number == 1:
                    unsure = (log_probability < SURE).sum(1)  # (B,)
                left = still_masked(unsure, number, self.passes)
                order = self.order(log_probability, noise, salt, spread)
                rank = torch.where(masked, order, math.inf).argsort(1).argsort(1)
                masked = masked & (rank < left[:, None])
                codes = codes.masked_fill(masked, mask)
            now = [x.unflatten(1, shape) for x in (codes, found, origin)]
            yield Decided(now[0], now[1], now[2], features.moved)

    def choose_move(self, logits: Tensor, noise: NoiseStream) -> Tensor:
        """How the frame scrolls (B,), from logits (B or 2 B, M)."""
        halves = len(logits) // len(noise.seeds)
        guided = self.guided(logits[:, None], halves)
        decoding = self.at(self.move_temperature)
        return decoding.pick(without_rare(guided), noise, FRAME_SALT)[0][:, 0]

    def at(self, temperature: float | Tensor | None) -> MaskedDecoding:
        """With this temperature; as it is without one, or where it takes the likeliest."""
        if temperature is None or self.takes_likeliest:
            return self
        return self._replace(temperature=temperature)

    def new_places(
        self, network: MaskedTokens, sources: Tensor | None, shape: torch.Size
    ) -> Tensor | None:
        """Where things may come into sight (B or 1, L) bool, if that has a temperature."""
        if self.new_temperature is None:
            return None
        if network.scroll is not None and sources is not None:
            return sources[..., -1] == OUTSIDE
        return along_edge(shape, self.new_edge, network.place.device) if self.new_edge else None

    def at_places(self, new: Tensor | None) -> MaskedDecoding:
        """With the temperature of each place, where some are `new` (B or 1, L)."""
        if new is None or self.new_temperature is None:
            return self
        assert not isinstance(self.temperature, Tensor)
        return self.at(torch.where(new[..., None], self.new_temperature, self.temperature))

    def order(
        self, log_probability: Tensor, noise: NoiseStream, salt: int, spread: Tensor | None = None
    ) -> Tensor:
        """What places are ordered by, (B, L); the last ones are masked again. Those that are sure
        keep their place. `spread` (B, L) orders the others, where there is one.
        """
        if spread is not None:
            unsure = spread
        elif self.choice_temperature:
            gumbel = noise.gumbel(tuple(log_probability.shape[1:]), salt + DIGITS - 2)
            unsure = log_probability + self.choice_temperature * gumbel
        else:
            return log_probability
        return torch.where(log_probability < SURE, unsure - FAR, log_probability)

    def choose(
        self,
        network: MaskedTokens,
        sources: Tensor | None,
        h: Tensor,
        noise: NoiseStream,
        salt: int,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """h (B or 2 B, L, D), sources (B, L, M) -> codes, their log-probabilities and where they
        come from (B, L).
        """
        h, lanes = network.head.norm(h), len(noise.seeds)
        codes, generated, mass, peak = self.generate(network.head, h, noise, salt)
        if network.copy is None or sources is None:
            return codes, generated, torch.zeros_like(codes)
        gates = self.guided(network.copy.gate(h).float(), len(h) // lanes)
        gates = network.copy.masked(gates, sources)
        if not self.as_believed:
            gates = torch.cat((gates[..., :1] + mass[..., None], gates[..., 1:]), 2)
        if self.least_share:
            likeliest = torch.cat((gates[..., :1] + (peak - mass)[..., None], gates[..., 1:]), 2)
            gates = gates.masked_fill(self.unlikely(likeliest), -math.inf)
        gates = sure_copies(without_rare(gates), self.sure_copy)
        source, log_probability = self.pick(gates, noise, salt + DIGITS - 1)
        log_probability = log_probability + torch.where(source == 0, generated, 0.0)
        return chosen_codes(source, codes, sources), log_probability, source

    def generate(
        self, head: CodeHead, h: Tensor, noise: NoiseStream, salt: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """From the code head alone, h (B or 2 B, L, D) after its `norm`: codes, their
        log-probabilities, what the temperature leaves of generating, and the log-probability of the
        likeliest code, (B, L) each.

        The temperature is one of the mixture over codes, not of the choice to copy: where many
        codes are as likely, none of them is likelier than the copy. At 0 the likeliest code wins.
        """
        halves = len(h) // len(noise.seeds)
        codes = torch.zeros(len(noise.seeds), h.shape[1], dtype=torch.int64, device=h.device)
        total = torch.zeros_like(codes, dtype=torch.float32)
        mass, peak = torch.zeros_like(total), torch.zeros_like(total)
        for place, logits in enumerate(head.logits):
            own = self.guided(logits(h).float(), halves)
            digit, log_probability = self.pick(own, noise, salt + place)
            codes, total = codes * head.sizes[place] + digit, total + log_probability
            if not self.as_believed:
                mass = mass + self.mass(own)
            if self.least_share:
                peak = peak + own.amax(2) - own.logsumexp(2)
            if place < len(head.hidden):
                h = head.after(h, place, digit.repeat(halves, 1))
        return codes, total, mass, peak

    def mass(self, logits: Tensor) -> Tensor:
        """log of (sum of p^(1/T))^T of logits (B, L, M): 0 at a temperature T of 1, the largest
        log p at 0.
        """
        t = self.temperature
        if self.takes_likeliest:
            kept = logits.amax(2)
        else:
            kept = (t * (logits / t).logsumexp(2, keepdim=True))[..., 0]
        return kept - logits.logsumexp(2)

    @property
    def takes_likeliest(self) -> bool:
        """Nothing is drawn."""
        return not isinstance(self.temperature, Tensor) and self.temperature == 0

    @property
    def as_believed(self) -> bool:
        """It draws with the probabilities that the network says."""
        return not isinstance(self.temperature, Tensor) and self.temperature == 1

    def guided(self, logits: Tensor, halves: int) -> Tensor:
        """Logits (B, L, M), of two halves extrapolated."""
        if halves == 1:
            return logits
        with_action, without = logits.chunk(2)
        return without + self.guidance * (with_action - without)

    def unlikely(self, logits: Tensor) -> Tensor:
        """Which choices (B, L, M) are too unlikely beside the likeliest to be drawn."""
        return logits < logits.amax(2, keepdim=True) + math.log(self.least_share)

    def pick(self, logits: Tensor, noise: NoiseStream, salt: int) -> tuple[Tensor, Tensor]:
        """logits (B, L, M) -> a choice (B, L) int64 for each place, and its log-probability."""
        if self.takes_likeliest:
            best, choice = logits.max(2)
            return choice, best - logits.logsumexp(2)
        if self.least_share:
            logits = logits.masked_fill(self.unlikely(logits), -math.inf)
        log_probability = (logits / self.temperature).log_softmax(2)
        below = log_probability.exp().cumsum(2)
        height = noise.uniform((logits.shape[1],), salt)[:, :, None] * below[:, :, -1:]  # (B, L, 1)
        choice = (below <= height).sum(2).clamp(max=logits.shape[2] - 1)
        return choice, log_probability.gather(2, choice[:, :, None])[:, :, 0]


def without_rare(logits: Tensor) -> Tensor:
    """Logits (B, L, M) without the other choices of a place where one is sure: one place in a
    hundred that is generated where it should be copied stays in sight for long.
    """
    best = logits.amax(2, keepdim=True)
    sure = best - logits.logsumexp(2, keepdim=True) > SURE
    return logits.masked_fill(sure & (logits < best), -math.inf)


def sure_copies(gates: Tensor, share: float) -> Tensor:
    """Logits (B, L, 1 + M) of generating and of copies, without the other choices of a place where
    one copy is more probable than `share`; as they are at 1.
    """
    if share >= 1:
        return gates
    best = gates[..., 1:].amax(2, keepdim=True)
    sure = best - gates.logsumexp(2, keepdim=True) > math.log(max(share, 1e-9))
    return gates.masked_fill(sure & (gates != best), -math.inf)


def along_edge(shape: torch.Size, places: int, device: torch.device) -> Tensor:
    """Which places of a grid are among the outermost `places` on any side, (1, L) bool."""
    near = torch.ones(shape, dtype=torch.bool, device=device)
    near[places:-places, places:-places] = False
    return near.flatten()[None]


def still_masked(unsure: Tensor, number: int, passes: int) -> Tensor:
    """How many of `unsure` (B,) places are undecided (B,) int64 after pass `number`: the cosine
    schedule, none after the last pass.
    """
    return (unsure * math.cos(math.pi / 2 * number / passes)).long()


def mask_shares(count: int, all_masked: float, generator: torch.Generator) -> Tensor:
    """Shares (count,) of places to be predicted in training:
    cos(pi/2 r), r uniform, and all in a part of samples.
    """
    share = torch.cos(math.pi / 2 * torch.rand(count, generator=generator))
    return torch.where(torch.rand(count, generator=generator) < all_masked, 1.0, share)


def draw_masks(shares: Tensor, shape: torch.Size, generator: torch.Generator) -> Tensor:
    """(B, G, G) bool, True where a code is to be predicted:
    in each sample its share of places, at least one.
    """
    order = torch.rand(len(shares), math.prod(shape), generator=generator).argsort(1).argsort(1)
    count = (shares * math.prod(shape)).ceil().clamp(min=1)
    return (order < count[:, None]).unflatten(1, shape)
