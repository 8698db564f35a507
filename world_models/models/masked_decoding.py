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

from world_models.models.place_order import shuffled, spread_order, still_masked, sure_first
from world_models.models.some_places import PlaceNoise, SomePlaces, along_edge
from world_models.networks.code_copy import (
    LEAST,
    OUTSIDE,
    SURE,
    SURE_SHARE,
    chosen_codes,
    sure_copies,
    without_rare,
)
from world_models.networks.code_head import CodeHead
from world_models.networks.masked_tokens import CodeFeatures, MaskedTokens, MovedFrame
from world_models.noise import FRAME_SALT, NoiseStream

DIGITS = 8  # salts that a pass may use


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

    With `spread_order` places that are decided in one pass lie far apart, and each pass decides
    twice as many as the one before. What lies side by side in one pass does not know of each other,
    so that coasts become crumbs.

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
        # what is sure needs no more computing; a graph and a card need sizes that do not vary
        skips = codes.is_cpu and not torch.compiler.is_compiling()
        now = _on_grid(codes, found, origin, features)
        yield now
        for number in range(1, self.passes + 1):
            if skips and not masked.any():
                yield now
                continue
            given = codes.unflatten(1, shape).repeat(len(features.tokens) // lanes, 1, 1)
            h, salt = network(given, features), FRAME_SALT + DIGITS * number
            draws = (noise, salt, masked if skips else None)
            chosen, log_probability, source = decoding.choose(network, sources, h, *draws)
            codes = torch.where(masked, chosen, codes)
            found = torch.where(masked, log_probability, found)
            origin = torch.where(masked, source, origin)
            if number == 1:
                unsure = (log_probability < SURE).sum(1)  # (B,)
            if number < self.passes:
                left = still_masked(unsure, number, self.passes, self.spread_order)
                order = self.order(log_probability, noise, salt, spread)
                rank = torch.where(masked, order, math.inf).argsort(1).argsort(1)
                masked = masked & (rank < left[:, None])
                codes = codes.masked_fill(masked, mask)
            now = _on_grid(codes, found, origin, features)
            yield now

    def order(
        self, log_probability: Tensor, noise: NoiseStream, salt: int, spread: Tensor | None
    ) -> Tensor:
        """What places are ordered by (B, L): `spread` (B, L) orders the unsure ones, if it is."""
        if spread is None and (noisy := self.choice_temperature):
            spread = shuffled(log_probability, noise, salt + DIGITS - 2, noisy)
        return sure_first(log_probability, spread)

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

    def choose(
        self,
        network: MaskedTokens,
        sources: Tensor | None,
        h: Tensor,
        noise: NoiseStream,
        salt: int,
        among: Tensor | None = None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """h (B or 2 B, L, D), sources (B, L, M) -> codes, their log-probabilities and where they
        come from (B, L); anything at places that are not `among` (B, L) bool those asked for.
        """
        h, lanes = network.head.norm(h), len(noise.seeds)
        if network.copy is None or sources is None:
            codes, generated, *_ = self.generate_among(among, network.head, h, noise, salt)
            return codes, generated, torch.zeros_like(codes)
        gates = self.guided(network.copy.gate(h).float(), len(h) // lanes)
        gates = network.copy.masked(gates, sources)
        if among is not None:
            among = among & self.may_generate(gates)
        codes, generated, mass, peak = self.generate_among(among, network.head, h, noise, salt)
        if not self.as_believed:
            gates = torch.cat((gates[..., :1] + mass[..., None], gates[..., 1:]), 2)
        if self.least_share:
            likeliest = torch.cat((gates[..., :1] + (peak - mass)[..., None], gates[..., 1:]), 2)
            gates = gates.masked_fill(self.unlikely(likeliest), -math.inf)
        gates = sure_copies(without_rare(gates), self.sure_copy)
        source, log_probability = self.pick(gates, noise, salt + DIGITS - 1)
        log_probability = log_probability + torch.where(source == 0, generated, 0.0)
        return chosen_codes(source, codes, sources), log_probability, source

    def may_generate(self, gates: Tensor) -> Tensor:
        """Where (B, L) bool a code may come from the head, by the gates (B, L, 1 + M).

        Up to a temperature of 1 generating is never likelier than the gates say (see `generate`),
        so a copy that is sure by them is taken, and what the head would say is not needed: in most
        of a frame, where most of it stays.
        """
        share = min(self.sure_copy, SURE_SHARE)
        hottest = torch.as_tensor(self.temperature).max()
        if hottest > 1 or share <= self.least_share:
            return torch.ones_like(gates[..., 0], dtype=torch.bool)
        copies = gates[..., 1:].amax(2) - gates.logsumexp(2)
        return copies <= math.log(max(share, LEAST))

    def generate_among(
        self, among: Tensor | None, head: CodeHead, h: Tensor, noise: NoiseStream, salt: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """`generate` at the places `among` (B, L) bool, with the draws that they have there, and
        zeros elsewhere; None: everywhere.
        """
        if among is None:
            return self.generate(head, h, noise, salt)
        places, temperature = SomePlaces.where(among), self.temperature
        if not len(places.rows):
            nothing = torch.zeros(among.shape, device=h.device)
            return nothing.long(), nothing, nothing, nothing
        if isinstance(temperature, Tensor):
            temperature = places.take(temperature.expand(*among.shape, 1))
        some, own = self._replace(temperature=temperature), PlaceNoise(noise, places)
        found = some.generate(head, places.take(h), own, salt)
        codes, total, mass, peak = map(places.put_back, found)
        return codes, total, mass, peak

    def generate(
        self, head: CodeHead, h: Tensor, noise: NoiseStream | PlaceNoise, salt: int
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

    def pick(
        self, logits: Tensor, noise: NoiseStream | PlaceNoise, salt: int
    ) -> tuple[Tensor, Tensor]:
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


def _on_grid(codes: Tensor, found: Tensor, origin: Tensor, features: CodeFeatures) -> Decided:
    """Codes, their log-probabilities and origins (B, L) as those of a frame."""
    shape = features.last.shape[1:]
    codes, found, origin = (x.unflatten(1, shape) for x in (codes, found, origin))
    return Decided(codes, found, origin, features.moved)
