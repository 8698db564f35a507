"""The chance-variable model: what is random is drawn once as a category,
the rest is decoded in one deterministic call.

A conditional variational autoencoder with discrete latents, see `chance_variables`. Things that
move by fractions of a pixel may be followed and drawn as sprites.

B lanes, K context frames, H x W x C a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor

from collectors.settings.parse import setting
from world_models import frames as pixels
from world_models.models.chance_variables import Chance, ChanceSettings, Chosen
from world_models.models.next_frame import NextFrameModel, Step, Window, change_weights
from world_models.models.palette import find_palette, to_palette
from world_models.networks.grid import ContextEncoder, FrameDecoder, GridConfig
from world_models.networks.sprites import Moves, Sprites, Track, reads_frames
from world_models.noise import NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    AugmentationOptions,
    Clips,
    Context,
    Features,
    LoadModel,
    ModelConfig,
    SamplingOptions,
    TrainingFrames,
    WorldSpec,
)


@dataclass(frozen=True)
class ChanceConfig(ModelConfig):
    """Settings of the chance-variable model."""

    grid: GridConfig = field(default_factory=GridConfig)
    chance: ChanceSettings = field(default_factory=ChanceSettings)
    context_length: int = setting(1, "frames the model sees")
    change_weight: float = setting(20.0, "extra weight of patches that change")
    point_weight: float = setting(
        0.0, "of the loss that points places at what the frame lacks; else some seeds use none"
    )
    most_colors: int = setting(
        0, "dreams are drawn in the colors of the recording where it has at most so many; 0: in any"
    )
    palette: int = setting(0, "how many these are; found in the recording")
    sprites: int = setting(
        0, "things followed to a fraction of a pixel and drawn over the decoded frame"
    )
    sprite_size: int = setting(9, "pixels along their sides")
    sprites_first: float = setting(
        0.0, "share of the training, at its start, in which only sprites learn: it is quicker"
    )


class SpriteWindow(NamedTuple):
    """The state of a model with sprites."""

    frames: Tensor  # (B, K, H, W, C) uint8, oldest first
    track: Track  # where things are in them


class ChanceModel(NextFrameModel):
    """One decoding call per step; see the module."""

    kind = "chance"
    full_precision = "sprites."  # positions to a hundredth of a pixel
    one_graph = True
    lanes_at_once = 16
    config_class = ChanceConfig

    def __init__(self, spec: WorldSpec, config: ChanceConfig):
        super().__init__(spec, config.grid, config.context_length, config.change_weight)
        if not config.chance.count:
            raise ValueError("a chance model needs at least one variable or code")
        self.config = config
        channels, actions = config.context_length * self.colors, spec.action_inputs
        self.encoder = ContextEncoder(config.grid, channels, actions, self.grid_shape)
        self.chance = Chance(config.chance, config.grid, self.colors)
        self.decoder = FrameDecoder(config.grid, self.colors)
        sizes = (
            config.sprites,
            config.sprite_size,
            spec.frame_shape,
            config.context_length,
            actions,
        )
        self.sprites = Sprites(*sizes) if config.sprites else None
        colors = torch.zeros(config.palette, self.colors)
        self.register_buffer("palette", colors, persistent=config.palette > 0)

    palette: Tensor  # (P, C) of whole numbers from 0 to 255

    @classmethod
    def build_for_training(
        cls, spec: WorldSpec, config: ChanceConfig, load: LoadModel, frames: TrainingFrames
    ) -> Self:
        """The colors are those of the frames."""
        found = find_palette(frames, config.most_colors) if config.most_colors else None
        model = cls.build(spec, replace(config, palette=0 if found is None else len(found)), load)
        if found is not None:
            model.palette.copy_(torch.from_numpy(found))
        return model

    def as_image(self, predicted: Tensor) -> Tensor:
        if not self.config.palette:
            return super().as_image(predicted)
        return to_palette(predicted, self.palette)

    def init(self, context: Context) -> Window | SpriteWindow:
        window = super().init(context)
        if self.sprites is None:
            return window
        return SpriteWindow(window.frames, self.sprites.track(pixels.stack(window.frames)))

    def remember(
        self, state: Window | SpriteWindow, action: Tensor, image: Tensor, features: Features
    ) -> Window | SpriteWindow:
        frames = torch.cat((state.frames[:, 1:], image[:, None]), 1)
        if self.sprites is None or isinstance(state, Window):
            return Window(frames)
        x = pixels.stack(image[:, None])
        return SpriteWindow(frames, self.sprites.extend(state.track, features.rest, x))

    def encode_state(
        self,
        state: Window | SpriteWindow,
        action: Tensor,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> Features:
        if self.sprites is None or isinstance(state, Window):
            return self.encode(pixels.stack(state.frames), action)
        features = self.encoder(pixels.stack(state.frames), action, self.colors)
        return features._replace(rest=self.sprites(state.track, action))

    def encode(self, context: Tensor, action: Tensor) -> Features:
        features = self.encoder(context, action, self.colors)
        if self.sprites is None:
            return features
        return features._replace(rest=self.sprites(self.sprites.track(context), action))

    def decode(self, features: Features, chosen: Chosen) -> Tensor:
        """A frame (B, C, H, W)."""
        frame = self.decoder(self.chance.condition_on(chosen, features.tokens), features.last)
        return frame if self.sprites is None else self.sprites.draw(frame, features.rest)

    def predict(
        self, features: Features, noise: NoiseStream, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Tensor:
        return self.decode(features, self.chance.draw(features.tokens, noise))

    def losses(
        self, step: Step, features: Features, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        chosen, terms, places = self.chance.sample_posterior(
            features.tokens, step.target, generator
        )
        frame = self.decode(features, chosen)
        weights = change_weights(features.last, step.target, self.patch, self.change_weight)
        error = ((frame - step.target) ** 2).mean(1, keepdim=True)
        if self.config.point_weight and self.config.chance.variables:
            point = self.chance.point_loss(places, chosen, error)
            terms["point"] = self.config.point_weight * point
        return {"frame": (error * weights).mean((1, 2, 3)), **terms}, frame

    def clip_losses(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """See `NextFrameModel`; sprites learn from the frames as they are,
        and alone at first where that is set.
        """
        self.chance.random_share.fill_(augmentation.random_chance)
        if self.sprites is None:
            return super().clip_losses(clips, augmentation, steps, generator)
        alone = self.training and augmentation.progress < self.config.sprites_first
        replay = self.sprites.replay
        if alone and replay is not None and not reads_frames(augmentation.progress):
            return self.sprites.replay_losses(replay, generator)
        losses = {} if alone else super().clip_losses(clips, augmentation, steps, generator)
        device, length = self.reward_values.device, clips.frames.shape[1]
        x = pixels.stack(clips.frames).to(device).unflatten(1, (length, self.colors))
        return losses | self.sprites.losses(
            x, clips.actions.to(device), clips.valid.to(device), generator
        )

    def training_state(self) -> dict:
        """The moves that sprites rehearse."""
        return (
            {}
            if self.sprites is None or self.sprites.replay is None
            else self.sprites.replay._asdict()
        )

    def load_training_state(self, state: dict) -> None:
        if not all(isinstance(value, Tensor) for value in state.values()):
            raise TypeError("recorded moves are tensors")
        if state and self.sprites is not None:
            self.sprites.replay = Moves(**state)
