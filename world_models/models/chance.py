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
from world_models.protocols import Features, WorldSpec

CHANCE_SALT = 1  # keeps these draws apart from the environment's choice of a start context (salt 0)


@dataclass(frozen=True)
class ChanceConfig:
    """Settings of the chance-variable model."""

    grid: GridConfig = field(default_factory=GridConfig)
    context_length: int = 1  # frames the model sees
    variables: int = 1  # independent categorical variables, each a place on the patch grid
    prior_weight: float = 2e-2  # pull of the prior towards the posterior
    posterior_weight: float = 1e-4  # pull of the posterior towards the prior
    entropy_weight: float = (
        3e-4  # pull of the posterior towards uniform: where chance decides nothing, it tells nothing
    )
    posterior_scale: float = 2.0  # of its logits: without it a few percent of its draws go astray
    change_weight: float = 20.0  # extra weight of patches that change


class ChanceModel(NextFrameModel):
    """One decoding call a step; see the module."""

    kind = "chance"
    config_class = ChanceConfig

    def __init__(self, spec: WorldSpec, config: ChanceConfig):
        super().__init__(spec, config.grid, config.context_length, config.change_weight)
        self.config = config
        width, patch = config.grid.width, config.grid.patch
        self.encoder = Encoder(config.grid, config.context_length * self.colours, len(spec.action_names))
        self.prior = nn.Sequential(MixBlock(width), nn.Conv2d(width, config.variables, 1))
        self.seen = PatchEmbed(self.colours, width, patch)
        self.posterior = nn.Sequential(MixBlock(width), nn.SiLU(), nn.Conv2d(width, config.variables, 1))
        self.paint = nn.Conv2d(config.variables, width, 1, bias=False)
        self.decoder = Decoder(config.grid, self.colours)

    def features(self, x: Tensor, action: Tensor) -> Features:
        return self.encoder(x, action, self.colours)

    def decode(self, features: Features, chance: Tensor) -> Tensor:
        """chance (B, V, N) one-hot -> frame (B, C, H, W)."""
        return self.decoder(features.tokens + self.paint(chance.unflatten(2, self.grid_shape)), features.last)

    def sample(self, features: Features, noise: NoiseStream) -> Tensor:
        logits = self.prior(features.tokens).flatten(2)  # (B, V, N)
        draws = [noise.categorical(logits[:, v], CHANCE_SALT + v) for v in range(self.config.variables)]
        return self.decode(features, F.one_hot(torch.stack(draws, 1), logits.shape[2]).to(logits))

    def frame_loss(self, features: Features, target: Tensor, generator) -> tuple[dict[str, Tensor], Tensor]:
        prior = self.prior(features.tokens).flatten(2).log_softmax(2)  # (B, V, N)
        seen = self.posterior(features.tokens + self.seen(target)).flatten(2)
        posterior = (self.config.posterior_scale * seen).log_softmax(2)
        frame = self.decode(features, straight_through(posterior, generator))
        terms = {
            "frame": ((frame - target) ** 2 * self.change_weights(features.last, target)).mean((1, 2, 3)),
            "prior": self.config.prior_weight * divergence(posterior.detach(), prior),
            "posterior": self.config.posterior_weight * divergence(posterior, prior.detach()),
            "entropy": self.config.entropy_weight * (posterior.exp() * posterior).sum((1, 2)),
        }
        return terms, frame


def straight_through(log_probability: Tensor, generator: torch.Generator) -> Tensor:
    """A one-hot draw whose gradient is that of the probabilities. (B, V, N) log-probabilities -> (B, V, N)."""
    uniform = torch.rand(log_probability.shape, generator=generator, device=log_probability.device)
    gumbel = -torch.log(-torch.log(uniform.clamp(1e-9, 1 - 1e-7)))
    hard = F.one_hot((log_probability + gumbel).argmax(2), log_probability.shape[2])
    soft = log_probability.exp()
    return hard + soft - soft.detach()


def divergence(p: Tensor, q: Tensor) -> Tensor:
    """KL(p || q) summed over the variables, (B,); p and q (B, V, N) log-probabilities."""
    return (p.exp() * (p - q)).sum((1, 2))
