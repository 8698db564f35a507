"""The diffusion next-frame model: a two-part network, the EDM objective and a few-step sampler."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from world_models.models.chance import Chance, ChanceSettings
from world_models.models.next_frame import NextFrameModel
from world_models.networks.grid import GridConfig, GridDenoiser
from world_models.noise import NoiseStream
from world_models.objectives import EDM
from world_models.protocols import Features, WorldSpec
from world_models.samplers import Euler, guide

FRAME_SALT = 64  # keeps these draws apart from those of chance variables


@dataclass(frozen=True)
class DiffusionConfig:
    """Settings of the diffusion model."""

    grid: GridConfig = field(default_factory=GridConfig)
    objective: EDM = field(default_factory=EDM)
    chance: ChanceSettings = field(default_factory=lambda: ChanceSettings(variables=0))  # for what is decided at once
    context_length: int = 1  # frames the model sees
    sampler_steps: int = 3  # denoising calls a frame, unless set otherwise when dreaming
    guidance: float = 1.0  # on the action; 1 is off and costs one forward
    change_weight: float = 0.0  # extra weight of patches that change; above 0 it also dreams rare things too often


class DiffusionModel(NextFrameModel):
    """Frames by denoising; `sampler_steps` may be set at any time."""

    kind = "diffusion"
    config_class = DiffusionConfig

    def __init__(self, spec: WorldSpec, config: DiffusionConfig):
        super().__init__(spec, config.grid, config.context_length, config.change_weight)
        self.config, self.objective = config, config.objective
        self.sampler_steps = config.sampler_steps
        actions = len(spec.action_names)
        channels = config.context_length * self.colours
        self.network = GridDenoiser(config.grid, self.colours, channels, actions, self.grid_shape)
        self.chance = Chance(config.chance, config.grid, self.colours) if config.chance.variables else None

    def features(self, x: Tensor, action: Tensor) -> Features:
        if self.training or self.config.guidance == 1:
            return self.network.encode(x, action)
        return guide(self.network, self.config.guidance, len(self.spec.action_names)).encode(x, action)

    def sample(self, features: Features, noise: NoiseStream) -> Tensor:
        if self.chance is not None:
            own = features.tokens[: len(noise.seeds)]  # under guidance a second half without the action follows
            places = self.chance.draw(own, noise).repeat(len(features.tokens) // len(own), 1, 1)
            features = features._replace(tokens=self.chance.painted(places, features.tokens))
        height, width, _ = self.spec.frame_shape
        start = noise.normal((self.colours, height, width), FRAME_SALT).contiguous(memory_format=torch.channels_last)
        network = guide(self.network, self.config.guidance, len(self.spec.action_names))
        return Euler(self.objective, self.sampler_steps)(network, start, features)

    def frame_loss(self, features: Features, target: Tensor, generator) -> tuple[dict[str, Tensor], Tensor]:
        terms = {}
        if self.chance is not None:
            places, terms = self.chance.look(features.tokens, target, generator)
            features = features._replace(tokens=self.chance.painted(places, features.tokens))
        t = self.objective.sample_t((len(target),), generator).to(target)
        noise = torch.randn(target.shape, generator=generator).to(target)
        noise = noise.contiguous(memory_format=torch.channels_last)
        error = self.objective.loss(self.network, target, t, noise, features)
        terms = {"frame": (error * self.change_weights(features.last, target)).mean((1, 2, 3)), **terms}
        with torch.no_grad():  # the frame of a one-step dream, for the head and for self-rollouts
            painted = self.objective.denoise(self.network, target + 0.3 * noise, torch.full_like(t, 0.3), features)
        return terms, painted
