"""What all real games share as Gymnasium environments: names of actions, and how they are shown."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium.error import ClosedEnvironmentError

from collectors.render_window import Window
from collectors.worlds.lane_arguments import whole_seed

RENDER_MODES = ("rgb_array", "human")


class RealGameEnv(gymnasium.Env):
    """A game in frames. A subclass gives `world_spec` and `image`, and sets `render_mode`.

    Under render_mode="human" every reset and step shows its frame in a window, at the game's speed.
    """

    metadata: dict[str, Any] = {"render_modes": list(RENDER_MODES), "render_fps": 10}
    _window: Window | None = None
    _closed = False

    def world_spec(self) -> dict[str, Any]:
        """What a dream of this game must know: the fields of `world_models.protocols.WorldSpec`."""
        raise NotImplementedError

    def image(self) -> np.ndarray:
        """What the game shows now, (H, W, 3) uint8, an array of the caller's own."""
        raise NotImplementedError

    def get_action_meanings(self) -> list[str]:
        """The names of the actions, in their order, as Atari's environments have them."""
        return list(self.world_spec()["action_names"])

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        """To be called first by the reset of a subclass: a generator of that seed.

        Raises SeedError, and ClosedEnvironmentError after `close`.
        """
        self.check_open()
        super().reset(seed=None if seed is None else whole_seed(seed))

    def render(self) -> np.ndarray | None:
        """rgb_array: (H, W, 3) uint8. human: None; the frame is in the window."""
        if self.render_mode is None:
            gymnasium.logger.warn(
                'render() shows nothing: make the environment with render_mode="rgb_array" or '
                '"human".'
            )
            return None
        image = self.image()
        if self.render_mode == "rgb_array":
            return image
        if self._window is None:
            title = f"neural-envs: the real {self.world_spec()['world']}"
            self._window = Window(title, int(self.metadata["render_fps"]))
        self._window.show(image)
        return None

    def close(self) -> None:
        """Close the window; calling it twice is fine, playing on afterwards is not."""
        self._closed = True
        if self._window is not None:
            self._window.close()
            self._window = None

    def shown(self) -> None:
        """To be called at the end of reset and of step: the window follows."""
        if self.render_mode == "human":
            self.render()

    def check_open(self) -> None:
        """To be called first by step. Raises ClosedEnvironmentError after `close`."""
        if self._closed:
            raise ClosedEnvironmentError("this game was closed: make a new one with gymnasium.make")
