"""The real Pong: `RealPong-v0`, alone or B games at once in one vector environment."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode

from collectors.settings.values import check_choice
from collectors.worlds.lane_arguments import check_action
from collectors.worlds.pong.frames import SIZES, PongState, decode_frames, renderer_of
from collectors.worlds.pong.physics import PongCore
from collectors.worlds.real_game import RENDER_MODES, RealGameEnv
from collectors.worlds.vector_env import LaneVectorEnv

__all__ = ["PongState", "RealPong", "RealPongVector"]

ACTIONS = ("stay", "up", "down")
MOST_POINTS, MOST_SKIPPED = 21, 8
MAX_EPISODE_STEPS = 3000
FRAMES_PER_SECOND = 60  # of the engine; one of our frames is `frame_skip` of its


class RealPong(RealGameEnv):
    """Pong against a paddle that follows the ball, with the rules of PufferLib's: first to five.

    The agent has the right paddle. The left one follows the ball at 8 units per substep, so a point
    is won by a ball that rises or falls faster: a paddle that moves as it hits adds 3, up to 13. An
    action holds for `frame_skip` substeps, of which there are 60 per second.

    Actions: the paddle stays, or moves by 8 of the court's 640 units per substep.

    Observation: a frame with the score as a row of pips above the court; at `size=24` there is no
    score. The step that scores shows the new pip together with the next serve, the last one of a
    game too. One frame shows no speeds: look at two.

    Reward: +1 for a point won, -1 for one lost, `bounce_reward` for a ball returned.

    Start: both paddles in the middle; the ball is served from the left towards the agent, level or
    falling slightly, at random.

    Termination: one side has `points_to_win` points.

    Truncation: after 3000 steps.

    Info: `left_score` and `right_score`, the points of the opponent and of the agent.

    Arguments:
        points_to_win: points that end a game, 1 to 21.
        bounce_reward: reward for each ball returned, 0 or more; the original engine pays 0.1.
        frame_skip: substeps per step, 1 to 8.
        size: pixels per side of a frame, 64 or 24.
        render_mode: "rgb_array", "human" (a window) or None.

    Versions: `v0`, the first one.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 30}
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
        self._renderer = renderer_of(size, points_to_win)
        self.render_mode, self._playing = render_mode, False
        self.metadata = {**type(self).metadata, "render_fps": _frames_per_second(frame_skip)}
        self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = spaces.Discrete(len(ACTIONS))

    def world_spec(self) -> dict:
        """What a dream of this game must know: the fields of `world_models.protocols.WorldSpec`."""
        limit = self.spec.max_episode_steps if self.spec is not None else None
        return _world_spec(self._core, self._renderer.size, limit or MAX_EPISODE_STEPS)

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Keys for `gymnasium.utils.play`."""
        return {("w",): 1, ("s",): 2}

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        self._core.reset(np.zeros(1, np.int64), [self.np_random])
        self._playing = True
        self.shown()
        return self.image(), self._info()

    def step(self, action):
        self.check_open()
        if not self._playing:
            raise ResetNeeded("the game is not running; call reset() before step()")
        rewards, ended = self._core.step(np.array([check_action(action, ACTIONS)]))
        self._playing = not ended[0]
        self.shown()
        return self.image(), float(rewards[0]), bool(ended[0]), False, self._info()

    def image(self) -> np.ndarray:
        return self._renderer.draw(self._core)[0]

    def _info(self) -> dict:
        return {
            "left_score": int(self._core.left_score[0]),
            "right_score": int(self._core.right_score[0]),
        }


class RealPongVector(LaneVectorEnv):
    """`num_envs` games of RealPong, stepped and drawn as arrays: see `LaneVectorEnv`."""

    single_class = RealPong

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **options: Any,
    ):
        super().__init__(num_envs, max_episode_steps, autoreset_mode, render_mode, **options)
        core = self.single._core
        self._core = PongCore(num_envs, core.points_to_win, core.bounce_reward, core.frame_skip)
        self._renderer = self.single._renderer

    def begin(self, lanes: np.ndarray, options: Mapping[str, Any]) -> None:
        self._core.reset(lanes, [self.generators[lane] for lane in lanes])

    def advance(
        self, actions: np.ndarray, moving: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rewards, ended = self._core.step(actions)
        return rewards, ended, np.zeros_like(ended)

    def observe(self) -> np.ndarray:
        return self._renderer.draw(self._core)

    def describe(self, mask: np.ndarray) -> dict[str, Any]:
        scores: dict[str, Any] = {
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
    check_choice("size", size, SIZES)
    check_choice("render_mode", render_mode, (None, *RENDER_MODES))
