"""The next-frame model composed of a network, an objective and a sampler: diffusion and its kin."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from collectors.settings.parse import setting
from world_models import frames as pixels
from world_models.diffusion.guidance import guide
from world_models.diffusion.objectives import EDM, OBJECTIVES, Objective
from world_models.diffusion.samplers import SAMPLERS, Euler, Sampler, check_fit
from world_models.models.chance_variables import Chance, ChanceSettings
from world_models.models.next_frame import NextFrameModel, Step, Window, change_weights
from world_models.models.sampler_model import SampledModel
from world_models.networks import NETWORK_CONFIGS, build_network
from world_models.networks.grid import GridConfig
from world_models.noise import Draws, NoiseStream
from world_models.protocols import (
    DEFAULT_OPTIONS,
    Features,
    ModelConfig,
    NetworkConfig,
    SamplingOptions,
    WorldSpec,
)


@dataclass(frozen=True)
class DiffusionConfig(ModelConfig):
    """Settings of the model; what does not fit together is a ValueError that names what does."""

    network: NetworkConfig = setting(
        factory=GridConfig, kinds=NETWORK_CONFIGS, help="what predicts"
    )
    objective: Objective = setting(
        factory=EDM, kinds=OBJECTIVES, help="what it is trained to predict, at which noise levels"
    )
    sampler: Sampler = setting(
        factory=Euler, kinds=SAMPLERS, help="the steps from noise to a frame"
    )
    # for what is decided at once
    chance: ChanceSettings = field(default_factory=lambda: ChanceSettings(variables=0))
    context_length: int = setting(1, "frames the model sees")
    guidance: float = setting(
        1.0, "on the action; 1 is off and costs one forward, 0 is blind to the action"
    )
    change_weight: float = setting(
        0.0, "extra weight of patches that change; above 0 rare things come too often"
    )

    def __post_init__(self):
        check_fit(self.objective, self.sampler)
        prediction = self.objective.prediction
        if self.network.copies and prediction != "frame":
            raise ValueError(
                "a network that copies from the last frame answers with a frame, not with "
                f"{prediction}: "
                'set the objective\'s prediction to "frame", or copy to () and flow to 0'
            )
        if self.guidance != 1 and not self.network.null_action:
            fits = ", ".join(name for name, kind in NETWORK_CONFIGS.items() if kind.null_action)
            raise ValueError(
                f"guidance {self.guidance} needs a network with a null action ({fits}); for "
                f"{type(self.network).__name__} it is 1"
            )


class DiffusionModel(NextFrameModel, SampledModel):
    """Frames from noise, or by regression in one call.

    What is denoised is a frame x (B, C, H, W) or, in a subclass, another image of it: with
    `channels`, and one of its pixels for `scale` x `scale` of the frame's.
    """

    kind = "diffusion"
    config_class = DiffusionConfig
    one_graph = True
    network: Any  # a module that is a `protocols.Network`

    def __init__(self, spec: WorldSpec, config: DiffusionConfig, channels: int = 0, scale: int = 1):
        network = config.network
        outcome = GridConfig(
            network.width, scale * network.patch, pixel_features=network.pixel_features
        )
        super().__init__(spec, outcome, config.context_length, config.change_weight)
        self.config, self.objective, self.sampler = config, config.objective, config.sampler
        channels, (height, width, _) = channels or self.colors, spec.frame_shape
        self.shape = (channels, height // scale, width // scale)  # of what is denoised
        context, actions = config.context_length * channels, spec.action_inputs
        self.network = build_network(network, channels, context, actions, self.grid_shape)
        self.chance = Chance(config.chance, network, channels) if config.chance.count else None

    @property
    def supported_options(self) -> frozenset[str]:
        own = {"guidance"} if self.config.network.null_action else set()
        return super().supported_options | own

    @property
    def default_options(self) -> SamplingOptions:
        return super().default_options._replace(guidance=self.config.guidance)

    def guided(self, options: SamplingOptions) -> Any:
        """The network under the guidance of the options, a `protocols.Network`."""
        return guide(self.network, self.guidance_for(options), self.spec.null_action)

    def encode(self, context: Tensor, action: Tensor) -> Features:
        return self.network.encode(context, action)

    def encode_state(
        self, state: Window, action: Tensor, options: SamplingOptions = DEFAULT_OPTIONS
    ) -> Features:
        return self.guided(options).encode(pixels.stack(state.frames), action)

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
        if self.chance is not None:
            # under guidance a second half without the action follows
            own = features.tokens[: len(noise.seeds)]
            chosen = self.chance.draw(own, noise)
            features = features._replace(tokens=self.chance.condition_on(chosen, features.tokens))
        draws = Draws(noise, self.shape)
        return self.sampler_for(options)(objective, self.guided(options), draws, features)

    def losses(
        self, step: Step, features: Features, generator: torch.Generator
    ) -> tuple[dict[str, Tensor], Tensor]:
        terms = {}
        if self.chance is not None:
            chosen, terms, _ = self.chance.sample_posterior(features.tokens, step.target, generator)
            features = features._replace(tokens=self.chance.condition_on(chosen, features.tokens))
        error, predicted = self.objective.learn(self.network, step.target, features, generator)
        return {"frame": self.frame_error(error, features.last, step.target), **terms}, predicted

    def frame_error(self, error: Tensor, last: Tensor, target: Tensor) -> Tensor:
        """The mean (B,) of errors (B, C, H, W), in which patches that change weigh more."""
        if self.change_weight:
            error = error * change_weights(last, target, self.patch, self.change_weight)
        return error.mean((1, 2, 3))
