"""Tiny games whose actions have parts: a dot that a Box or a MultiDiscrete action moves, in
observations of several forms.
"""

import gymnasium
import numpy as np
from gymnasium import spaces

SIDE = 24


class Dot(gymnasium.Env):
    """A bright dot; a Box action (dx, dy) in [-2, 2] x [0, 4] moves it. Pays 1 on the right."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    action_space: spaces.Space = spaces.Box(np.float32([-2, 0]), np.float32([2, 4]))
    observation_space: spaces.Space = spaces.Box(0, 255, (SIDE, SIDE, 3), np.uint8)

    def __init__(self, length: int = 12, render_mode=None):
        self.length, self.render_mode = length, render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count, self.taken = 0, []
        self.place = self.np_random.uniform(4, SIDE - 4, 2)
        return self.observed(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.count += 1
        self.taken.append(action)
        self.place = np.clip(self.place + self.moved(action), 2, SIDE - 3)
        reward = float(self.place[1] > SIDE / 2)
        return self.observed(), reward, self.count >= self.length, False, {}

    def moved(self, action):
        """The motion (rows, columns) of an action."""
        return np.array([action[1] - 2, action[0]])

    def image(self):
        """(SIDE, SIDE, 3) uint8."""
        frame = np.zeros((SIDE, SIDE, 3), np.uint8)
        row, column = self.place.round().astype(int)
        frame[row - 2 : row + 3, column - 2 : column + 3] = 255, 160, 40
        return frame

    def observed(self):
        """What a step observes."""
        return self.image()

    def render(self):
        return self.image()


class Pad(Dot):
    """A MultiDiscrete action: 0 to 2 left, none, right; 3 or 4 up, down."""

    action_space = spaces.MultiDiscrete([3, 2], start=[0, 3])

    def moved(self, action):
        return np.array([2 * (2 * (action[1] - 3) - 1), 2 * (action[0] - 1)])


class Buttons(Dot):
    """A MultiBinary action; the observation is a Dict with one image."""

    action_space = spaces.MultiBinary(3)
    observation_space = spaces.Dict(
        {"camera": Dot.observation_space, "speed": spaces.Box(0, 1, (2,))}
    )

    def moved(self, action):
        return np.array([2.0 * action[0], 2.0 * action[1] - 2.0 * action[2]])

    def observed(self):
        return {"camera": self.image(), "speed": np.zeros(2, np.float32)}


class Stacked(Dot):
    """Observes the last four gray images, the newest one last."""

    observation_space = spaces.Box(0, 255, (4, SIDE, SIDE), np.uint8)

    def observed(self):
        return np.stack([np.zeros((SIDE, SIDE), np.uint8)] * 3 + [self.image()[..., 0]])


class Planes(Dot):
    """Observes its image with the channels first."""

    observation_space = spaces.Box(0, 255, (3, SIDE, SIDE), np.uint8)

    def observed(self):
        return self.image().transpose(2, 0, 1)


class Rendered(Dot):
    """Observes numbers; its image is rendered. Its bounds are float64."""

    observation_space = spaces.Box(-1, 1, (3,))
    action_space = spaces.Box(-0.1, 0.1, (2,), np.float64)

    def observed(self):
        return np.zeros(3, np.float32)


class Cameras(Buttons):
    """Two images."""

    observation_space = spaces.Dict(dict.fromkeys(("left", "right"), Dot.observation_space))

    def observed(self):
        return {"left": self.image(), "right": self.image() // 2}


class Tangled(Dot):
    """Actions that no dream can have."""

    action_space = spaces.Tuple((spaces.Discrete(2), spaces.Box(0, 1, (1,))))


GAMES = (Dot, Pad, Buttons, Stacked, Planes, Rendered, Cameras, Tangled)


def register() -> None:
    """Dot-v0 and the others; calling it again changes nothing."""
    for game in GAMES:
        if f"{game.__name__}-v0" not in gymnasium.registry:
            place = f"tests.collectors.parts_games:{game.__name__}"
            gymnasium.register(f"{game.__name__}-v0", entry_point=place)
