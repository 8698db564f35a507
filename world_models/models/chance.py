"""The chance-variable model: what is random is drawn once as a category, the rest is painted in one deterministic call.

A conditional variational autoencoder with discrete latents: a prior reads context and action, in training a posterior
reads the next frame too, and a straight-through sample of it (Bengio, Leonard & Courville 2013, arXiv:1308.3432)
enters the decoder. The loss is the evidence bound with KL balancing (Hafner et al. 2021, "Mastering Atari with
discrete world models", eq. 2), arXiv:2010.02193.

B lanes, V variables, N categories (one a patch: N = G * G), D channels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models.models.next_frame import NextFrameModel
from world_models.networks.grid import Decoder, Encoder, GridConfig
from world_models.networks.layers import MixBlock, PatchEmbed
from world_models.noise import NoiseStream
from world_models.protocols import Features, NetworkConfig, WorldSpec

CHANCE_SALT = 1  # keeps these draws apart from the environment's choice of a start context (salt 0)


@dataclass(frozen=True)
class ChanceSettings:
    """Settings of the chance variables."""

    variables: int = 1  # independent categorical variables, each a place on the patch grid; 0: none
    prior_weight: float = 2e-2  # pull of the prior towards the posterior
    posterior_weight: float = 1e-4  # pull of the posterior towards the prior
    entropy_weight: float = 3e-4  # pull of the posterior towards uniform: it tells nothing where chance does nothing
    posterior_scale: float = 5.0  # of its logits: without it a few percent of its draws go astray


class Chance(nn.Module):
    """What is random in a step: V categories, drawn from the prior in a dream and from the posterior in training."""

    def __init__(self, settings: ChanceSettings, grid: NetworkConfig, colours: int):
        super().__init__()
        self.settings, width = settings, grid.width
        self.prior = nn.Sequential(MixBlock(width), nn.Conv2d(width, settings.variables, 1))
        self.seen = PatchEmbed(colours, width, grid.patch)
        self.posterior = nn.Sequential(MixBlock(width), nn.SiLU(), nn.Conv2d(width, settings.variables, 1))
        self.paint = nn.Conv2d(settings.variables, width, 1, bias=False)

    def painted(self, chance: Tensor, tokens: Tensor) -> Tensor:
        """tokens (B, D, G, G) with the places chance (B, V, N), one-hot, marked in them."""
        return tokens + self.paint(chance.unflatten(2, tokens.shape[2:]))

    def draw(self, tokens: Tensor, noise: NoiseStream) -> Tensor:
        """Places (B, V, N), one-hot, from the prior."""
        logits = self.prior(tokens).flatten(2)
        draws = [noise.categorical(logits[:, v], CHANCE_SALT + v) for v in range(self.settings.variables)]
        return F.one_hot(torch.stack(draws, 1), logits.shape[2]).to(logits)

    def look(self, tokens: Tensor, target: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Places (B, V, N) from the posterior, which sees the next frame target (B, C, H, W), and losses (B,)."""
        settings = self.settings
        prior = self.prior(tokens).flatten(2).log_softmax(2)  # (B, V, N)
        seen = self.posterior(tokens + self.seen(target)).flatten(2)
        posterior = (settings.posterior_scale * seen).log_softmax(2)
        terms = {
            "prior": settings.prior_weight * divergence(posterior.detach(), prior),
            "posterior": settings.posterior_weight * divergence(posterior, prior.detach()),
            "entropy": settings.entropy_weight * (posterior.exp() * posterior).sum((1, 2)),
        }
        return straight_through(posterior, generator), terms


@dataclass(frozen=True)
class ChanceConfig:
    """Settings of the chance-variable model."""

    grid: GridConfig = field(default_factory=GridConfig)
    chance: ChanceSettings = field(default_factory=ChanceSettings)
    context_length: int = 1  # frames the model sees
    change_weight: float = 20.0  # extra weight of patches that change


class ChanceModel(NextFrameModel):
    """One decoding call a step; see the module."""

    kind = "chance"
    config_class = ChanceConfig

    def __init__(self, spec: WorldSpec, config: ChanceConfig):
        super().__init__(spec, config.grid, config.context_length, config.change_weight)
        if config.chance.variables < 1:
            raise ValueError(f"a chance model needs at least one variable, got {config.chance.variables}")
        self.config = config
        channels = config.context_length * self.colours
        self.encoder = Encoder(config.grid, channels, len(spec.action_names), self.grid_shape)
        self.chance = Chance(config.chance, config.grid, self.colours)
        self.decoder = Decoder(config.grid, self.colours)

    def encode(self, x: Tensor, action: Tensor) -> Features:
        return self.encoder(x, action, self.colours)

    def decode(self, features: Features, chance: Tensor) -> Tensor:
        """chance (B, V, N) one-hot -> frame (B, C, H, W)."""
        return self.decoder(self.chance.painted(chance, features.tokens), features.last)

    def sample(self, features: Features, noise: NoiseStream) -> Tensor:
        return self.decode(features, self.chance.draw(features.tokens, noise))

    def frame_loss(self, features: Features, target: Tensor, generator) -> tuple[dict[str, Tensor], Tensor]:
        chance, terms = self.chance.look(features.tokens, target, generator)
        frame = self.decode(features, chance)
        error = ((frame - target) ** 2 * self.change_weights(features.last, target)).mean((1, 2, 3))
        return {"frame": error, **terms}, frame


def straight_through(log_probability: Tensor, generator: torch.Generator) -> Tensor:
    """A one-hot draw whose gradient is that of the probabilities. (B, V, N) log-probabilities -> (B, V, N)."""
    uniform = torch.rand(log_probability.shape, generator=generator).to(log_probability)
    gumbel = -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))
    hard = F.one_hot((log_probability + gumbel).argmax(2), log_probability.shape[2])
    soft = log_probability.exp()
    return hard + soft - soft.detach()


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) summed over the variables, (B,); p and q (B, V, N) log-probabilities."""
    return (p.exp() * (p - q)).sum((1, 2))
