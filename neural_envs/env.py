"""One dream as a Gymnasium environment: a batch of one over `NeuralVectorEnv`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Never

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

from collectors.worlds.lane_arguments import NO_LIMIT, check_action, check_in_space, whole_seed
from neural_envs import vector_arguments as checks
from neural_envs.notebook_display import DisplayMixin, show_in_notebooks
from neural_envs.registration import has_registered_limit
from neural_envs.sampling_controls import SamplingMixin
from neural_envs.simulator import DreamState, Simulator
from neural_envs.vector_env import NeuralVectorEnv
from world_models.protocols import SamplingOptions
from world_models.world_spec import WorldSpec


class NeuralEnv(DisplayMixin, SamplingMixin, gym.Env):
    """A dream of one bundle; the arguments are those of `NeuralVectorEnv`.

    Step limit: an id that is registered with one is counted by the TimeLimit of gym.make (whose
    max_episode_steps argument changes it); otherwise, and when this class is called directly, the
    environment counts by itself.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 10}

    def __init__(
        self,
        bundle: Any = None,
        device: str = "cpu",
        render_mode: str | None = None,
        max_episode_steps: int | None = None,
        min_trust: float | None = None,
        model: Any = None,
        sampler_steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        backend: str = "eager",
        starts: str | Path | None = None,
        world: str | None = None,
        out_of_range: str = "refuse",
        **unknown: Never,  # so that type checkers find them
    ) -> None:
        checks.no_unknown_arguments("NeuralEnv", unknown, NeuralEnv.__init__)
        self._dream = NeuralVectorEnv(
            1,
            bundle,
            device,
            AutoresetMode.DISABLED,
            max_episode_steps,
            render_mode=render_mode,
            min_trust=min_trust,
            model=model,
            sampler_steps=sampler_steps,
            guidance=guidance,
            temperature=temperature,
            backend=backend,
            starts=starts,
            world=world,
            out_of_range=out_of_range,
        )
        show_in_notebooks()
        self.render_mode = render_mode
        self.observation_space = self._dream.single_observation_space
        self.action_space = self._dream.single_action_space
        self.metadata = {**type(self).metadata, "render_fps": self._dream.world.fps}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """A new episode: (frame (H, W, C) uint8, info).

        options["context"]: dream on from given frames, see `given_contexts.context_from`.
        """
        seed = None if seed is None else whole_seed(seed)
        super().reset(seed=seed)
        if self.spec is not None and has_registered_limit(self.spec.id):
            self._dream.max_episode_steps = NO_LIMIT  # gym.make counts
        frames, info = self._dream.reset(seed=seed, options=options)
        return frames[0], _lane(info)

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """(frame, reward, terminated, truncated, info), with info["trust"].

        Where min_trust is set, info["low_trust"] too. Raises UnknownActionError, which is an
        InvalidAction of Gymnasium, and ResetNeeded after the end.
        """
        dream, world = self._dream, self._dream.world
        if world.actions.is_plain:
            action = check_action(action, world.action_names)
            encoded = torch.from_numpy(np.array([action], np.int64))
        else:
            taken = check_in_space(action, world.actions, world.action_names, clip=dream.clips)
            encoded = torch.from_numpy(world.actions.encode(taken[None]))
        outcome, info = dream.advance(encoded)
        terminated, truncated = bool(outcome.terminated.item()), bool(outcome.truncated.item())
        return dream.frames()[0], outcome.reward.item(), terminated, truncated, _lane(info)

    def render(self) -> np.ndarray | None:
        """rgb_array: (H, W, 3) uint8. human: None, drawn in a window."""
        frames = self._dream.render()
        return None if frames is None else frames[0]

    def close(self) -> None:
        """Close the window; calling it twice is fine."""
        self._dream.close()

    def get_state(self) -> DreamState:
        """A snapshot (a batch of one), owned by the caller."""
        return self._dream.get_state()

    def set_state(self, state: DreamState, seed: int | None = None) -> None:
        """Go on from a snapshot; with a seed, with that seed's random stream."""
        self._dream.set_state(state, seed)

    def continue_from(self, context: Any) -> np.ndarray:
        """Dream on within the same episode from other frames; returns the frame (H, W, C) uint8.

        See `NeuralVectorEnv.continue_from`.
        """
        return self._dream.continue_from(context)[0]

    def denoising(self) -> list[np.ndarray]:
        """Frames (H, W, 3) uint8 of the last step from noise to result, see `NeuralVectorEnv`."""
        return [frames[0] for frames in self._dream.denoising()]

    @property
    def _shown_dream(self) -> NeuralVectorEnv:
        return self._dream

    @property
    def world(self) -> WorldSpec:
        """The WorldSpec of the game that is dreamed."""
        return self._dream.world

    @property
    def bundle(self) -> dict:
        """The bundle's configuration, provenance and scores."""
        return self._dream.bundle

    @property
    def simulator(self) -> Simulator:
        return self._dream.simulator

    @property
    def sampling(self) -> SamplingOptions:
        return self._dream.sampling

    @sampling.setter
    def sampling(self, options: SamplingOptions) -> None:
        self._dream.sampling = options


def _lane(info: dict[str, Any]) -> dict[str, Any]:
    """The only lane's info, as Python values."""
    return {key: value.item() for key, value in info.items() if key[0] != "_"}
