"""The real Pong: `RealPong-v0`, alone or B games at once in one vector environment."""

import math
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space

from collectors.worlds.pong.frames import SIZES, PongState, decode_frames, screen
from collectors.worlds.pong.physics import PongCore

__all__ = ["PongState", "RealPong", "RealPongVector"]

ACTIONS = ("stay", "up", "down")
MOST_POINTS, MOST_SKIPPED = 21, 8
MAX_EPISODE_STEPS = 3000
FRAMES_PER_SECOND = 60  # of the engine; one of our frames is `frame_skip` of its


class RealPong(gymnasium.Env):
    """The right paddle against one that follows the ball. +1 for a point won, -1 for one lost;
    `points_to_win` end it.

    The opponent can follow a ball that rises or falls by up to 8 a substep; a paddle that moves as
    it hits adds 3 to that, up to 13. `bounce_reward` is paid for each ball returned (the original
    engine pays 0.1). The step that scores shows the new pip together with the next serve, the last
    one of a game too. The observation is a (size, size, 3) uint8 frame; at 64 the score is a row of
    pips, at 24 there is none. One frame shows no speeds: look at two.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}
    decode_frames = staticmethod(decode_frames)

    def __init__(
        self,
        points_to_win: int = 5,
        bounce_reward: float = 0.0,
        frame_skip: int = 2,
        size: int = 64,
        render_mode: str | None = None,
    ):
        _check_options(points_to_win, bounce_reward, frame_skip, size, render_mode)
        self._core = PongCore(1, points_to_win, bounce_reward, frame_skip)
        self._screen = screen(size, points_to_win)
        self.render_mode, self._playing = render_mode, False
        self.metadata = {**type(self).metadata, "render_fps": _frames_per_second(frame_skip)}
        self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = spaces.Discrete(len(ACTIONS))

    def world_spec(self) -> dict:
        """What a dream of this game must know: the fields of `world_models.protocols.WorldSpec`."""
        limit = self.spec.max_episode_steps if self.spec is not None else None
        return _world_spec(self._core, self._screen.size, limit or MAX_EPISODE_STEPS)

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Keys for `gymnasium.utils.play`."""
        return {("w",): 1, ("s",): 2}

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self._core.reset(np.zeros(1, np.int64), [self.np_random])
        self._playing = True
        return self._screen.draw(self._core)[0], self._info()

    def step(self, action):
        if not self._playing:
            raise ResetNeeded("the game is not running; call reset() before step()")
        rewards, ended = self._core.step(_checked_actions(np.asarray(action).reshape(-1), 1))
        self._playing = not ended[0]
        return (
            self._screen.draw(self._core)[0],
            float(rewards[0]),
            bool(ended[0]),
            False,
            self._info(),
        )

    def render(self) -> np.ndarray | None:
        return self._screen.draw(self._core)[0] if self.render_mode == "rgb_array" else None

    def _info(self) -> dict:
        return {
            "left_score": int(self._core.left_score[0]),
            "right_score": int(self._core.right_score[0]),
        }


