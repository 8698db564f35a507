"""State and action optimised together: the pair (latent next state, action) rests where a learned
field is zero.

Equilibrium matching (Wang & Du 2025, arXiv:2510.02300) over pairs, from the frame that is seen now.
With the action held the pair comes to rest at what the action does: a world model. With nothing
held it comes to rest at an action that an expert takes and at what that does: a policy. How far
from rest a pair is tells how unusual it is.

The latent is a small vector for every cell. It is the latent of an autoencoder that learns beside
the field: its decoder must draw the cells, it gets no gradient from the field, and its variance is
drawn towards 1, so it cannot collapse to a point that would be easy to predict. What is random in a
step, as the place of new food, is drawn first by chance variables (see `chance`); the field's own
noise decides between equally good actions.

B lanes, C colours, Z numbers a cell, G x G cells, A actions.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from world_models import frames as pixels
from world_models.diffusion.objectives import EquilibriumMatching, Objective
from world_models.diffusion.samplers import Descent, check_fit
from world_models.lanes import take_lanes
from world_models.models.augment import rarity
from world_models.models.chance import Chance, ChanceSettings
from world_models.models.next_frame import NextFrameModel, Step, StepLoss
from world_models.models.sampled import SampledModel
from world_models.networks.blocks import trunk
from world_models.networks.eqm_field import EqMField, EqMFieldConfig, FrameCodec, TransformerEncoder
from world_models.networks.modulation import modulate
from world_models.noise import Draws, NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    Clips,
    Features,
    SamplingOptions,
    WorldSpec,
)

MOVED_DEPTH = 2  # mixing blocks that know the action
PAIR_SALT = 128  # keeps the draws of free descent apart from those of a held action


@dataclass(frozen=True)
class JointConfig:
    """Settings of the joint model."""

    network: EqMFieldConfig = field(default_factory=EqMFieldConfig)
    objective: EquilibriumMatching = field(
        default_factory=lambda: EquilibriumMatching("linear", multiplier=1.0)
    )
    sampler: Descent = field(
        default_factory=lambda: Descent(10, "nag", rate=0.5, momentum=0.3, threshold=0.02)
    )
    chance: ChanceSettings = field(
        default_factory=ChanceSettings
    )  # variables=0: the field's noise decides everything
    context_length: int = 1  # frames the model sees
    change_weight: float = 20.0  # extra weight of cells that change
    action_weight: float = 1.0  # of the action's share of the free pair's loss
    latent_noise: float = 0.3  # standard deviation under which the decoder must still draw a cell
    reconstruction: float = (
        1.0  # weight of what the autoencoder draws; 0 and 0 and False: the latent may collapse
    )
    variance: float = 0.1  # weight of the latent's variance target
    stop_gradient: bool = True  # the field does not pull at the latent that it is to predict

    def __post_init__(self):
        check_fit(self.objective, self.sampler)


class Joint(NamedTuple):
    """A pair at rest and what it says."""

    action: Tensor  # (B,) int64
    action_logits: Tensor  # (B, A): where the descent put the action, 1 in place of a one-hot 1
    next_frame: Tensor  # (B, H, W, C) uint8
    latent: Tensor  # (B, Z, G, G), what the frame was drawn from
    # (B,) of the unheld field at the pair, of the latents' and the action's alike: uncertainty
    gradient_norm: Tensor
    energy: Tensor  # (B,) see `EqMField.energies`
    trajectory: tuple[
        Tensor, ...
    ] = ()  # pairs (B, Z G G + A) of the descent, first to last, if asked for
    gradient_norms: tuple[Tensor, ...] = ()  # (B,) each, of the field at these pairs


class Recorded(nn.Module):
    """A field that keeps what it was asked and what it answered."""

    def __init__(self, network: EqMField):
        super().__init__()
        self.network, self.pairs, self.norms = network, [], []

    def forward(self, pair: Tensor, t: Tensor, features: Features) -> Tensor:
        answer = self.network(pair, t, features)
        self.pairs.append(pair)
        self.norms.append(answer.square().mean(1).sqrt())
        return answer


class From(NamedTuple):
    """Draws that start where another descent has ended."""

    pair: Tensor

    def __call__(self, number: int) -> Tensor:
        return self.pair


class JointModel(NextFrameModel, SampledModel):
    """See the module. A policy by `sample(frames, noise)`, a world model by `step`."""

    kind = "joint"
    config_class = JointConfig

    def __init__(self, spec: WorldSpec, config: JointConfig):
        super().__init__(spec, config.network, config.context_length, config.change_weight)
        self.config, self.objective, self.sampler = config, config.objective, config.sampler
        self.actions = len(spec.action_names)
        channels = config.context_length * self.colours
        self.context_encoder = TransformerEncoder(config.network, channels, self.grid_shape)
        self.action = nn.Embedding(
            self.actions + 1, 2 * config.network.width
        )  # the last row: no action given
        # The field works cell by cell: what a move does to the cells around the head is worked out
        # here, once a step.
        self.moved = trunk(config.network.width, MOVED_DEPTH, attention=False)
        self.frame_codec = FrameCodec(config.network, self.colours)
        self.field = EqMField(config.network, self.actions)
        self.chance = (
            Chance(config.chance, config.network, self.colours) if config.chance.count else None
        )

    def encode(self, x: Tensor, action: Tensor) -> Features:
        """Tokens of board and action; rest = (tokens of the board alone, action (B, A), latents of
        the last frame).
        """
        board, last = self.context_encoder(x), x[:, -self.colours :]
        now = self._target(self.frame_codec.encode(last))
        return Features(self._with(board, action), last, (board, self._one_hot(action), now))

    def _target(self, latent: Tensor) -> Tensor:
        return latent.detach() if self.config.stop_gradient else latent

    def _with(self, board: Tensor, action: Tensor) -> Tensor:
        scale, shift = self.action(action)[:, :, None, None].chunk(2, 1)
        return self.moved(modulate(board, scale, shift))

    def _one_hot(self, action: Tensor) -> Tensor:
        """(B,) int64 -> (B, A); no action is none more than another, 1 / A each."""
        rows = torch.eye(self.actions, device=action.device, dtype=self.action.weight.dtype)
        return torch.cat((rows, rows.mean(0, keepdim=True)))[action]

    def _held(self, features: Features, chance: Tensor | None) -> Features:
        """What the field needs to know to find what a given action does."""
        _, given, now = features.rest
        tokens = features.tokens if chance is None else self.chance.painted(chance, features.tokens)
        return Features(tokens, features.last, (given, torch.ones_like(given[:, :1]), now))

    def _free(self, features: Features) -> Features:
        """What the field needs to know to find action and next state together."""
        board, given, now = features.rest
        return Features(
            board, features.last, (torch.zeros_like(given), torch.zeros_like(given[:, :1]), now)
        )

    def sample(
        self,
        frames: Tensor,
        noise: NoiseStream,
        action: Tensor | None = None,
        return_trajectory: bool = False,
    ) -> Joint:
        """A pair at rest. frames (B, K, H, W, C) uint8; action (B,) int64 is held, None lets it be
        found.

        The found action is then held, chance is drawn, and the latents go on from where they are.
        The trajectory is that of the free descent, or of the held one where the action was given.
        """
        none = torch.full((len(frames),), self.actions, device=frames.device)
        features = self.encode(pixels.stack(frames), none if action is None else action)
        logits, recorded, start = (
            features.rest[1],
            Recorded(self.field),
            Draws(noise, self.pair_shape),
        )
        if action is None:
            pair = self.sampler(
                self.objective, recorded, start._replace(salt=PAIR_SALT), self._free(features)
            )
            logits, start = pair[:, -self.actions :], From(pair)
            action = logits.argmax(1)
            features = self._told(features, action)
        network = self.field if recorded.pairs or not return_trajectory else recorded
        latent = self.latent_of(self._rest(network, features, start, noise))
        norm, energy = self._restless(latent, features)
        kept = (tuple(recorded.pairs), tuple(recorded.norms)) if return_trajectory else ((), ())
        frame = pixels.to_uint8(self.frame_codec.decode(latent))
        return Joint(action, logits, frame, latent, norm, energy, *kept)

    def opinion(self, frames: Tensor, noise: NoiseStream, starts: int) -> Tensor:
        """Where descents from several starts put the action, on average: logits (B, A).

        Where A* would hesitate the field has a minimum a move, and one descent falls into any; most
        fall into the best.
        """
        none = torch.full((len(frames),), self.actions, device=frames.device)
        features = self._free(self.encode(pixels.stack(frames), none))
        draws = Draws(noise, self.pair_shape, PAIR_SALT)
        start = torch.stack([draws(number) for number in range(starts)], 1).flatten(
            0, 1
        )  # (B * starts, ...)
        rows = torch.arange(len(frames), device=frames.device).repeat_interleave(starts)
        pair = self.sampler(self.objective, self.field, From(start), take_lanes(features, rows))
        return pair[:, -self.actions :].unflatten(0, (len(frames), starts)).mean(1)

    def predict(
        self, features: Features, noise: NoiseStream, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Tensor:
        return self.to_frame(self.draw(features, noise, options, self.objective))

    def draw(
        self,
        features: Features,
        noise: NoiseStream,
        options: SamplingOptions,
        objective: Objective,
    ) -> Tensor:
        """A pair (B, Z G G + A) at rest with the action of the features held."""
        start, sampler = Draws(noise, self.pair_shape), self.sampler_for(options)
        return sampler(objective, self.field, start, self._settled(features, noise))

    def _rest(self, network: nn.Module, features: Features, start, noise: NoiseStream) -> Tensor:
        """The same by a network that stands for the field, from a given start."""
        return self.sampler(self.objective, network, start, self._settled(features, noise))

    def _settled(self, features: Features, noise: NoiseStream) -> Features:
        """What the field needs to know once chance is drawn and the action is given."""
        chance = None if self.chance is None else self.chance.draw(features.tokens, noise)
        return self._held(features, chance)

    def latent_of(self, pair: Tensor) -> Tensor:
        """The latents (B, Z, G, G) of pairs (B, Z G G + A)."""
        return self.field.split(pair, self.grid_shape)[0]

    def to_frame(self, x: Tensor) -> Tensor:
        return self.frame_codec.decode(self.latent_of(x))

    @property
    def pair_shape(self) -> tuple[int]:
        """(Z G G + A,): what is optimised."""
        return (
            self.config.network.latent * self.grid_shape[0] * self.grid_shape[1] + self.actions,
        )

    def _told(self, features: Features, action: Tensor) -> Features:
        board, _, now = features.rest
        return Features(
            self._with(board, action), features.last, (board, self._one_hot(action), now)
        )

    def _restless(self, latent: Tensor, features: Features) -> tuple[Tensor, Tensor]:
        """How far from rest pairs are, (B,) each: the norm of the unheld field and the energy."""
        pair, free = self.field.join(latent, features.rest[1]), self._free(features)
        square = self.field(pair, pair.new_zeros(len(pair)), free).square()
        norm = (square[:, : -self.actions].mean(1) + square[:, -self.actions :].mean(1)).sqrt()
        return norm, self.field.energies(pair, free)

    def uncertainty(self, frames: Tensor, action: Tensor, next_frame: Tensor) -> Tensor:
        """(B,): the gradient norm of the pair of an action and a next frame (B, H, W, C) uint8."""
        features = self.encode(pixels.stack(frames), action)
        latent = self.frame_codec.encode(pixels.stack(next_frame[:, None]))
        return self._restless(latent, features)[0]

    def frame_loss(
        self, features: Features, target: Tensor, generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses with the action held, with nothing held, and of the autoencoder; the frame is
        drawn near rest.
        """
        latent, terms = self.code(target, generator)
        chance = None
        if self.chance is not None:
            chance, more = self.chance.look(features.tokens, target, generator)
            terms |= more
        pair = self.field.join(latent, features.rest[1])
        error, painted = self.objective.learn(
            self.field, pair, self._held(features, chance), generator
        )
        terms["frame"] = self.latent_error(error, features.last, target)
        t, noise = (
            self.objective.sample_t((len(pair),), generator),
            torch.randn(pair.shape, generator=generator),
        )
        loose = self.objective.loss(
            self.field, pair, t.to(pair), noise.to(pair), self._free(features)
        )
        terms["pair"] = self.latent_error(loose, features.last, target)
        terms["action"] = self.config.action_weight * loose[:, -self.actions :].mean(1)
        return terms, self.frame_codec.decode(self.field.split(painted, self.grid_shape)[0])

    def code(self, target: Tensor, generator) -> tuple[Tensor, dict[str, Tensor]]:
        """The latent of a frame (B, C, H, W) as the field's target, and the losses (B,) that keep
        it from collapse.

        Every kind of cell of a frame counts the same, however many cells are alike.
        """
        config, latent = self.config, self.frame_codec.encode(target)
        weight = rarity(pixels.to_uint8(target), self.patch)  # (B, G * G)
        weight = weight / weight.sum(1, keepdim=True)
        grain = config.latent_noise * torch.randn(latent.shape, generator=generator).to(latent)
        error = (
            F.avg_pool2d((self.frame_codec.decode(latent + grain) - target) ** 2, self.patch)
            .mean(1)
            .flatten(1)
        )
        flat, share = latent.flatten(2), weight[:, None] / len(weight)
        mean = (flat * share).sum((0, 2), keepdim=True)
        spread = ((flat - mean) ** 2 * share).sum((0, 2))  # (Z,)
        losses = {
            "reconstruction": config.reconstruction * (error * weight).sum(1),
            "variance": (config.variance * (spread - 1) ** 2).mean().expand(len(target)),
        }
        return self._target(latent), losses

    def latent_error(self, error: Tensor, last: Tensor, target: Tensor) -> Tensor:
        """Errors (B, Z G G + A) of pairs -> (B,): the latents' share, cells that change weighing
        more.
        """
        cells = self.field.split(error, self.grid_shape)[0].mean(1, keepdim=True)
        return (cells * F.max_pool2d(self.change_weights(last, target), self.patch)).mean((1, 2, 3))

    def step_loss(self, step: Step, generator: torch.Generator) -> StepLoss:
        """See `NextFrameModel`. The free pair is learned where an expert acted, as everybody is
        taken to be unless it is said."""
        loss = super().step_loss(step, generator)
        told = step.action < self.actions
        expert = (told if step.expert is None else told & step.expert).float()
        loss.terms.update({name: expert * loss.terms[name] for name in ("pair", "action")})
        return loss

    def clip_step(
        self, clips: Clips, s: int, context: Tensor, dropout: float, generator: torch.Generator
    ) -> Step:
        step = super().clip_step(clips, s, context, dropout, generator)
        if clips.expert is None:
            return step
        return step._replace(expert=clips.expert.to(context.device) & (s == 0))
