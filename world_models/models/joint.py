"""State and action optimized together: the pair (latent next state, action) rests
where a learned field is zero.

Equilibrium matching (Wang & Du 2025, arXiv:2510.02300) over pairs, from the newest frame.
With the action held the pair comes to rest at what the action does: a world model. With nothing
held it comes to rest at an action that an expert takes and at what that does: a policy. How far
from rest a pair is measures how unusual it is.

The latent is a small vector for every cell. It is the latent of an autoencoder that learns beside
the field: its decoder must draw the cells, it gets no gradient from the field, and its variance is
drawn towards 1, so it cannot collapse to a point that would be easy to predict. What is random in a
step, as the place of new food, is drawn first by chance variables (see `chance`); the field's own
noise decides between equally good actions.

B lanes, C colors, Z numbers a cell, G x G cells, V numbers an action (see `vector_of`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from world_models import frames as pixels
from world_models.diffusion.objectives import Objective
from world_models.diffusion.trajectory import RecordingField
from world_models.lanes import take_lanes
from world_models.models.augment import rarity
from world_models.models.chance_variables import Chance, Chosen
from world_models.models.joint_config import JointConfig
from world_models.models.next_frame import NextFrameModel, Step, Window, change_weights
from world_models.models.sampler_model import SampledModel
from world_models.networks.actions import (
    absent,
    embed_actions,
    nearest_action,
    not_given,
    vector_of,
    vector_width,
)
from world_models.networks.blocks import trunk
from world_models.networks.eqm_field import EqMField, FrameCodec, TransformerEncoder
from world_models.networks.modulation import modulate
from world_models.noise import Draws, NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    Features,
    SamplingOptions,
    WorldSpec,
)

ACTION_DEPTH = 2  # mixing blocks that know the action
PAIR_SALT = 128  # keeps the draws of free descent apart from those of a held action


class Joint(NamedTuple):
    """A pair at rest, and what was computed from it."""

    action: Tensor  # (B, *row) encoded
    action_logits: Tensor  # (B, V): where the descent put the action, 1 in place of a one-hot 1
    next_frame: Tensor  # (B, H, W, C) uint8
    latent: Tensor  # (B, Z, G, G), what the frame was decoded from
    # (B,) of the unheld field at the pair, of the latents' and the action's alike: uncertainty
    gradient_norm: Tensor
    energy: Tensor  # (B,) see `EqMField.energies`
    # pairs (B, Z G G + V) of the descent, first to last, if asked for
    trajectory: tuple[Tensor, ...] = ()
    gradient_norms: tuple[Tensor, ...] = ()  # (B,) each, of the field at these pairs


def fixed(pair: Tensor) -> Any:
    """Draws for a sampler that starts where another descent has ended, at a pair (B, ...)."""
    return lambda number: pair


class JointModel(NextFrameModel, SampledModel):
    """See the module. A policy by `sample(frames, noise)`, a world model by `step`."""

    kind = "joint"
    config_class = JointConfig
    one_graph = True
    field: Any  # an EqMField, which a sampler takes for a network

    def __init__(self, spec: WorldSpec, config: JointConfig):
        super().__init__(spec, config.network, config.context_length, config.change_weight)
        self.config, self.objective, self.sampler = config, config.objective, config.sampler
        self.actions = spec.action_inputs
        self.action_width = vector_width(self.actions)
        channels = config.context_length * self.colors
        self.context_encoder = TransformerEncoder(config.network, channels, self.grid_shape)
        self.action = embed_actions(self.actions, 2 * config.network.width)
        # The field works cell by cell: what a move does to the cells around the head is worked out
        # here, once per step.
        self.action_trunk = trunk(config.network.width, ACTION_DEPTH, attention=False)
        self.frame_codec = FrameCodec(config.network, self.colors)
        self.field = EqMField(config.network, self.action_width)
        self.chance = (
            Chance(config.chance, config.network, self.colors) if config.chance.count else None
        )

    def encode(self, context: Tensor, action: Tensor) -> Features:
        """Tokens of context and action; rest = (tokens of the context alone, action (B, V), latents
        of the last frame).
        """
        last, tokens = context[:, -self.colors :], self.context_encoder(context)
        rest = (
            tokens,
            self._point(action),
            self._target(self.frame_codec.encode(last)),
        )
        return Features(self._act(rest[0], action), last, rest)

    def _target(self, latent: Tensor) -> Tensor:
        return latent.detach() if self.config.stop_gradient else latent

    def _act(self, tokens: Tensor, action: Tensor) -> Tensor:
        """Tokens of the context (B, D, G, G) with the action (B, *row) in them."""
        scale, shift = self.action(action)[:, :, None, None].chunk(2, 1)
        return self.action_trunk(modulate(tokens, scale, shift))

    def _point(self, action: Tensor) -> Tensor:
        """(B, *row) -> (B, V), in the precision of the weights: under autocast too, as a target."""
        return vector_of(action, self.actions).to(self.reward_values)

    def _no_action(self, frames: Tensor) -> Tensor:
        return not_given(self.spec.actions, len(frames), frames.device)

    def _encode_conditions(self, features: Features, chosen: Chosen | None) -> Features:
        """What the field reads to find what a given action does."""
        _, action, now = features.rest
        tokens = features.tokens
        if self.chance is not None and chosen is not None:
            tokens = self.chance.condition_on(chosen, tokens)
        return Features(tokens, features.last, (action, torch.ones_like(action[:, :1]), now))

    def _free(self, features: Features) -> Features:
        """What the field reads to find action and next state together."""
        tokens, action, now = features.rest
        unknown = (torch.zeros_like(action), torch.zeros_like(action[:, :1]), now)
        return Features(tokens, features.last, unknown)

    def _with_action(self, features: Features, action: Tensor) -> Features:
        """The features of the same context with another action (B, *row)."""
        tokens, _, now = features.rest
        rest = (tokens, self._point(action), now)
        return Features(self._act(tokens, action), features.last, rest)

    def sample(
        self,
        frames: Tensor,
        noise: NoiseStream,
        action: Tensor | None = None,
        return_trajectory: bool = False,
    ) -> Joint:
        """A pair at rest. frames (B, K, H, W, C) uint8;
        action (B, *row) is held, None lets it be found.

        The found action is then held, chance is drawn, and the latents go on from where they are.
        The trajectory is that of the free descent, or of the held one where the action was given.
        """
        given = self._no_action(frames) if action is None else action
        features = self.encode(pixels.stack(frames), given)
        logits, start = features.rest[1], Draws(noise, self.pair_shape)
        recorded: Any = RecordingField(self.field)
        if action is None:
            free = start._replace(salt=PAIR_SALT)
            pair = self.sampler(self.objective, recorded, free, self._free(features))
            logits, start = pair[:, -self.action_width :], fixed(pair)
            action = nearest_action(logits, self.actions)
            features = self._with_action(features, action)
        network = self.field if recorded.inputs or not return_trajectory else recorded
        latent = self.latent_of(self._rest(network, features, start, noise))
        norm, energy = self.residual(latent, features)
        kept = (tuple(recorded.inputs), tuple(recorded.norms)) if return_trajectory else ((), ())
        frame = pixels.to_uint8(self.frame_codec.decode(latent))
        return Joint(action, logits, frame, latent, norm, energy, *kept)

    def action_logits(self, frames: Tensor, noise: NoiseStream, starts: int) -> Tensor:
        """Where descents from several starts put the action, on average: logits (B, V).

        Where several moves are good the field has a minimum at each of them. One descent ends in
        any; most end in the best.
        """
        features = self._free(self.encode(pixels.stack(frames), self._no_action(frames)))
        draws = Draws(noise, self.pair_shape, PAIR_SALT)
        # (B * starts, ...)
        start = torch.stack([draws(number) for number in range(starts)], 1).flatten(0, 1)
        rows = torch.arange(len(frames), device=frames.device).repeat_interleave(starts)
        pair = self.sampler(self.objective, self.field, fixed(start), take_lanes(features, rows))
        return pair[:, -self.action_width :].unflatten(0, (len(frames), starts)).mean(1)

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
        """A pair (B, Z G G + V) at rest with the action of the features held."""
        start, sampler = Draws(noise, self.pair_shape), self.sampler_for(options)
        return sampler(objective, self.field, start, self._settled(features, noise))

    def _rest(self, network: Any, features: Features, start: Any, noise: NoiseStream) -> Tensor:
        """The same by a network that stands for the field, from a given start."""
        return self.sampler(self.objective, network, start, self._settled(features, noise))

    def _settled(self, features: Features, noise: NoiseStream) -> Features:
        """What the field needs to know once chance is drawn and the action is given."""
        chance = None if self.chance is None else self.chance.draw(features.tokens, noise)
        return self._encode_conditions(features, chance)

    def latent_of(self, pair: Tensor) -> Tensor:
        """The latents (B, Z, G, G) of pairs (B, Z G G + V)."""
        return self.field.split(pair, self.grid_shape)[0]

    def to_frame(self, x: Tensor) -> Tensor:
        return self.frame_codec.decode(self.latent_of(x))

    @property
    def pair_shape(self) -> tuple[int]:
        """(Z G G + V,): what is optimized."""
        return (
            self.config.network.latent * self.grid_shape[0] * self.grid_shape[1]
            + self.action_width,
        )

    def residual(self, latent: Tensor, features: Features) -> tuple[Tensor, Tensor]:
        """How far from rest pairs are, (B,) each: the norm of the unheld field and the energy."""
        pair, free = self.field.join(latent, features.rest[1]), self._free(features)
        square = self.field(pair, pair.new_zeros(len(pair)), free).square()
        norm = (
            square[:, : -self.action_width].mean(1) + square[:, -self.action_width :].mean(1)
        ).sqrt()
        return norm, self.field.energies(pair, free)

    def trust_signals(self, state: Window, action: Tensor, frame: Tensor) -> dict[str, Tensor]:
        return {"gradient_norm": self.uncertainty(state, action, frame)}

    def uncertainty(self, state: Window, action: Tensor, frame: Tensor) -> Tensor:
        """(B,): the gradient norm of the pair of an action and a next frame (B, H, W, C) uint8."""
        features = self.encode(pixels.stack(state.frames), action)
        latent = self.frame_codec.encode(pixels.stack(frame[:, None]))
        return self.residual(latent, features)[0]

    def losses(
        self, step: Step, features: Features, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Losses with the action held, with nothing held, and of the frame codec;
        the frame is decoded near rest.

        The free pair is learned where an expert acted; everybody is taken for one where `expert` is
        None.
        """
        latent, terms = self.codec_losses(step.target, generator)
        chance = None
        if self.chance is not None:
            chance, more, _ = self.chance.sample_posterior(features.tokens, step.target, generator)
            terms |= more
        pair = self.field.join(latent, features.rest[1])
        error, predicted = self.objective.learn(
            self.field, pair, self._encode_conditions(features, chance), generator
        )
        terms["frame"] = self.latent_error(error, features.last, step.target)
        t = self.objective.sample_t((len(pair),), generator).to(pair)
        noise = torch.randn(pair.shape, generator=generator).to(pair)
        free = self.objective.loss(self.field, pair, t, noise, self._free(features))
        known = ~absent(step.action, self.actions)
        expert = (known if step.expert is None else known & step.expert).float()
        terms["pair"] = expert * self.latent_error(free, features.last, step.target)
        action_error = self.config.action_weight * free[:, -self.action_width :].mean(1)
        terms["action"] = expert * action_error
        return terms, self.to_frame(predicted)

    def codec_losses(
        self, target: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The latent of a frame (B, C, H, W) as the field's target,
        and the losses (B,) that keep it from collapse.

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
        """Errors (B, Z G G + V) of pairs -> (B,):
        the latents' share, cells that change weighing more.
        """
        cells = self.field.split(error, self.grid_shape)[0].mean(1, keepdim=True)
        weights = change_weights(last, target, self.patch, self.change_weight)
        return (cells * F.max_pool2d(weights, self.patch)).mean((1, 2, 3))
