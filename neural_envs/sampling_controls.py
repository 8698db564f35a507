"""What an environment lets its users choose of how frames are drawn, and what its model offers."""

from __future__ import annotations

from typing import Any

from neural_envs.action_keys import keys_of
from neural_envs.simulator import Simulator
from world_models.protocols import SamplingOptions


class SamplingMixin:
    """For environments with a `simulator`, and with `sampling`, the options of every step."""

    @property
    def simulator(self) -> Simulator:
        """The bundle on its device."""
        raise NotImplementedError

    @property
    def sampling(self) -> SamplingOptions:
        """How frames are drawn; None in an option is the bundle's default.

        Setting it raises ValueError on what the model does not support.
        """
        raise NotImplementedError

    @sampling.setter
    def sampling(self, options: SamplingOptions) -> None:
        raise NotImplementedError

    @property
    def context_length(self) -> int:
        """Frames that a dream starts from."""
        return self.simulator.model.context_length

    @property
    def idle_action(self) -> Any:
        """The action of pressing no key; None: the last action goes on."""
        return keys_of(self.simulator.model.spec).get(())

    def get_keys_to_action(self) -> dict[tuple, Any]:
        """The keyboard for gymnasium.utils.play; `idle_action` is its argument `noop`. An action is
        an int or, where it has parts, a tuple of numbers.
        """
        keys = keys_of(self.simulator.model.spec)
        return {pressed: action for pressed, action in keys.items() if pressed}

    def get_action_meanings(self) -> list[str]:
        """The names of the actions, in their order, as Atari's environments have them."""
        return list(self.simulator.model.spec.action_names)

    @property
    def guides(self) -> bool:
        """Whether the model has guidance on the action."""
        return "guidance" in self.simulator.model.supported_options

    @property
    def denoises(self) -> bool:
        """Whether there are frames between noise and frame, see `denoising`."""
        return self.simulator.model.samples_from_noise

    @property
    def sampler_steps(self) -> int | None:
        """Denoising steps per frame; None is the bundle's default."""
        return self.sampling.steps

    @sampler_steps.setter
    def sampler_steps(self, steps: int | None) -> None:
        self.sampling = self.sampling._replace(steps=steps)

    @property
    def guidance(self) -> float | None:
        """Strength of guidance on the action, 1 for none; None is the bundle's default."""
        return self.sampling.guidance

    @guidance.setter
    def guidance(self, scale: float | None) -> None:
        self.sampling = self.sampling._replace(guidance=scale)

    @property
    def temperature(self) -> float | None:
        """Of categorical draws, 0 takes the likeliest; None is the bundle's default."""
        return self.sampling.temperature

    @temperature.setter
    def temperature(self, temperature: float | None) -> None:
        self.sampling = self.sampling._replace(temperature=temperature)
