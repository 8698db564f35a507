"""The deterministic pixel model: pictures and the actions between them in, the next F pictures out,
in one pass.

In a dream one action is known, so the first picture is used; `foresee` plays all F. What a step
cannot know, such as new ground at the edge, comes out as its mean.

B lanes, K context pictures, F pictures ahead, H x W x C a frame, c = C / stack colours of a
picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from world_models import frames as pixels
from world_models.diffusion.objectives import Regression
from world_models.diffusion.samplers import Direct
from world_models.models.next_frame import NextFrameModel, Step, StepLoss
from world_models.networks.film import FilmConfig, FilmNetwork
from world_models.noise import Draws, NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    AugmentationOptions,
    Clips,
    Context,
    Features,
    SamplingOptions,
    Transition,
    WorldSpec,
)


@dataclass(frozen=True)
class PixelConfig:
    """Settings of the model; what does not fit together is a ValueError that names what does."""

    network: FilmConfig = field(default_factory=FilmConfig)
    objective: Regression = field(default_factory=lambda: Regression("bce", motion_weight=5.0))
    context_length: int = 4  # pictures the model sees, and the actions between them
    stack: int = 1  # pictures in the channels of a frame, oldest first, where the game stacks them
    # share of training samples that know the actions to come; the others learn the next picture
    # only
    told: float = 0.5

    def __post_init__(self):
        if not 1 <= self.stack <= self.context_length:
            raise ValueError(
                f"a stack of {self.stack} does not come out of {self.context_length} context "
                "pictures"
            )
        if self.network.copies and self.objective.error == "bce":
            raise ValueError(
                "a network that copies paints pixels, not logits: its error is mse or huber, not "
                "bce"
            )


class Memory(NamedTuple):
    """The state: the last pictures and what led from one to the next."""

    frames: Tensor  # (B, K, H, W, c) uint8, oldest first
    actions: Tensor  # (B, K - 1) int64


class PixelModel(NextFrameModel):
    """See the module.

    Where the game stacks pictures, a frame is the last `stack` of them and only one is new.
    """

    kind = "pixel"
    config_class = PixelConfig

    def __init__(self, spec: WorldSpec, config: PixelConfig):
        super().__init__(spec, config.network, config.context_length, 0.0, config.stack)
        self.config, self.objective, self.sampler = config, config.objective, Direct()
        self.ahead, self.null_action = config.network.ahead, len(spec.action_names)
        channels = config.context_length * self.colours
        self.network = FilmNetwork(
            config.network, self.colours, channels, self.null_action, self.grid_shape
        )

    def init(self, context: Context) -> Memory:
        frames, stack = super().init(context).frames, self.config.stack
        newest = (
            frames[:, -1].unflatten(3, (stack, self.colours)).movedim(3, 1)
        )  # (B, stack, H, W, c)
        return Memory(
            torch.cat((frames[:, :-stack, ..., -self.colours :], newest), 1), context.actions
        )

    def step(
        self,
        state: Memory,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> Transition:
        options = self.resolve_options(options)
        features = self.encode_state(state, action, options)
        picture = pixels.to_uint8(self.predict(features, noise, options))
        frames = torch.cat((state.frames[:, 1:], picture[:, None]), 1)
        after = Memory(frames, torch.cat((state.actions, action[:, None]), 1)[:, 1:])
        frame = frames[:, -self.config.stack :].movedim(1, 3).flatten(3)  # (B, H, W, stack * c)
        return Transition(after, frame, *self.outcome(features, picture))

    def outcome_probabilities(
        self, state: Memory, action: Tensor, frame: Tensor
    ) -> tuple[Tensor, Tensor]:
        return self.beliefs(self.encode_state(state, action), frame[..., -self.colours :])

    def encode_state(
        self, state: Memory, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Features:
        return self.read(state, action[:, None])

    def foresee(self, state: Memory, actions: Tensor) -> Tensor:
        """The next F pictures in one pass, (B, F, H, W, c) uint8; actions (B, F) int64."""
        features = self.read(state, actions)
        return pixels.to_uint8(self.paint(features).unflatten(1, (self.ahead, self.colours)))

    def read(self, state: Memory, actions: Tensor) -> Features:
        """actions (B, up to F), the present one first; those after them are not known."""
        unknown = F.pad(actions, (0, self.ahead - actions.shape[1]), value=self.null_action)
        return self.encode(pixels.stack(state.frames), torch.cat((state.actions, unknown), 1))

    def encode(self, x: Tensor, action: Tensor) -> Features:
        """x (B, K * c, H, W), action (B, K - 1 + F); see `FilmNetwork.encode`."""
        return self.network.encode(x, action)

    def paint(self, features: Features) -> Tensor:
        """(B, F * c, H, W) in [-1, 1]."""
        last = features.last
        blank = last.new_zeros(len(last), self.ahead * self.colours, *last.shape[2:])
        return self.objective.denoise(self.network, blank, blank.new_zeros(len(blank)), features)

    def predict(
        self, features: Features, noise: NoiseStream, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Tensor:
        draws = Draws(noise, (self.ahead * self.colours, *features.last.shape[2:]))
        return self.sampler(self.objective, self.network, draws, features)[:, : self.colours]

    def clip_losses(
        self, clips: Clips, augmentation: AugmentationOptions, steps: int, generator
    ) -> dict[str, Tensor]:
        """See the base class.

        Raises ValueError where the clips are too short to learn F pictures from.
        """
        if clips.actions.shape[1] < self.ahead:
            given = clips.actions.shape[1]
            raise ValueError(
                f"{self.ahead} pictures ahead are learned from clips of as many steps, not of "
                f"{given}: "
                f"set rollout_steps={self.ahead} or model.network.ahead={given}"
            )
        clips = clips._replace(frames=clips.frames[..., -self.colours :])
        return super().clip_losses(clips, augmentation, steps, generator)

    def clip_step(
        self, clips: Clips, s: int, context: Tensor, dropout: float, generator: torch.Generator
    ) -> Step:
        """Step s with all the actions that it is told (B, K - 1 + F), and the F pictures (B, F, H,
        W, c) after it.

        A model in eval mode is told what a dream knows. A sample without its action is without any
        other too.
        """
        plain = super().clip_step(clips, s, context, 0.0, generator)
        actions = torch.cat((clips.context_actions, clips.actions), 1)[
            :, s : s + self.context_length
        ]
        last = clips.actions.shape[1] - 1
        later = torch.arange(s, s + self.ahead).clamp(
            max=last
        )  # past the end of a clip its last step, which is unknown
        inside = clips.valid[:, later] & (torch.arange(s, s + self.ahead) <= last)
        told = torch.rand(len(actions), generator=generator) < self.config.told * self.training
        known = torch.where(inside & told[:, None], clips.actions[:, later], self.null_action)
        actions = torch.cat((actions, known[:, 1:]), 1)
        if self.training and dropout:
            drop = torch.rand(len(actions), generator=generator) < dropout
            actions = torch.where(drop[:, None], self.null_action, actions)
        after = clips.frames[:, self.context_length + later]
        return plain._replace(
            action=actions.to(context.device), next_frame=after.to(context.device)
        )

    def step_loss(self, step: Step, generator: torch.Generator) -> StepLoss:
        features, target = self.encode(step.context, step.action), pixels.stack(step.next_frame)
        terms, painted = self.frame_loss(features, target, generator)
        return self.judged(step, features, (terms, painted), target[:, : self.colours])

    def frame_loss(
        self, features: Features, target: Tensor, generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """target (B, F * c, H, W); the loss is the mean over the pictures that follow from known
        actions.
        """
        error, painted = self.objective.learn(self.network, target, features, generator)
        error, known = (
            error.unflatten(1, (self.ahead, -1)).mean((2, 3, 4)),
            features.rest[1],
        )  # (B, F) each
        return {"frame": (error * known).sum(1) / known.sum(1)}, painted[:, : self.colours]
