"""Any Gymnasium game with discrete actions as frames of one size:
`collectors:AnyGame-v0`, `collect --env ID`.
"""

import importlib
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from collectors.extras import optional
from collectors.worlds.lane_arguments import check_action
from collectors.worlds.real_game import RENDER_MODES, RealGameEnv

# register ids
PACKAGES = {"ALE/": "ale_py", "MiniGrid-": "minigrid", "BabyAI-": "minigrid", "procgen": "procgen"}
LIMIT = 10_000  # steps, for a game that sets itself none
SMALLEST_IMAGE = 16  # a smaller array is a coded observation


class AnyGameError(gymnasium.error.Error):
    """A game that cannot be collected; the message says why."""


class AnyGame(RealGameEnv):
    """The game `env` (a Gymnasium id, also module:id),
    its frames resized to (size, size, 3) uint8 by area.

    A frame is the observation where that is an image, else what `render()` gives as an rgb_array;
    `source` is which ("auto", "observation", "render"). `reward` is "raw" or "sign". `max_steps`
    0 is the game's own limit, or 10 000. Other options go to the game. Raises AnyGameError for a
    game without discrete actions or without images.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 30}

    def __init__(
        self,
        env: str,
        size: int = 64,
        reward: str = "raw",
        source: str = "auto",
        max_steps: int = 0,
        render_mode: str | None = None,
        **options,
    ):
        _check_options(size, reward, source, max_steps)
        self.name, self.size, self.reward, self.render_mode = env, size, reward, render_mode
        self.game, self.renders = _make(env, source, options)
        if not isinstance(self.game.action_space, spaces.Discrete):
            raise AnyGameError(
                f"{env} has the actions {self.game.action_space}; a dream needs discrete ones"
            )
        self._first_action = int(self.game.action_space.start)
        self._count = int(self.game.action_space.n)
        self.action_space = spaces.Discrete(self._count)
        self.observation_space = spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.metadata = {
            **self.metadata,
            "render_fps": int(self.game.metadata.get("render_fps") or 30),
        }
        self.limit = (
            max_steps or (self.game.spec.max_episode_steps if self.game.spec else 0) or LIMIT
        )
        self._names = self._action_names()
        self._frame, self._steps = np.zeros((size, size, 3), np.uint8), 0

    def world_spec(self) -> dict:
        """The fields of `world_models.protocols.WorldSpec`;
        raw rewards are left open, to be found in the data.
        """
        return {
            "world": self.name,
            "frame_shape": [self.size, self.size, 3],
            "action_names": self._names,
            "reward_values": [-1.0, 0.0, 1.0] if self.reward == "sign" else [],
            "fps": self.metadata["render_fps"],
            "max_episode_steps": self.limit,
        }

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        observation, info = self.game.reset(
            seed=None if seed is None else seed % 2**31, options=options
        )
        self._steps = 0
        frame = self._observe(observation)
        self.shown()
        return frame, info

    def step(self, action):
        self.check_open()
        action = check_action(action, self._names) + self._first_action
        observation, reward, terminated, truncated, info = self.game.step(action)
        self._steps += 1
        reward = float(np.sign(float(reward))) if self.reward == "sign" else float(reward)
        frame, cut = self._observe(observation), bool(truncated) or self._steps >= self.limit
        self.shown()
        return frame, reward, bool(terminated), cut, info

    def image(self) -> np.ndarray:
        return self._frame.copy()

    def close(self) -> None:
        super().close()
        self.game.close()

    def _observe(self, observation) -> np.ndarray:
        """A fresh frame, which is also what `render` shows after the step."""
        self._frame = resized(
            np.asarray(self.game.render() if self.renders else observation), self.size
        )
        return self._frame.copy()

    def get_keys_to_action(self) -> dict[tuple, int]:
        """Keys for `gymnasium.utils.play`: the game's own,
        else the first ten actions by their numbers.
        """
        own = getattr(self.game.unwrapped, "get_keys_to_action", None)
        if own is None:
            return {(str(action),): action for action in range(min(10, self._count))}
        return {keys: int(action) - self._first_action for keys, action in own().items() if keys}

    def _action_names(self) -> list[str]:
        meanings = getattr(self.game.unwrapped, "get_action_meanings", None)
        enumeration = getattr(self.game.unwrapped, "actions", None)  # MiniGrid's way
        if meanings is not None:
            names = [str(name).lower() for name in meanings()]
        else:
            members: Any = enumeration if isinstance(enumeration, type) else ()
            names = [str(action.name) for action in members]
        return names if len(names) == self._count else [str(i) for i in range(self._count)]


def twin_options(spec: dict) -> dict:
    """The options with which `AnyGame` plays the game that a world specification (a WorldSpec as
    dict) was read from; `source` and the game's own options are not in it."""
    signs = [float(value) for value in spec["reward_values"]] == [-1.0, 0.0, 1.0]
    return {
        "env": spec["world"],
        "size": spec["frame_shape"][0],
        "reward": "sign" if signs else "raw",
        "max_steps": spec["max_episode_steps"],
    }


def resized(image: np.ndarray, size: int) -> np.ndarray:
    """(H, W), (H, W, 1) or (H, W, 3) uint8 -> (size, size, 3) uint8;
    larger images are averaged over areas.
    """
    image = np.asarray(image, np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    shrinks = min(image.shape[:2]) >= size
    cv2 = optional("cv2")
    method = cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST
    return np.ascontiguousarray(cv2.resize(image, (size, size), interpolation=method))


def _make(name: str, source: str, options: dict) -> tuple[gymnasium.Env, bool]:
    """The game, and whether its frames come from `render()`. Raises AnyGameError."""
    for prefix, package in PACKAGES.items():
        if name.startswith(prefix):
            _import(package, name)
    game = gymnasium.make(name, disable_env_checker=True, **options)
    if source != "render" and is_image(game.observation_space):
        return game, False
    if source == "observation" or "rgb_array" not in game.metadata.get("render_modes", []):
        game.close()
        raise AnyGameError(
            f"{name} has no images: it observes {game.observation_space} and renders no rgb_array"
        )
    game.close()
    return gymnasium.make(name, disable_env_checker=True, render_mode="rgb_array", **options), True


def _import(package: str, name: str) -> None:
    try:
        importlib.import_module(package)  # registers its ids
    except ModuleNotFoundError as error:
        distribution = package.replace("_", "-")
        raise AnyGameError(
            f"{name} needs {package}, which is not installed: pip install {distribution}"
        ) from error


def is_image(space: spaces.Space) -> bool:
    """Whether the observations of a space are images."""
    if (
        not isinstance(space, spaces.Box)
        or space.dtype != np.uint8
        or len(space.shape) not in (2, 3)
    ):
        return False
    return min(space.shape[:2]) >= SMALLEST_IMAGE and (
        len(space.shape) == 2 or space.shape[2] in (1, 3)
    )


def _check_options(size: int, reward: str, source: str, max_steps: int) -> None:
    if size < 8:
        raise AnyGameError(f"size is at least 8 pixels, got {size}")
    if max_steps < 0:
        raise AnyGameError(f"max_steps is 0 (the game's own limit) or more, got {max_steps}")
    for name, value, allowed in (
        ("reward", reward, ("raw", "sign")),
        ("source", source, ("auto", "observation", "render")),
    ):
        if value not in allowed:
            raise AnyGameError(f"{name} must be one of {allowed}, got {value!r}")
