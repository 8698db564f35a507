"""Chance variables: what is random in a step, drawn at once as categories.

A prior reads context and action; in training a posterior reads the next frame too, and a
straight-through sample of it (Bengio, Leonard & Courville 2013, arXiv:1308.3432) is decoded. The
loss is the evidence bound with KL balancing (Hafner et al. 2021, "Mastering Atari with discrete
world models", eq. 2), arXiv:2010.02193.

B lanes, V variables with a place, N places (one per patch: N = G * G), M codes of C categories, D
channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from collectors.settings.parse import setting
from world_models.networks.blocks import MixBlock, PatchEmbed, pool
from world_models.noise import FRAME_SALT, NoiseStream
from world_models.protocols import NetworkConfig

CHANCE_SALT = 1  # keeps these draws apart from the environment's choice of a start context (salt 0)


@dataclass(frozen=True)
class ChanceSettings:
    """Settings of the chance variables; all are independent given context and action."""

    variables: int = setting(1, "chance variables each of which is a place on the patch grid")
    codes: int = setting(0, "chance variables without a place: whether, which, how much")
    categories: int = setting(16, "of each code")
    prior_weight: float = setting(2e-2, "of the KL loss that pulls the prior towards the posterior")
    posterior_weight: float = setting(
        1e-4, "of the KL loss that pulls the posterior towards the prior"
    )
    entropy_weight: float = setting(
        3e-4, "of the loss that keeps the posterior uniform where nothing is random"
    )
    posterior_scale: float = setting(
        5.0, "of its logits when it draws: without it a few percent go astray"
    )

    def __post_init__(self):
        if self.variables < 0 or self.codes < 0 or self.count > FRAME_SALT - CHANCE_SALT:
            most = FRAME_SALT - CHANCE_SALT
            raise ValueError(
                f"chance has 0 to {most} variables and codes, got {self.variables} and {self.codes}"
            )
        if self.codes and self.categories < 2:
            raise ValueError(f"a code has at least two categories, got {self.categories}")

    @property
    def count(self) -> int:
        """Of all variables; 0: nothing is drawn."""
        return self.variables + self.codes


class Chosen(NamedTuple):
    """What chance has decided, one-hot; a part is empty where there are no such variables."""

    places: Tensor  # (B, V, N)
    codes: Tensor  # (B, M, C)


class Chance(nn.Module):
    """What is random in a step: categories drawn from the prior in a dream and
    from the posterior in training.

    Those with a place are marked on the patch grid; codes are embedded and added to every token.
    """

    def __init__(self, settings: ChanceSettings, grid: NetworkConfig, colors: int):
        super().__init__()
        self.settings, width, variables = settings, grid.width, settings.variables
        self.patch = grid.patch
        if variables:
            self.prior = nn.Sequential(MixBlock(width), nn.Conv2d(width, variables, 1))
        self.register_buffer("random_share", torch.zeros(()), persistent=False)
        self.target_encoder = PatchEmbed(colors, width, grid.patch)
        if variables:
            self.posterior = nn.Sequential(
                MixBlock(width), nn.SiLU(), nn.Conv2d(width, variables, 1)
            )
            self.place_embed = nn.Conv2d(variables, width, 1, bias=False)
        if settings.codes:
            sizes = (settings.codes, settings.categories)
            self.code_prior = nn.Sequential(MixBlock(width), CategoricalHead(width, *sizes))
            self.code_posterior = nn.Sequential(
                MixBlock(width), nn.SiLU(), CategoricalHead(width, *sizes)
            )
            self.code_embed = nn.Linear(settings.codes * settings.categories, width, bias=False)

    random_share: Tensor  # (), of the posterior's draws in training; see `AugmentationOptions`

    def condition_on(self, chosen: Chosen, tokens: Tensor) -> Tensor:
        """tokens (B, D, G, G) with what was chosen in them;
        of (2 B, ...), as under guidance, in both halves.
        """
        halves = len(tokens) // len(chosen.places)
        if self.settings.variables:
            tokens = tokens + self.place_embed(
                chosen.places.repeat(halves, 1, 1).unflatten(2, tokens.shape[2:])
            )
        if self.settings.codes:
            tokens = (
                tokens
                + self.code_embed(chosen.codes.repeat(halves, 1, 1).flatten(1))[:, :, None, None]
            )
        return tokens

    def prior_logits(self, tokens: Tensor) -> Chosen:
        """Of every category, from context and action."""
        none = tokens.new_zeros(len(tokens), 0, 1)
        places = self.prior(tokens).flatten(2) if self.settings.variables else none
        return Chosen(places, self.code_prior(tokens) if self.settings.codes else none)

    def posterior_logits(self, tokens: Tensor, target: Tensor) -> Chosen:
        """Of every category, for one who sees the next frame target (B, C, H, W) too."""
        tokens = tokens + self.target_encoder(target)
        none = tokens.new_zeros(len(tokens), 0, 1)
        places = self.posterior(tokens).flatten(2) if self.settings.variables else none
        return Chosen(places, self.code_posterior(tokens) if self.settings.codes else none)

    def draw(self, tokens: Tensor, noise: NoiseStream) -> Chosen:
        """From the prior."""
        salt, drawn = CHANCE_SALT, []
        for logits in self.prior_logits(tokens):
            draws = [noise.categorical(logits[:, v], salt + v) for v in range(logits.shape[1])]
            drawn.append(
                F.one_hot(torch.stack(draws, 1), logits.shape[2]).to(logits) if draws else logits
            )
            salt += len(draws)
        return Chosen(*drawn)

    def sample_posterior(
        self, tokens: Tensor, target: Tensor, generator: torch.Generator
    ) -> tuple[Chosen, dict[str, Tensor], Tensor]:
        """A draw from the posterior, which reads the next frame target (B, C, H, W), losses (B,)
        and the posterior's log-probabilities of places (B, V, N).

        Categories are drawn from scaled logits and learned through the logits themselves: at the
        scale of the draws an early preference is soon certain, certainty has no gradient, and where
        chance is seldom at work (random play eats once in a hundred steps) it stayed unused.
        """
        drawn, terms, learned = [], {}, []
        # single precision also where the networks run in bfloat16: see `straight_through`
        for prior, posterior in zip(
            map(Tensor.float, self.prior_logits(tokens)),
            map(Tensor.float, self.posterior_logits(tokens, target)),
            strict=True,
        ):
            logits = posterior.log_softmax(2)
            sampling_logits = (self.settings.posterior_scale * posterior).log_softmax(2)
            losses = self.kl_losses(prior.log_softmax(2), logits, sampling_logits)
            for name, value in losses.items():
                terms[name] = terms[name] + value if name in terms else value
            learned.append(logits)
            count = posterior.shape[1]
            if count and self.training:
                random = torch.rand(logits.shape[:2], generator=generator).to(logits.device)
                replaced = (random < self.random_share)[..., None]
                sampling_logits = sampling_logits.masked_fill(replaced, 0.0)
            drawn.append(
                straight_through(logits, sampling_logits, generator) if count else posterior
            )
        return Chosen(*drawn), terms, learned[0]

    def point_loss(self, places: Tensor, chosen: Chosen, error: Tensor) -> Tensor:
        """The loss (B,) that points places at the patches where a frame that was decoded with
        `chosen` differs most from the next frame: places (B, V, N) are the posterior's
        log-probabilities, error (B, 1, H, W) is squared.

        A place is learned only once the decoder heeds it, and heeded only once it is learned, so
        with some seeds neither came about and chance was painted as its faint mean. The error knows
        the place before both, and vanishes with them. That of the chosen patch is left out: what is
        painted at a stray place is no reason to choose it.
        """
        by_patch = F.avg_pool2d(error.detach(), self.patch).flatten(1)  # (B, N)
        missing = by_patch * (1 - chosen.places.detach().amax(1))
        return -(missing[:, None] * places).sum(2).mean(1)

    def kl_losses(
        self, prior: Tensor, logits: Tensor, sampling_logits: Tensor
    ) -> dict[str, Tensor]:
        """Losses (B,) of log-probabilities (B, V, N): of the prior, of the posterior, and of the
        scaled posterior that is drawn from.
        """
        settings = self.settings
        return {
            "prior": settings.prior_weight * divergence(sampling_logits.detach(), prior),
            "posterior": settings.posterior_weight * divergence(sampling_logits, prior.detach()),
            "entropy": settings.entropy_weight * (logits.exp() * logits).sum((1, 2)),
        }


class CategoricalHead(nn.Module):
    """Tokens (B, D, G, G) -> logits (B, M, C) of what the whole frame decides."""

    def __init__(self, width: int, codes: int, categories: int):
        super().__init__()
        self.codes, self.out = codes, nn.Linear(2 * width, codes * categories)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(pool(tokens)).unflatten(1, (self.codes, -1))


def straight_through(logits: Tensor, sampling_logits: Tensor, generator: torch.Generator) -> Tensor:
    """A one-hot draw from `sampling_logits` whose gradient is that of the softmax of `logits`.

    (B, V, N) log-probabilities -> (B, V, N). The draw is made in single precision: in bfloat16 one
    uniform number in 512 is rounded to 1 and wins whatever the logits say, so that of 256 places
    40 % of the draws would be of no meaning.
    """
    uniform = torch.rand(sampling_logits.shape, generator=generator).to(sampling_logits.device)
    gumbel = -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))
    one_hot = F.one_hot((sampling_logits + gumbel).argmax(2), sampling_logits.shape[2])
    probability = logits.exp()
    return one_hot + probability - probability.detach()


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) summed over the variables, (B,); p and q (B, V, N) log-probabilities."""
    return (p.exp() * (p - q)).sum((1, 2))
