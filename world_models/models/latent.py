"""The latent model: a frozen autoencoder, and in its latents any network
with any objective and sampler.

Rombach et al. 2022, "High-resolution image synthesis with latent diffusion models",
arXiv:2112.10752, for next frames. It learns in two stages, by one run or by two: the autoencoder
alone; then, with the autoencoder frozen, the rest.

B lanes, K context frames, H x W x C a frame, Z latent channels on an h x w grid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Self

import torch
from torch import Tensor

from collectors.settings.parse import setting
from world_models import frames as pixels
from world_models.diffusion.objectives import DDPM, OBJECTIVES, FlowMatching, Objective, Regression
from world_models.diffusion.samplers import SAMPLERS, Euler, Sampler
from world_models.models.diffusion import DiffusionConfig, DiffusionModel
from world_models.models.next_frame import Step
from world_models.networks import NETWORK_CONFIGS
from world_models.networks.autoencoder import Autoencoder, AutoencoderConfig
from world_models.networks.grid import GridConfig
from world_models.noise import channels_last
from world_models.protocols import (
    DEFAULT_OPTIONS,
    AugmentationOptions,
    Clips,
    Context,
    Features,
    NetworkConfig,
    SamplingOptions,
    WorldSpec,
)


@dataclass(frozen=True)
class LatentConfig(DiffusionConfig):
    """Settings of the model: those of the diffusion model are of latents where they name frames, so
    patches are of latents. What does not fit latents is a ValueError.
    """

    network: NetworkConfig = setting(
        factory=lambda: GridConfig(patch=1), kinds=NETWORK_CONFIGS, help="what predicts latents"
    )
    objective: Objective = setting(
        factory=FlowMatching,
        kinds=OBJECTIVES,
        help="what it is trained to predict, at which noise levels",
    )
    sampler: Sampler = setting(
        factory=lambda: Euler(4), kinds=SAMPLERS, help="the steps from noise to latents"
    )
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    autoencoder_share: float = setting(
        0.4, "of the training, the first part: the autoencoder's; 0: init_from brings one"
    )

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.autoencoder_share <= 1:
            raise ValueError(
                "autoencoder_share is a share of the training, 0 to 1, not "
                f"{self.autoencoder_share}"
            )
        if isinstance(self.objective, DDPM) and self.objective.clamp:
            raise ValueError(
                "latents go beyond [-1, 1]: DDPM needs objective.clamp=false in a latent model"
            )
        if isinstance(self.objective, Regression) and self.objective.error == "bce":
            raise ValueError(
                "latents are no brightness: regression has error mse or huber in a latent model, "
                "not bce"
            )
        if self.change_weight:
            raise ValueError(
                f"change_weight counts pixels; in a latent model it is 0, not {self.change_weight}"
            )

    def check_run(self, weights: str) -> None:
        if not (self.autoencoder_share or weights):
            raise ValueError(
                "a latent model needs its autoencoder: train it in the same run "
                "(model.autoencoder_share=0.4), or give "
                "a bundle that has one (init_from=runs/coinrun-latent/bundle)"
            )


class LatentWindow(NamedTuple):
    """The state: the last frames, and their latents, so that each frame is encoded once."""

    frames: Tensor  # (B, K, H, W, C) uint8, oldest first
    latents: Tensor  # (B, K, Z, h, w) float32


class LatentModel(DiffusionModel):
    """Dreams latents and decodes them.

    A dreamed frame is quantised and encoded anew before it is fed back, although its latents are at
    hand: so a state follows from its frames alone, a dream and a recording look alike to the
    network, and what the decoder cannot show is not remembered. It costs one encoding per step.
    """

    kind = "latent"
    config_class = LatentConfig
    config: LatentConfig

    def __init__(self, spec: WorldSpec, config: LatentConfig):
        super().__init__(
            spec, config, config.autoencoder.latent_channels, config.autoencoder.downsample
        )
        self.autoencoder = Autoencoder(config.autoencoder, self.colors).requires_grad_(False)

    @property
    def given_weights(self) -> str:
        """The autoencoder's, where this run does not learn them."""
        return "" if self.config.autoencoder_share else "autoencoder."

    def latents(self, frames: Tensor) -> Tensor:
        """Frames (B, K * C, H, W) in [-1, 1] -> their latents (B, K * Z, h, w), without
        gradient.
        """
        with torch.no_grad():
            x = channels_last(frames.unflatten(1, (-1, self.colors)).flatten(0, 1))
            latents = self.autoencoder.encode(x).unflatten(0, (len(frames), -1)).flatten(1, 2)
        return channels_last(latents)

    @torch.inference_mode()
    def reconstruct(self, frames: Tensor) -> Tensor:
        return pixels.to_uint8(self.autoencoder.decode(self.latents(pixels.stack(frames[:, None]))))

    def init(self, context: Context) -> LatentWindow:
        frames = super().init(context).frames
        latents = self.latents(pixels.stack(frames))
        return LatentWindow(frames, latents.unflatten(1, (self.context_length, -1)).contiguous())

    def encode(self, context: Tensor, action: Tensor) -> Features:
        return super().encode(self.latents(context), action)

    def encode_state(
        self, state: LatentWindow, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Features:
        return self.guided(options).encode(channels_last(state.latents.flatten(1, 2)), action)

    def remember(
        self, state: LatentWindow, action: Tensor, image: Tensor, features: Features
    ) -> LatentWindow:
        newest = (image, self.latents(pixels.stack(image[:, None])))
        pairs = zip(state, newest, strict=True)
        return LatentWindow(*(torch.cat((old[:, 1:], new[:, None]), 1) for old, new in pairs))

    def to_frame(self, x: Tensor) -> Tensor:
        return self.autoencoder.decode(x)

    def losses(
        self, step: Step, features: Features, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        step = step._replace(target=self.latents(step.target))
        terms, latents = super().losses(step, features, generator)
        return terms, self.to_frame(latents)

    def clip_losses(
        self,
        clips: Clips,
        augmentation: AugmentationOptions,
        steps: int,
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """In the first part of the training the autoencoder's losses only, on the newest frames of
        the clips; then those of all next-frame models. Validation reports both.
        """
        learns = augmentation.progress < self.config.autoencoder_share
        # (B * (1 + S), H, W, C)
        own, newest = {}, clips.frames[:, self.context_length - 1 :].flatten(0, 1)
        if learns or not self.training:
            own = self.autoencoder.losses(
                pixels.stack(newest[:, None]).to(self.reward_values.device)
            )
        return (
            own if learns else {**super().clip_losses(clips, augmentation, steps, generator), **own}
        )

    def begin_update(self, average: Self, last_progress: float, progress: float) -> None:
        """The autoencoder learns in its share of the run, and is then frozen with its averaged
        weights: the last ones still vary with the learning rate.
        """
        self.autoencoder.requires_grad_(progress < self.config.autoencoder_share)
        if last_progress < self.config.autoencoder_share <= progress:
            self.autoencoder.load_state_dict(average.autoencoder.state_dict())
