"""Many dreams as one Gymnasium vector environment: one batched forward is one step of them all.

B = num_envs lanes, H x W x C per frame. This is the interface of Gymnasium; the dreaming itself is
in `simulator.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from torch import Tensor

from collectors.media import tile, to_rgb
from collectors.render_window import Window
from collectors.worlds.lane_arguments import as_autoreset_mode, step_limit, whole_seed
from neural_envs import vector_arguments as checks
from neural_envs.notebook_display import DisplayMixin
from neural_envs.sampling_controls import SamplingMixin
from neural_envs.simulator import DreamState, Limits, Outcome, Simulator, positive, streams
from world_models.bundles.notebook_display import ShownConfig
from world_models.lanes import map_leaves, put_lanes, take_lanes
from world_models.noise import NoiseStream
from world_models.protocols import Context, SamplingOptions


class NeuralVectorEnv(DisplayMixin, SamplingMixin, gym.vector.VectorEnv):
    """B dreams of one bundle.

    reset(options=...) takes "reset_mask" ((B,) bool, the lanes that start anew) and "context" (see
    `context_from`). Lane i of reset(seed=s) draws the stream of a single env's reset(seed=s + i).
    Under SAME_STEP, info["final_obs"] is dense: the frame each lane's step ended in, with the mask
    "_final_obs" for those that finished.

    Info: `trust`, the probability that the frame is right; `low_trust`, where `min_trust` is set.

    Arguments:
        num_envs: lanes, the dreams that are stepped at once.
        bundle: a released name, a directory, a Hub repository, or a loaded Bundle.
        device: where the model runs, as "cuda".
        autoreset_mode: an AutoresetMode or its value ("SameStep", "NextStep", "Disabled").
        max_episode_steps: None is the bundle's own limit, -1 none.
        output: "numpy", or "torch" for tensors that stay on `device`.
        min_trust: truncate a dream whose trust falls below it.
        render_mode: "rgb_array", "human" (a window) or None.
        model: a loaded Bundle or model, in place of `bundle`.
        sampler_steps: denoising steps, where the model has them; None is the bundle's own number.
        backend: what runs the steps, as "auto"; a reset's info says which (docs/speed.md).
        guidance: on the action, where the model has it; 1 is none.
        temperature: of categorical draws, where the model has them; 0 takes the likeliest.
        starts: a dataset from whose training episodes dreams branch off; None: where games begin.
        out_of_range: "refuse" or "clip", of numbers beyond the bounds of a Box action.
        world: what the bundle must be a dream of, else ValueError; the ids of the worlds set it.
    """

    metadata = {"render_modes": ["rgb_array", "human"], "render_fps": 10}

    def __init__(
        self,
        num_envs: int = 1,
        bundle: Any = None,
        device: str = "cpu",
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        max_episode_steps: int | None = None,
        output: str = "numpy",
        min_trust: float | None = None,
        render_mode: str | None = None,
        model: Any = None,
        sampler_steps: int | None = None,
        backend: str = "eager",
        guidance: float | None = None,
        temperature: float | None = None,
        starts: str | Path | None = None,
        world: str | None = None,
        out_of_range: str = "refuse",
    ) -> None:
        self.num_envs = positive(num_envs, "num_envs")
        self.autoreset_mode = as_autoreset_mode(autoreset_mode)
        self.output = checks.one_of("output", output, ("numpy", "torch"))
        self.render_mode = checks.one_of(
            "render_mode", render_mode, (None, *self.metadata["render_modes"])
        )
        self.min_trust = checks.trust_threshold(min_trust)
        self.clips = checks.clips(out_of_range)
        checks.check_given(bundle, model)
        self._simulator = Simulator(bundle if model is None else model, device, backend, starts)
        self.device = self.simulator.device
        self.bundle = ShownConfig(self.simulator.config)
        self.world = self.simulator.model.spec
        checks.check_world(world, self.world.world, self.simulator.name)
        self.max_episode_steps = step_limit(max_episode_steps, self.world.max_episode_steps)
        self.sampling = SamplingOptions(sampler_steps, guidance, temperature)
        self._set_spaces()
        self._none = torch.zeros(self.num_envs, dtype=torch.bool, device=self.device)
        self._every = ~self._none
        self._state: DreamState | None = None
        self._last_step: tuple[DreamState, Tensor] | None = None
        self._window: Window | None = None

    def _set_spaces(self) -> None:
        self.single_observation_space = gym.spaces.Box(0, 255, self.world.frame_shape, np.uint8)
        self.single_action_space = self.world.actions.to_gymnasium()
        self.observation_space = batch_space(self.single_observation_space, self.num_envs)
        self.action_space = batch_space(self.single_action_space, self.num_envs)
        self.metadata = type(self).metadata | {"render_fps": self.world.fps}
        self.metadata["autoreset_mode"] = self.autoreset_mode
        if self.output == "torch":
            self.metadata["torch"] = True

    # ---------------------------------------------------------------- Gymnasium

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Start all lanes, or those of options["reset_mask"], anew; (frames, info) of all lanes."""
        self._check_open()
        seed = whole_seed(seed) if isinstance(seed, int | np.integer) else seed
        super().reset(seed=seed if isinstance(seed, int) else None)
        mask, context = self._options(options)
        noise = self._streams(seed)
        lanes = mask.nonzero()[:, 0]
        context = None if context is None else Context(*take_lanes(context, lanes))
        fresh = self.simulator.start(take_lanes(noise, lanes), context)
        every = len(lanes) == self.num_envs
        self._state = fresh if every else put_lanes(self._current(), lanes, fresh)
        self._last_step = None
        info = self._info(Outcome.of_reset(self.num_envs, self.device), mask)
        backend = self.simulator.backend_info(self.num_envs, self.sampling)
        return self.frames(), self._out(info) | backend

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """(frames, rewards float32, terminations, truncations, info), one row per lane."""
        self._current()  # complains of what comes before actions
        given = checks.action_tensor(actions, self.num_envs, self.world, self.clips)
        outcome, info = self.advance(given)
        rewards, terminations, truncations = map(self._out, outcome[:3])
        return self.frames(), rewards, terminations, truncations, self._out(info)

    def advance(self, action: Tensor) -> tuple[Outcome, dict[str, Any]]:
        """A step by encoded actions (B, *row), without frames: tensors that are read only."""
        before, action = self._current(), action.to(self.device)
        if self.autoreset_mode is AutoresetMode.DISABLED and True in before.finished.tolist():
            raise checks.reset_needed(before.finished.nonzero()[:, 0].tolist(), self.num_envs)
        limits = Limits(self.max_episode_steps, self.min_trust)
        after, outcome = self.simulator.advance(before, action, self.sampling, limits, self._none)
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            after, outcome = self._restart_next_step(before, after, outcome)
            info = self._info(outcome)
        elif self.autoreset_mode is AutoresetMode.SAME_STEP:
            after, info = self._restart_same_step(after, outcome)
        else:
            info = self._info(outcome)
        self._state, self._last_step = after, (before, action)
        return outcome, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        """rgb_array: a tuple of frames (H, W, 3) uint8, one per lane. human: None; a window."""
        if self.render_mode is None:
            gym.logger.warn(
                'render() shows nothing: make the environment with render_mode="rgb_array" or '
                '"human".'
            )
            return None
        frames = to_rgb(self._current().frame.cpu().numpy()).copy()
        if self.render_mode == "rgb_array":
            return tuple(frames)
        if self._window is None:
            self._window = Window(f"neural-envs: a dream of {self.world.world}", self.world.fps)
        self._window.show(tile(frames))
        return None

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window and let the model go."""
        window = getattr(self, "_window", None)  # close() also follows a constructor that raised
        if window is not None:
            window.close()
        self._window = self._state = self._last_step = None

    # ---------------------------------------------------------------- snapshots

    def get_state(self) -> DreamState:
        """A snapshot of every lane, owned by the caller; `take_lanes` picks or repeats lanes."""
        return map_leaves(self._current(), torch.clone)

    def set_state(self, state: DreamState, seed: int | None = None) -> None:
        """Go on from a snapshot of B lanes.

        With a seed, lane i draws the stream of seed + i from here on: a branch.
        """
        self._check_open()
        checks.check_snapshot(state, (self.num_envs, *self.world.frame_shape))
        state = map_leaves(state, lambda leaf: leaf.to(self.device, copy=True))
        self._state = state if seed is None else state._replace(noise=self._streams(seed))
        self._last_step = None

    def continue_from(self, context: Any):
        """Dream on from other frames, a `context` as in reset; returns the current frames.

        Step counts and random streams stay as they are.
        """
        before, (_, context) = self._current(), self._options({"context": context})
        fresh = self.simulator.start(before.noise, context)
        self._state, self._last_step = fresh._replace(elapsed=before.elapsed), None
        return self.frames()

    def denoising(self) -> list[np.ndarray]:
        """Frames (B, H, W, 3) uint8 of the last step, from noise to result, by `sampling`.

        None before the first step, and where the model makes a frame in one call.
        """
        if self._last_step is None:
            return []
        with torch.inference_mode():
            frames = self.simulator.denoising(*self._last_step, self.sampling)
            return [to_rgb(frame.cpu().numpy()) for frame in frames]

    @property
    def simulator(self) -> Simulator:
        return self._simulator

    @property
    def sampling(self) -> SamplingOptions:
        return self._sampling

    @sampling.setter
    def sampling(self, options: SamplingOptions) -> None:
        self._sampling = self.simulator.checked_options(options)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the window (and but a model that its bundle's name brings back)."""
        return {**self.__dict__, "_window": None}

    # ---------------------------------------------------------------- the dream

    def _restart_next_step(self, before: DreamState, after: DreamState, outcome: Outcome):
        """Lanes that had finished before this step: their action is ignored, they begin anew."""
        if True not in before.finished.tolist():
            return after, outcome
        lanes = before.finished.nonzero()[:, 0]
        fresh = self.simulator.start(take_lanes(before.noise, lanes))
        none = Outcome.of_reset(len(lanes), self.device)
        return put_lanes(after, lanes, fresh), put_lanes(outcome, lanes, none)

    def _restart_same_step(self, after: DreamState, outcome: Outcome):
        """Lanes that finished in this step begin anew in it; their last frames go to info."""
        mask = after.finished
        if True not in mask.tolist():
            return after, self._info(outcome)
        lanes = mask.nonzero()[:, 0]
        shown = put_lanes(outcome, lanes, Outcome.of_reset(len(lanes), self.device))
        final = {"final_obs": after.frame, "_final_obs": mask}
        final |= {"final_info": self._info(outcome, mask), "_final_info": mask}
        fresh = self.simulator.start(take_lanes(after.noise, lanes))
        return put_lanes(after, lanes, fresh), self._info(shown) | final

    def _info(self, outcome: Outcome, mask: Tensor | None = None) -> dict[str, Any]:
        mask = self._every if mask is None else mask
        info = {"trust": outcome.trust, "_trust": mask}
        if self.min_trust is not None:
            info |= {"low_trust": outcome.low_trust, "_low_trust": mask}
        return info

    # ---------------------------------------------------------------- what comes in and goes out

    def _streams(self, seed: int | list[int | None] | None) -> NoiseStream:
        """Every lane's stream: from the seed where it has one, else going on where it was."""
        old = None if self._state is None else self._state.noise
        if seed is None and old is not None:
            return old
        if seed is None:
            seed = int(self.np_random.integers(2**63))
        elif old is None and not isinstance(seed, int):  # lanes without a seed draw one
            seed = checks.lane_seeds_drawn(seed, self.num_envs, self.np_random)
        return streams(seed, old, self.num_envs, self.device)

    def _options(self, options: dict[str, Any] | None) -> tuple[Tensor, Context | None]:
        """(mask (B,) bool of the lanes to reset, context of B lanes or None), on the device."""
        started = self._state is not None
        mask, context = checks.reset_arguments(
            options, self.simulator.model, self.num_envs, started
        )
        if context is not None:
            context = map_leaves(context, lambda leaf: leaf.to(self.device))
        return mask.to(self.device), context

    def frames(self):
        """The current frames in the form of `output`, shown too where there is a window."""
        if self.render_mode == "human":
            self.render()
        return self._out(self._current().frame)

    def _out(self, value: Any) -> Any:
        """Fresh arrays or tensors, never views of our own; dictionaries item by item.

        Not in inference mode.
        """
        if isinstance(value, dict):
            return {key: self._out(item) for key, item in value.items()}
        return value.clone() if self.output == "torch" else value.cpu().numpy().copy()

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError(
                "this environment was closed: make a new one with gym.make or gym.make_vec"
            )

    def _current(self) -> DreamState:
        self._check_open()
        if self._state is None:
            raise ResetNeeded("there is no dream yet: call reset() first")
        return self._state
