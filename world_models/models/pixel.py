"""The deterministic pixel model: images and the actions between them in,
the next F images out, in one pass.

In a dream one action is known, so the first image is used; `foresee` plays all F. What a step
cannot know, such as new ground at the edge, comes out as its mean.

B lanes, K context images, F images ahead, H x W x C a frame, c = C / stack colors of a
image.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from collectors.settings.parse import setting
from world_models import frames as pixels
from world_models.diffusion.objectives import Regression
from world_models.models.next_frame import NextFrameModel, Step
from world_models.networks.actions import put_null
from world_models.networks.pixel_network import FilmConfig, FilmNetwork
from world_models.noise import NoiseStream, channels_last
from world_models.protocols import (
    DEFAULT_OPTIONS,
    Clips,
    Context,
    Features,
    ModelConfig,
    SamplingOptions,
    WorldSpec,
)


@dataclass(frozen=True)
class PixelConfig(ModelConfig):
    """Settings of the model; what does not fit together is a ValueError that names what does."""

    network: FilmConfig = field(default_factory=FilmConfig)
    objective: Regression = field(default_factory=lambda: Regression("bce", motion_weight=5.0))
    context_length: int = setting(4, "images the model reads, and the actions between them")
    stack: int = setting(
        1, "images in the channels of a frame, oldest first, where the game stacks them"
    )
    known_actions: float = setting(
        0.5, "share of samples that know the actions to come; the others learn the next image only"
    )

    def __post_init__(self):
        if not 1 <= self.stack <= self.context_length:
            raise ValueError(
                f"a stack of {self.stack} does not come out of {self.context_length} context images"
            )
        if self.network.copies and self.objective.error == "bce":
            raise ValueError(
                "a network that copies answers with pixels, not logits: its error is mse or "
                "huber, not bce"
            )


class PixelState(NamedTuple):
    """The state: the last images and what led from one to the next."""

    frames: Tensor  # (B, K, H, W, c) uint8, oldest first
    actions: Tensor  # (B, K - 1, *row), encoded


class PixelModel(NextFrameModel):
    """See the module.

    Where the game stacks images, a frame is the last `stack` of them and only one is new.
    """

    kind = "pixel"
    config_class = PixelConfig
    one_graph = True
    network: Any  # a module that is a `protocols.Network`

    def __init__(self, spec: WorldSpec, config: PixelConfig):
        super().__init__(spec, config.network, config.context_length, 0.0, config.stack)
        self.config, self.objective = config, config.objective
        self.ahead, self.null_action = config.network.ahead, spec.null_action
        channels = config.context_length * self.colors
        self.network = FilmNetwork(
            config.network, self.colors, channels, spec.action_inputs, self.grid_shape
        )

    def init(self, context: Context) -> PixelState:
        frames, stack = super().init(context).frames, self.stack
        # (B, stack, H, W, c): the images of the newest frame
        newest = frames[:, -1].unflatten(3, (stack, self.colors)).movedim(3, 1)
        images = torch.cat((frames[:, :-stack, ..., -self.colors :], newest), 1)
        return PixelState(images, context.actions)

    def remember(
        self, state: PixelState, action: Tensor, image: Tensor, features: Features
    ) -> PixelState:
        frames = torch.cat((state.frames[:, 1:], image[:, None]), 1)
        return PixelState(frames, torch.cat((state.actions, action[:, None]), 1)[:, 1:])

    def encode(self, context: Tensor, action: Tensor) -> Features:
        """context (B, K * c, H, W), action (B, K - 1 + F); see `FilmNetwork.encode`."""
        return self.network.encode(context, action)

    def encode_state(
        self, state: PixelState, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Features:
        return self.encode_actions(state, action[:, None])

    def encode_actions(self, state: PixelState, actions: Tensor) -> Features:
        """actions (B, up to F), the present one first; those after them are not known."""
        later = (len(actions), self.ahead - actions.shape[1], *actions.shape[2:])
        unknown = torch.cat((actions, actions.new_full(later, self.null_action)), 1)
        return self.encode(pixels.stack(state.frames), torch.cat((state.actions, unknown), 1))

    def predict(
        self, features: Features, noise: NoiseStream, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Tensor:
        return self.decode(features)[:, : self.colors]

    def decode(self, features: Features) -> Tensor:
        """The next F images, (B, F * c, H, W) in [-1, 1]."""
        last = features.last
        blank = last.new_zeros(len(last), self.ahead * self.colors, *last.shape[2:])
        blank = channels_last(blank)
        return self.objective.denoise(self.network, blank, blank.new_zeros(len(blank)), features)

    def foresee(self, state: PixelState, actions: Tensor) -> Tensor:
        """The next F images in one pass, (B, F, H, W, c) uint8; actions (B, F) int64."""
        images = self.decode(self.encode_actions(state, actions))
        return pixels.to_uint8(images.unflatten(1, (self.ahead, self.colors)))

    def losses(
        self, step: Step, features: Features, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The mean over the images that follow from known actions; step.target (B, F * c, H, W)."""
        error, predicted = self.objective.learn(self.network, step.target, features, generator)
        error = error.unflatten(1, (self.ahead, -1)).mean((2, 3, 4))  # (B, F)
        known = features.rest[1]  # (B, F)
        return {"frame": (error * known).sum(1) / known.sum(1)}, predicted[:, : self.colors]

    def clip_step(
        self, clips: Clips, s: int, context: Tensor, dropout: float, generator: torch.Generator
    ) -> Step:
        """Step s with all the actions that are known (B, K - 1 + F), and the F images after it.

        In eval mode a step knows what a dream knows. A sample without its action is without any
        other too. Raises ValueError where the clips are too short to learn F images from.
        """
        given, device = clips.actions.shape[1], context.device
        if given < self.ahead:
            raise ValueError(
                f"{self.ahead} images ahead are learned from clips of as many steps, not of "
                f"{given}: set rollout_steps={self.ahead} or model.network.ahead={given}"
            )
        plain = super().clip_step(clips, s, context, 0.0, generator)
        assert clips.context_actions is not None
        past = torch.cat((clips.context_actions, clips.actions), 1)[:, s : s + self.context_length]
        ahead = torch.arange(s, s + self.ahead)
        later = ahead.clamp(max=given - 1)  # past the end of a clip its last step, not known
        inside = clips.valid[:, later] & (ahead < given)
        informed = (
            torch.rand(len(past), generator=generator) < self.config.known_actions * self.training
        )
        unknown = ~(inside & informed[:, None])
        known = put_null(clips.actions[:, later], unknown, self.null_action)
        actions = torch.cat((past, known[:, 1:]), 1)
        if self.training and dropout:
            drop = torch.rand(len(actions), generator=generator) < dropout
            actions = put_null(actions, drop, self.null_action)
        images = clips.frames[:, self.context_length + later].to(device)  # (B, F, H, W, c)
        return plain._replace(action=actions.to(device), target=pixels.stack(images))
