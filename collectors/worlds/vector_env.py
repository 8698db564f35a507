"""What all vector environments of real games share: seeds, reset masks, autoreset, step limits.

B lanes, each a game of its own with a generator of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium.error import ClosedEnvironmentError, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from collectors.media import tile
from collectors.render_window import Window
from collectors.worlds.lane_arguments import (
    as_autoreset_mode,
    check_actions,
    check_reset_options,
    lane_seeds,
    reset_mask,
    step_limit,
)


class LaneVectorEnv(VectorEnv):
    """B games of a kind, `single_class`; lane i of reset(seed=s) is a single game reset with s + i.

    reset(seed=) takes None, a number, or a list with a number or None per lane;
    options={"reset_mask": (B,) bool} starts some lanes only, the others go on. Under SAME_STEP
    info["final_obs"] is dense: the observation that each lane's step ended in, with the mask
    "_final_obs" for those that finished, and info["final_info"] is what they reported then. Under
    NEXT_STEP a finished lane ignores its next action and starts anew; under DISABLED it must be
    reset before the next step, else ResetNeeded. max_episode_steps: None is the game's own limit,
    -1 none. render_mode="human" shows all lanes in one window.

    A subclass gives `begin`, `advance`, `observe` and `describe`; `self.single` is one game that is
    never played, for spaces and names.
    """

    single_class: ClassVar[Any]
    reset_options: ClassVar[tuple[str, ...]] = ()  # what reset(options=) takes besides the mask

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **options: Any,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        self.single = self.single_class(render_mode=_of_one(render_mode), **options)
        self._window: Window | None = None
        self.num_envs, self.render_mode = num_envs, render_mode
        self.autoreset_mode = as_autoreset_mode(autoreset_mode)
        self.metadata = {**self.single.metadata, "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self.single.observation_space
        self.single_action_space = self.single.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        spec = self.single.world_spec()
        self._action_names = spec["action_names"]
        self._limit = step_limit(max_episode_steps, spec["max_episode_steps"])
        self.generators: list[np.random.Generator] = []  # one per lane, from the first reset on
        self._steps, self._finished = np.zeros(num_envs, np.int64), np.ones(num_envs, bool)

    # ---------------------------------------------------------------- what a game gives

    def begin(self, lanes: np.ndarray, options: Mapping[str, Any]) -> None:
        """Start a game in each of the lanes (L,) int, from its generator in `self.generators`."""
        raise NotImplementedError

    def advance(
        self, actions: np.ndarray, moving: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """One step of the lanes in the mask `moving` (B,) bool with `actions` (B,) int64.

        (rewards (B,) float64, terminations (B,) bool, truncations (B,) bool), the game's own; what
        it says of other lanes is ignored.
        """
        raise NotImplementedError

    def observe(self) -> np.ndarray:
        """What every lane shows now, (B, ...), in an array of the caller's own."""
        raise NotImplementedError

    def describe(self, mask: np.ndarray) -> dict[str, Any]:
        """The infos of the lanes in the mask (B,) bool: for each key an array and a mask."""
        raise NotImplementedError

    # ---------------------------------------------------------------- Gymnasium

    def world_spec(self) -> dict[str, Any]:
        """As that of the single game, with this environment's step limit."""
        return {**self.single.world_spec(), "max_episode_steps": self._limit}

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Keys for `gymnasium.utils.play`."""
        return self.single.get_keys_to_action()

    def get_action_meanings(self) -> list[str]:
        """The names of the actions, in their order, as Atari's environments have them."""
        return list(self._action_names)

    def reset(  # pyright: ignore[reportIncompatibleMethodOverride]  # None for a lane goes on
        self, *, seed: int | Sequence[int | None] | None = None, options: dict | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Start all lanes, or those of the mask; (observations of all lanes, infos of those)."""
        self._check_open()
        options = check_reset_options(options, self.reset_options)
        mask = reset_mask(options, self.num_envs, started=bool(self.generators))
        seeds = lane_seeds(seed, self.num_envs)
        if not self.generators:
            self.generators = [seeding.np_random(None)[0] for _ in range(self.num_envs)]
        for lane in np.flatnonzero(mask):
            if (lane_seed := seeds[lane]) is not None:
                self.generators[lane] = seeding.np_random(lane_seed)[0]
        self._begin(mask, options)
        observations = self.observe()
        self._show()
        return observations, self.describe(mask)

    def step(
        self, actions: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """(observations, rewards (B,) float64, terminations (B,), truncations (B,), infos).

        Raises InvalidAction that lists the actions, and ResetNeeded.
        """
        self._check_open()
        if not self.generators:
            raise ResetNeeded("no game is running; call reset() before step()")
        waiting = self._finished.copy()
        if waiting.any() and self.autoreset_mode is AutoresetMode.DISABLED:
            raise ResetNeeded(
                f"lanes {np.flatnonzero(waiting).tolist()} have finished; reset them by "
                "'reset_mask' first"
            )
        actions = check_actions(actions, self.num_envs, self._action_names)
        rewards, ended, cut = self.advance(actions, ~waiting)
        self._steps += 1
        cut = cut | (self._steps >= self._limit)
        if waiting.any():  # under NEXT_STEP these lanes ignore their action and begin anew
            self._begin(waiting, {})
            rewards = np.where(waiting, 0.0, rewards)
            ended, cut = ended & ~waiting, cut & ~waiting
        self._finished = ended | cut
        frames, infos = self.observe(), {}
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._finished.any():
            frames, infos = self._restart_finished(frames)
        self._show()
        return frames, rewards, ended, cut, self.describe(np.ones_like(waiting)) | infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        """rgb_array: one (H, W, 3) uint8 image per lane. human: None; a window with all lanes."""
        if self.render_mode is None:
            return None
        images = self.images()
        if self.render_mode == "rgb_array":
            return images
        if self._window is None:
            title = f"neural-envs: the real {self.single.world_spec()['world']}"
            self._window = Window(title, int(self.metadata["render_fps"]))
        self._window.show(tile(np.stack(images)))
        return None

    def images(self) -> tuple[np.ndarray, ...]:
        """What every lane shows now, (H, W, 3) uint8 each."""
        return tuple(self.observe())

    def close_extras(self, **kwargs: Any) -> None:
        """Close the window."""
        window = getattr(self, "_window", None)  # close() also follows a constructor that raised
        if window is not None:
            window.close()
        self._window = None

    def _show(self) -> None:
        if self.render_mode == "human":
            self.render()

    def _check_open(self) -> None:
        if self.closed:
            raise ClosedEnvironmentError("these games were closed: make new ones with make_vec")

    def _begin(self, mask: np.ndarray, options: Mapping[str, Any]) -> None:
        self.begin(np.flatnonzero(mask), options)
        self._steps[mask], self._finished[mask] = 0, False

    def _restart_finished(self, frames: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
        """Start the finished lanes within the step; the new observations, and infos of the old."""
        done = self._finished.copy()
        final = {"final_obs": frames, "_final_obs": done}
        final |= {"final_info": self.describe(done), "_final_info": done}
        self._begin(done, {})
        return self.observe(), final


class SingleEnvLanes(LaneVectorEnv):
    """Lanes that are single environments, stepped one after another.

    All randomness of `single_class` must come from its `np_random`.
    """

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **options: Any,
    ):
        super().__init__(num_envs, max_episode_steps, autoreset_mode, render_mode, **options)
        self.envs: list[Any] = [
            self.single_class(render_mode=_of_one(render_mode), **options) for _ in range(num_envs)
        ]
        space: Any = self.single_observation_space
        self._frames = np.zeros((num_envs, *space.shape), space.dtype)
        self._infos: list[dict[str, Any]] = [{} for _ in range(num_envs)]

    def begin(self, lanes: np.ndarray, options: Mapping[str, Any]) -> None:
        for lane in lanes:
            env = self.envs[lane]
            env.np_random = self.generators[lane]
            self._frames[lane], self._infos[lane] = env.reset(options=dict(options))

    def advance(
        self, actions: np.ndarray, moving: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rewards = np.zeros(self.num_envs)
        ended, cut = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        for lane in np.flatnonzero(moving):
            self._frames[lane], rewards[lane], ended[lane], cut[lane], self._infos[lane] = (
                self.envs[lane].step(actions[lane])
            )
        return rewards, ended, cut

    def observe(self) -> np.ndarray:
        return self._frames.copy()

    def describe(self, mask: np.ndarray) -> dict[str, Any]:
        infos: dict[str, Any] = {}
        for lane in np.flatnonzero(mask).tolist():
            infos = self._add_info(infos, self._infos[lane], lane)
        return infos

    def images(self) -> tuple[np.ndarray, ...]:
        return tuple(np.asarray(env.render()) for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        super().close_extras(**kwargs)
        for env in (self.single, *self.envs):
            env.close()


def _of_one(render_mode: str | None) -> str | None:
    """The render mode of one lane: a window shows all of them as images."""
    return "rgb_array" if render_mode == "human" else render_mode
