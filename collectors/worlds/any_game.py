"""Any Gymnasium game as frames of one size: `collectors:AnyGame-v0`, `collect --env ID`."""

from typing import Any

import numpy as np
from gymnasium import spaces

from collectors.worlds.any_game_checks import (
    fields,
    fps_of,
    image_of,
    in_game,
    limit_of,
    number_of,
)
from collectors.worlds.any_game_images import AnyGameError, height_and_width, resized
from collectors.worlds.any_game_source import (
    actions_of,
    check_options,
    close_game,
    make_game,
    names_of,
    to_game,
)
from collectors.worlds.default_keys import default_keys
from collectors.worlds.lane_arguments import check_action, check_in_space
from collectors.worlds.real_game import RENDER_MODES, RealGameEnv

LIMIT = 10_000  # steps, for a game that sets itself none


class AnyGame(RealGameEnv):
    """The game `env` (a Gymnasium id, also module:id), its frames resized by area.

    A frame is the observation where that is an image (the newest one of a stack of images, or the
    image `key` of a Dict), else what `render()` gives as an rgb_array; `source` is which ("auto",
    "observation", "render"). Frames are (H, W, C) uint8: `size` is a side or "HEIGHTxWIDTH", in
    whole patches of 4 pixels up to 128; `color` is "rgb" or "gray". Actions are those of the game,
    a Box in float32; `out_of_range` says whether numbers beyond its bounds are an error ("refuse")
    or become the bounds ("clip"). `reward` is "raw" or "sign". `max_steps` 0 is the game's own
    limit, or 10 000 where it has none, or one above 100 000. Other options go to the game.

    Raises AnyGameError, a sentence, for a game without images, for one whose actions no dream can
    have (see `ActionSpace`), and while it is played for what it raises itself, for a reward that is
    no finite number and for what is no image.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": 30}

    def __init__(
        self,
        env: str,
        size: int | str = 64,
        reward: str = "raw",
        source: str = "auto",
        max_steps: int = 0,
        render_mode: str | None = None,
        color: str = "rgb",
        key: str = "",
        out_of_range: str = "refuse",
        **options,
    ):
        choices = {"reward": reward, "source": source, "color": color, "out_of_range": out_of_range}
        check_options(size, max_steps, choices)
        self.name, self.reward, self.render_mode = env, reward, render_mode
        self.clips = out_of_range == "clip"
        self.shape = (*height_and_width(size), 1 if color == "gray" else 3)
        self.game, self.source = make_game(env, source, key, options)
        self._actions = actions_of(self.game, env)
        self.action_space = self._actions.to_gymnasium()
        self.observation_space = spaces.Box(0, 255, self.shape, np.uint8)
        self.metadata = {**self.metadata, "render_fps": fps_of(self.game.metadata)}
        self.limit = max_steps or limit_of(self.game, LIMIT)
        self._described = self._actions.spec_fields(names_of(self.game))
        self._frame, self._steps = np.zeros(self.shape, np.uint8), 0

    def world_spec(self) -> dict:
        """The fields of `world_models.protocols.WorldSpec`;
        raw rewards are left open, to be found in the data.
        """
        return {
            "world": self.name,
            "frame_shape": list(self.shape),
            **self._described,
            "reward_values": [-1.0, 0.0, 1.0] if self.reward == "sign" else [],
            "fps": self.metadata["render_fps"],
            "max_episode_steps": self.limit,
        }

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        with in_game(self.name, "reset"):
            given = self.game.reset(seed=None if seed is None else seed % 2**31, options=options)
        observation, info = fields(given, "observation, info", self.name, "reset")
        self._steps = 0
        frame = self._observe(observation)
        self.shown()
        return frame, info

    def step(self, action):
        self.check_open()
        checked, count = self._checked(action), self._steps + 1
        with in_game(self.name, f"step {count}"):
            given = self.game.step(checked)
        expected = "observation, reward, terminated, truncated, info"
        observation, reward, terminated, truncated, info = fields(
            given, expected, self.name, "step"
        )
        self._steps = count
        reward = number_of(reward, self.reward == "sign", self.name, count)
        frame, cut = self._observe(observation), bool(truncated) or count >= self.limit
        self.shown()
        return frame, reward, bool(terminated), cut, info

    def image(self) -> np.ndarray:
        return np.repeat(self._frame, 3 // self.shape[2], 2)

    def close(self) -> None:
        super().close()
        close_game(self.game)

    def _checked(self, action) -> Any:
        """The action in the form in which the game takes it."""
        if self._actions.is_plain:
            return check_action(action, self._described["action_names"])
        names = self._described["action_names"]
        row = check_in_space(action, self._actions, names, clip=self.clips)
        return to_game(row, self.game.action_space)

    def _observe(self, observation) -> np.ndarray:
        """A fresh frame, which is also what `render` shows after the step."""
        renders = self.source.renders
        with in_game(self.name, f"what it shows after step {self._steps}"):
            try:
                found = self.game.render() if renders else self.source.of(observation)
            except NotImplementedError:
                raise AnyGameError(
                    f"{self.name} has no images: it names rgb_array among its render_modes, and "
                    "its render() is not written"
                ) from None
        self._frame = resized(image_of(found, renders, self.name), self.shape)
        return self._frame.copy()

    def get_keys_to_action(self) -> dict[tuple, Any]:
        """Keys for `gymnasium.utils.play`: the game's own, else those of its action space."""
        game: Any = self.game.unwrapped
        try:
            own = game.get_keys_to_action().items()
        except Exception:  # it has none, or none for these options, as continuous=True of ALE
            return default_keys(self._actions)
        if self._actions.is_discrete:
            return {keys: int(action) for keys, action in own if keys}
        return {keys: np.asarray(action, self._actions.dtype) for keys, action in own}


def twin_options(spec: dict) -> dict:
    """The options with which `AnyGame` plays the game that a world specification (a WorldSpec as
    dict) was read from; `source` and the game's own options are not in it."""
    signs = [float(value) for value in spec["reward_values"]] == [-1.0, 0.0, 1.0]
    height, width, channels = spec["frame_shape"]
    options = {
        "env": spec["world"],
        "size": height if height == width else f"{height}x{width}",
        "reward": "sign" if signs else "raw",
        "max_steps": spec["max_episode_steps"],
    }
    return options | ({"color": "gray"} if channels == 1 else {})