class RealPongVector(gymnasium.vector.VectorEnv):
    """`num_envs` games of RealPong, stepped and drawn as arrays. Lane i with seed s is exactly
    RealPong with seed s.

    reset(seed=) takes None, a number (lane i gets seed + i) or a list of numbers and None, one a
    lane; options={"reset_mask": (B,) bool} restarts some lanes only. Under SAME_STEP
    info["final_obs"] holds the frame that each lane's step ended in, with the mask "_final_obs" for
    those that finished; under DISABLED a finished lane must be reset before the next step.
    max_episode_steps: None is the game's own limit, -1 none.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 30}

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        **options: Any,
    ):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, got {num_envs}")
        single = RealPong(render_mode=render_mode, **options)
        core = single._core
        self._core = PongCore(num_envs, core.points_to_win, core.bounce_reward, core.frame_skip)
        self._screen, self.num_envs, self.render_mode = single._screen, num_envs, render_mode
        self.autoreset_mode = AutoresetMode(getattr(autoreset_mode, "value", autoreset_mode))
        self.metadata = {**single.metadata, "autoreset_mode": self.autoreset_mode}
        self._limit = _step_limit(max_episode_steps)
        self.single_observation_space, self.single_action_space = (
            single.observation_space,
            single.action_space,
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._generators: list[np.random.Generator] = []
        self._steps, self._finished = np.zeros(num_envs, np.int64), np.ones(num_envs, bool)

    def world_spec(self) -> dict:
        """As RealPong.world_spec."""
        return _world_spec(self._core, self._screen.size, self._limit)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ):
        mask = self._reset_mask(options or {})
        lanes = mask.nonzero()[0]
        seeds = (
            [None if seed is None else int(seed) + i for i in range(self.num_envs)]
            if not _listed(seed)
            else seed
        )
        if len(seeds) != self.num_envs:
            raise ValueError(f"seeds are one a lane, {self.num_envs} in all; got {len(seeds)}")
        if not self._generators:
            self._generators = [seeding.np_random(None)[0] for _ in range(self.num_envs)]
        for lane in lanes:
            if seeds[lane] is not None:
                self._generators[lane] = seeding.np_random(int(seeds[lane]))[0]
        self._restart(lanes)
        return self._screen.draw(self._core), self._info(mask)

    def step(self, actions):
        """(frames (B, S, S, 3) uint8, rewards (B,) float64, terminations (B,), truncations (B,),
        info).
        """
        if not self._generators:
            raise ResetNeeded("no game is running; call reset() before step()")
        waiting = self._finished.copy()
        if waiting.any() and self.autoreset_mode is AutoresetMode.DISABLED:
            raise ResetNeeded(
                f"lanes {waiting.nonzero()[0].tolist()} have finished; reset them by 'reset_mask' "
                "first"
            )
        rewards, ended = self._core.step(_checked_actions(actions, self.num_envs))
        self._steps += 1
        cut = self._steps >= self._limit
        if waiting.any():  # NEXT_STEP: these lanes ignore their action and begin anew
            self._restart(waiting.nonzero()[0])
            rewards[waiting], ended, cut = 0.0, ended & ~waiting, cut & ~waiting
        self._finished = ended | cut
        frames, info = self._screen.draw(self._core), self._info(np.ones(self.num_envs, bool))
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._finished.any():
            frames, info = self._restart_finished(frames, info)
        return frames, rewards, ended, cut, info

    def render(self) -> tuple[np.ndarray, ...] | None:
        return tuple(self._screen.draw(self._core)) if self.render_mode == "rgb_array" else None

    def _restart(self, lanes: np.ndarray) -> None:
        self._core.reset(lanes, [self._generators[lane] for lane in lanes])
        self._steps[lanes] = 0
        self._finished[lanes] = False

    def _restart_finished(self, frames: np.ndarray, info: dict) -> tuple[np.ndarray, dict]:
        """Starts finished lanes within the step; what they ended in goes to info."""
        done = self._finished.copy()
        self._restart(done.nonzero()[0])
        final = {"final_obs": frames, "_final_obs": done, "final_info": info, "_final_info": done}
        return self._screen.draw(self._core), {**self._info(np.ones(self.num_envs, bool)), **final}

    def _reset_mask(self, options: dict[str, Any]) -> np.ndarray:
        unknown = set(options) - {"reset_mask"}
        if unknown:
            raise ValueError(f"unknown reset options {sorted(unknown)}; there is 'reset_mask'")
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.dtype != bool or mask.shape != (self.num_envs,) or not mask.any():
            raise ValueError(
                f"reset_mask is ({self.num_envs},) bool with at least one True, got {mask}"
            )
        if not self._generators and not mask.all():
            raise ResetNeeded(
                "the first reset starts every lane: call reset() without a reset_mask first"
            )
        return mask

    def _info(self, mask: np.ndarray) -> dict:
        scores = {
            "left_score": self._core.left_score.copy(),
            "right_score": self._core.right_score.copy(),
        }
        return {**scores, **{f"_{key}": mask.copy() for key in scores}}


def _world_spec(core: PongCore, size: int, limit: int) -> dict:
    return {
        "world": "pong",
        "frame_shape": [size, size, 3],
        "action_names": list(ACTIONS),
        "reward_values": sorted({-1.0, 0.0, 1.0, float(core.bounce_reward)}),
        "fps": _frames_per_second(core.frame_skip),
        "max_episode_steps": limit,
    }


def _frames_per_second(frame_skip: int) -> int:
    return round(FRAMES_PER_SECOND / frame_skip)


def _listed(seed: Any) -> bool:
    return isinstance(seed, (list, tuple, np.ndarray))


def _step_limit(steps: int | None) -> int:
    if steps is not None and steps != -1 and steps < 1:
        raise ValueError(f"max_episode_steps must be at least 1, or -1 for none, got {steps}")
    return MAX_EPISODE_STEPS if steps is None else 2**62 if steps == -1 else steps


def _checked_actions(actions: Any, lanes: int) -> np.ndarray:
    """(B,) int64; InvalidAction where one is no action of this game."""
    actions = np.asarray(actions)
    whole = actions.dtype.kind in "iu" and actions.shape == (lanes,)
    if not whole or ((actions < 0) | (actions >= len(ACTIONS))).any():
        raise InvalidAction(
            f"an action, one a game, is one of 0 stay, 1 up, 2 down; got {actions.tolist()}"
        )
    return actions.astype(np.int64)


def _check_options(points_to_win, bounce_reward, frame_skip, size, render_mode) -> None:
    """Refuses options that make no game, each with a sentence."""
    for name, value, most in (
        ("points_to_win", points_to_win, MOST_POINTS),
        ("frame_skip", frame_skip, MOST_SKIPPED),
    ):
        if not isinstance(value, (int, np.integer)) or not 1 <= value <= most:
            raise ValueError(f"{name} must be a whole number from 1 to {most}, got {value!r}")
    if not 0 <= bounce_reward < math.inf:
        raise ValueError(f"bounce_reward must be 0 or more, got {bounce_reward}")
    for name, value, allowed in (
        ("size", size, SIZES),
        ("render_mode", render_mode, (None, "rgb_array")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}")
