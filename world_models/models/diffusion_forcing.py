"""Diffusion forcing: a frame-causal transformer learns clips in
which every frame has a noise level of its own.

So it can dream from any past, clean or not, frame after frame (Chen et al. 2024, arXiv:2407.01392),
on the straight paths of rectified flow. What it has read of the frames before is kept in a ring, so
every step costs the same.

B lanes or clips, K context frames, S steps after them, T = K + S, H x W x C a frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from world_models import frames as pixels
from world_models.diffusion.guidance import guide
from world_models.models.augment import damage
from world_models.models.forcing_config import (
    NO_FEATURES,
    ForcingConfig,
    ForcingState,
    Output,
    Sequence,
)
from world_models.models.next_frame import change_weights
from world_models.models.outcomes import (
    OUTCOMES,
    final_classes,
    likeliest_outcome,
    outcome_losses,
    wrong_frames,
)
from world_models.models.sampler_model import SampledModel
from world_models.networks.actions import not_given, put_null
from world_models.networks.causal_dit import CausalDiT
from world_models.networks.grid import OutcomeHead
from world_models.networks.kv_cache import CacheView, Encoded, append
from world_models.noise import Draws, NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    AugmentationOptions,
    Clips,
    Context,
    SamplingOptions,
    Transition,
    WorldSpec,
)

# the head learns from a predicted frame if its level was below this one, else from the real frame
SHOWN_T = 0.5


class ForcingModel(SampledModel):
    """A `WorldModel` with a memory of `window` - 1 frames."""

    kind = "forcing"
    config_class = ForcingConfig
    reward_values: Tensor  # (R,)
    final: Tensor  # (R,) bool

    def __init__(self, spec: WorldSpec, config: ForcingConfig):
        super().__init__(spec, config)
        self.context_length = config.context_length
        self.objective = config.objective
        self.sampler = config.sampler
        self.patch = config.network.patch
        self.colors, grid_shape = spec.frame_shape[2], spec.patch_grid(self.patch)
        self.network = CausalDiT(config.network, self.colors, spec.action_inputs, grid_shape)
        self.head = OutcomeHead(config.network, self.colors, len(spec.reward_values))
        self.register_buffer("reward_values", torch.tensor(spec.reward_values), persistent=False)
        self.register_buffer("final", final_classes(spec), persistent=False)

    @property
    def supported_options(self) -> frozenset[str]:
        return super().supported_options | {"guidance"}

    @property
    def default_options(self) -> SamplingOptions:
        return super().default_options._replace(guidance=self.config.guidance)

    @property
    def no_action(self) -> int | float:
        """What stands for every part of an action that is not given."""
        return self.spec.null_action

    def init(self, context: Context) -> ForcingState:
        """The state after a context of 0 to `window` - 1 frames. ValueError on another shape.

        An empty one, frames (B, 0, H, W, C) and actions (B, 0), starts from nothing: see `begin`.
        """
        lanes, length, most = *context.frames.shape[:2], self.config.network.window - 1
        expected = (lanes, max(0, length - 1), *self.spec.actions.row)
        if tuple(context.frames.shape[2:]) != self.spec.frame_shape or length > most:
            shape = f"(B, T, {', '.join(map(str, self.spec.frame_shape))}), T at most {most}"
            raise ValueError(
                f"a context has frames of shape {shape}, not {tuple(context.frames.shape)}"
            )
        if tuple(context.actions.shape) != expected:
            raise ValueError(
                f"a context has actions of shape {expected}, not {tuple(context.actions.shape)}"
            )
        memory = self.network.empty_cache(lanes)
        if not length:
            return ForcingState(memory, context.frames.new_zeros(lanes, 1, *self.spec.frame_shape))
        actions = self.led_by(context.actions)
        read = self.network.encode_clean(pixels.to_float(context.frames), actions)
        return ForcingState(append(memory, read), context.frames[:, -1:])

    def led_by(self, actions: Tensor) -> Tensor:
        """The actions (B, T - 1, *row) between T frames as those that led to each,
        none for the first: (B, T, *row).
        """
        none = actions.new_full((len(actions), 1, *actions.shape[2:]), self.no_action)
        return torch.cat((none, actions), 1)

    def begin(self, noise: NoiseStream, options: SamplingOptions = DEFAULT_OPTIONS) -> Transition:
        """A first frame dreamed from nothing, one for each lane of `noise`,
        and the state to go on from.
        """
        lanes, device = len(noise.seeds), self.reward_values.device
        frames = torch.zeros(lanes, 0, *self.spec.frame_shape, dtype=torch.uint8, device=device)
        action = not_given(self.spec.actions, lanes, device)
        nothing = Context(frames, action[:, None][:, :0])
        return self.step(self.init(nothing), action, noise, options)

    def step(
        self,
        state: ForcingState,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> Transition:
        """One step of every lane; see `protocols.WorldModel`. action (B,) int64.

        What is cached of the new frame is read from the finished one, rounded as it is shown.
        """
        past = self.encode_state(state, action, options)
        frame = pixels.to_uint8(self.draw(past, noise, options, self.objective))
        read = self.reread(past, frame)
        reward, termination, trust = self.outcome_logits(read.tokens, frame[:, None])
        chosen, over = likeliest_outcome(reward, termination, self.final)
        return Transition(
            ForcingState(append(state.memory, read), frame[:, None]),
            frame,
            self.reward_values[chosen],
            over,
            trust.sigmoid(),
        )

    def encode_state(
        self, state: ForcingState, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> CacheView:
        """The past as the transformer reads it; guidance doubles it later, in `draw`."""
        return self.network.read(state.memory, action)

    def draw(
        self, features: CacheView, noise: NoiseStream, options: SamplingOptions, objective: Any
    ) -> Tensor:
        """A next frame (B, C, H, W) in about [-1, 1]."""
        past: Any = features
        scale = self.guidance_for(options)
        if scale != 1:  # `guide` wants both halves in every leaf, the one with the action first
            none = torch.full_like(past.action, self.no_action)
            halves = zip(past, past._replace(action=none), strict=True)
            past = CacheView(*(torch.cat(pair) for pair in halves))
        height, width, _ = self.spec.frame_shape
        network: Any = guide(self.network, scale, self.no_action)
        draws = Draws(noise, (self.colors, height, width))
        return self.sampler_for(options)(objective, network, draws, past)

    def reread(self, past: CacheView, frame: Tensor) -> Encoded:
        """A clean pass over the new frame (B, H, W, C) uint8."""
        x = pixels.to_float(frame[:, None])
        return self.network.encode_clean(x, past.action[:, None], past)

    def outcome_logits(self, tokens: Tensor, frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of reward, termination and trust from clean tokens (B, T, P, D) and their frames
        (B, T, H, W, C) uint8; (B * T, ...) each.
        """
        return self.head(
            self.network.grid(tokens.flatten(0, 1)), pixels.stack(frames.flatten(0, 1)[:, None])
        )

    def outcome_probabilities(
        self, state: ForcingState, action: Tensor, frame: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The head's probabilities for a dreamed frame:
        reward classes (B, R) and termination (B,).
        """
        read = self.reread(self.network.read(state.memory, action), frame)
        reward, termination, _ = self.outcome_logits(read.tokens, frame[:, None])
        return reward.softmax(1), termination.sigmoid()

    def clip_losses(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Mean losses by name over all frames of the clips at once, context and steps; outcomes
        over the steps alone.

        The frames' losses are those of the clips as drawn; outcomes are learned at the rate
        of the game, by one over a clip's sampling weight. Raises ValueError on clips without
        `context_actions`.
        """
        sequence = self.sequence(clips, augmentation, steps, generator)
        t = self.sample_t(sequence.valid.shape, generator).to(sequence.frames)
        error, predicted = self.learn(sequence, t, generator)
        weight = (sequence.valid & (t > 0)).float()
        frame = (error * weight).sum() / weight.sum().clamp_min(1)
        return {"frame": frame, **self.outcomes(clips, sequence, t, predicted, steps)}

    def sequence(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> Sequence:
        """Clips of K + `steps` frames; in training a context may be damaged,
        and single actions are left out.
        """
        if clips.context_actions is None:
            raise ValueError(
                "clips without context_actions: this model also reads the actions between context "
                "frames"
            )
        length, device = self.context_length, self.reward_values.device
        frames = clips.frames[:, : length + steps]
        action = self.led_by(torch.cat((clips.context_actions, clips.actions[:, :steps]), 1))
        shown = frames
        if self.training:
            context = damage(
                frames[:, :length], augmentation.noise, augmentation.damage, self.patch, generator
            )
            shown = torch.cat((context, frames[:, length:]), 1)
            drop = torch.rand(action.shape[:2], generator=generator) < augmentation.action_dropout
            action = put_null(action, drop, self.no_action)
        valid = torch.cat(
            (torch.ones(len(frames), length, dtype=torch.bool), clips.valid[:, :steps]), 1
        )
        return Sequence(
            pixels.to_float(frames.to(device)),
            pixels.to_float(shown.to(device)),
            action.to(device),
            valid.to(device),
        )

    def sample_t(self, shape: Iterable[int], generator: torch.Generator) -> Tensor:
        """A level for every frame, (B, T), and 0 for the clean ones that a share
        of the clips begins with.
        """
        lanes, frames = shape
        clean = torch.randint(frames, (lanes,), generator=generator)
        clean = clean * (torch.rand(lanes, generator=generator) < self.config.clean)
        t = self.objective.sample_t((lanes, frames), generator)
        return torch.where(torch.arange(frames) < clean[:, None], 0.0, t)

    def learn(
        self, sequence: Sequence, t: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """The loss of every frame (B, T) and the predicted frames (B, T, C, H, W), without
        gradient.
        """
        real, noise = sequence.frames, torch.randn(sequence.frames.shape, generator=generator)
        noise = noise.to(real)
        x = torch.where(
            (t > 0)[..., None, None, None], self.objective.noised(real, t, noise), sequence.shown
        )
        output = Output(self.network.clip(x, t, sequence.action))
        error = self.objective.loss(output, real, t, noise, NO_FEATURES)
        pairs = (real[:, :-1].flatten(0, 1), real[:, 1:].flatten(0, 1))
        weight = change_weights(*pairs, self.patch, self.config.change_weight)
        weight = weight.unflatten(0, (len(real), -1))  # (B, T - 1, 1, H, W)
        error = torch.cat((error[:, :1], error[:, 1:] * weight), 1).mean((2, 3, 4))
        return error, self.objective.denoise(output, x, t, NO_FEATURES).detach()

    def outcomes(
        self, clips: Clips, sequence: Sequence, t: Tensor, predicted: Tensor, steps: int
    ) -> dict[str, Tensor]:
        """Mean losses of reward, termination and trust on frames as a dream shows them:
        predicted, or else real.

        A share of the clips is read again, all clean. Trust is learned on predicted frames alone:
        real ones are right.
        """
        count, length = math.ceil(self.config.outcome_share * len(t)), self.context_length
        mine = (t[:count] > 0) & (t[:count] < SHOWN_T)
        real, device = sequence.frames[:count], t.device
        shown = pixels.to_uint8(
            torch.where(mine[..., None, None, None], predicted[:count].to(real), real)
        )
        read = self.network.encode_clean(pixels.to_float(shown), sequence.action[:count])
        logits = self.outcome_logits(read.tokens[:, length:], shown[:, length:])
        wrong = wrong_frames(
            pixels.to_float(shown[:, length:]).flatten(0, 1),
            real[:, length:].flatten(0, 1),
            self.patch,
        )
        reward, over = (
            of[:count, :steps].flatten().to(device)
            for of in (clips.reward_classes, clips.terminations)
        )
        importance = (1 / clips.sampling_weight[:count]).to(device)
        weight = sequence.valid[:count, length:] * (importance / importance.mean())[:, None]
        own = {"trust", "wrong"}
        means = {}
        for name, value in outcome_losses(logits, reward, over, wrong).items():
            among = sequence.valid[:count, length:] & (mine[:, length:] if name in own else True)
            weights = weight if name in OUTCOMES else torch.ones_like(weight)
            means[name] = (value * (weights * among).flatten()).sum() / among.sum().clamp_min(1)
        return means
