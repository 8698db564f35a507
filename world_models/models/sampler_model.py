"""What models that draw their frames with a sampler share:
steps as an option, and frames between noise and frame.

B lanes, H x W x C a frame.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

from torch import Tensor

from world_models import frames as pixels
from world_models.diffusion.objectives import Objective
from world_models.diffusion.samplers import Direct, Sampler
from world_models.diffusion.trajectory import RecordingObjective
from world_models.noise import NoiseStream
from world_models.protocols import DEFAULT_OPTIONS, SamplingOptions, State, WorldModel


class SampledModel(WorldModel):
    """A model with an objective and a sampler, which stay as the config has them."""

    objective: Objective
    sampler: Sampler

    @property
    def supported_options(self) -> frozenset[str]:
        return frozenset({"steps"} if self.samples_from_noise else ())

    @property
    def default_options(self) -> SamplingOptions:
        return SamplingOptions(steps=self.sampler.steps)

    @property
    def samples_from_noise(self) -> bool:
        return not isinstance(self.sampler, Direct)

    def sampler_for(self, options: SamplingOptions) -> Sampler:
        """The model's sampler with the steps of the options."""
        steps = self.resolve_options(options).steps
        return (
            self.sampler
            if steps in (None, self.sampler.steps)
            else replace(self.sampler, steps=steps)
        )

    def guidance_for(self, options: SamplingOptions) -> float:
        """The strength of guidance of the options; 1, none, for a model without it."""
        scale = self.resolve_options(options).guidance
        return 1.0 if scale is None else scale

    @abstractmethod
    def encode_state(self, state: State, action: Tensor, options: SamplingOptions) -> Any:
        """What a step from this state with action (B,) computes everything from."""

    @abstractmethod
    def draw(
        self, features: Any, noise: NoiseStream, options: SamplingOptions, objective: Objective
    ) -> Tensor:
        """What is denoised, (B, ...): a frame, or something that `to_frame` makes one of."""

    def to_frame(self, x: Tensor) -> Tensor:
        """What is denoised, x (B, ...), as a frame (B, C, H, W) in about [-1, 1]: as it is."""
        return x

    def denoising(
        self,
        state: State,
        action: Tensor,
        noise: NoiseStream,
        options: SamplingOptions = DEFAULT_OPTIONS,
    ) -> list[Tensor]:
        if not self.samples_from_noise:
            return []
        recorder: Any = RecordingObjective(self.objective)
        last = self.draw(self.encode_state(state, action, options), noise, options, recorder)
        return [pixels.to_uint8(self.to_frame(x)) for x in (*recorder.samples.values(), last)]
