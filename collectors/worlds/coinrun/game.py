"""One lane of CoinRun: which level is played, what it shows,
and what stands in for the lost last frame.
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import gymnasium
import numpy as np

from collectors.extras import optional
from collectors.settings.parse import check_settings, setting
from collectors.worlds.coinrun.engine import SIDE, Engine

ACTIONS = (
    "left-down", "left", "left-up", "down", "none", "up", "right-down", "right", "right-up",
    "key-d", "key-a", "key-w", "key-s", "key-q", "key-e",
)  # fmt: skip  # the six keys do nothing in CoinRun
FIRST_DEAD_KEY = ACTIONS.index("key-d")
HELD_OUT = {"validation": range(9000, 9050), "test": range(10_000, 11_000)}
SHARES = {"train": 0.88, "validation": 0.04, "test": 0.08}  # of the episodes, with levels="split"
MARKS = {True: (0, 255, 0), False: (255, 0, 0)}  # the border of terminal_frame="mark": coin, death
LAST_LEVEL = 2**31 - 2


@dataclass(frozen=True)
class CoinRunOptions:
    """The options of RealCoinRun-v0. Raises ValueError where they make no game.

    `distribution_mode`: "easy" (one look) or "hard" (background, ground and agent vary, more
    enemies). `levels`: "train" plays `num_levels` levels from `start_level` on (0: all there are),
    "validation" levels 9000-9049, "test" levels 10000-10999, "split" all three, 88 : 4 : 8 by
    episode, for collecting a dataset. `observation`: "rgb" (64, 64, 3) or "grey84" (84, 84, 1),
    resized bilinearly. `stack`: that many frames, oldest first, in the channels; by default 1 of
    rgb and 4 of grey84, (84, 84, 4). An episode starts with its first frame repeated.
    `terminal_frame`: the engine never draws the frame that shows the end. "hold" repeats the last
    frame seen: the end is to be seen in that everything stops in the middle of a move (measured:
    164 of 164 ends, 163 of them right after a frame that differed; 5 % of the other frames repeat
    theirs), and what ended the game, coin or enemy, is within a step's reach. "mark" draws a 2
    pixel border around it, green for the coin and red for death.
    """

    distribution_mode: Literal["easy", "hard"] = "easy"
    levels: Literal["train", "validation", "test", "split"] = "train"
    num_levels: int = setting(200, least=0)
    start_level: int = setting(0, least=0)
    observation: Literal["rgb", "grey84"] = "rgb"
    stack: int | None = setting(None, least=1)
    terminal_frame: Literal["hold", "mark"] = "hold"

    def __post_init__(self):
        check_settings(self)
        if self.training_levels[-1] > LAST_LEVEL:
            raise ValueError(f"num_levels and start_level must name levels from 0 to {LAST_LEVEL}")
        if self.levels == "split" and self.training_levels[-1] >= HELD_OUT["validation"][0]:
            raise ValueError(
                "num_levels and start_level must stay below level 9000 where levels='split'"
            )

    @property
    def training_levels(self) -> range:
        """The levels of levels="train"."""
        return range(
            self.start_level,
            self.start_level + self.num_levels if self.num_levels else LAST_LEVEL + 1,
        )

    @property
    def depth(self) -> int:
        """Frames in an observation."""
        return self.stack or (4 if self.observation == "grey84" else 1)

    @property
    def frame_shape(self) -> tuple[int, int, int]:
        """(H, W, C) of an observation."""
        return (
            (84, 84, self.depth) if self.observation == "grey84" else (SIDE, SIDE, 3 * self.depth)
        )

    def draw_level(self, generator: np.random.Generator) -> int:
        """A level, uniform in its split."""
        split = (
            generator.choice(list(SHARES), p=list(SHARES.values()))
            if self.levels == "split"
            else self.levels
        )
        levels = HELD_OUT.get(str(split), self.training_levels)
        return levels[int(generator.integers(len(levels)))]


def split_key(level: int) -> str:
    """ "test:10003": the split in which all episodes of this level are, and the level.

    Test starts at level 10000.
    """
    if level >= HELD_OUT["test"][0]:
        return f"test:{level}"
    return f"validation:{level}" if level in HELD_OUT["validation"] else f"train:{level}"


def equivalent_keys(frames: np.ndarray) -> np.ndarray:
    """(N, 15) int64 for frames (N, H, W, C): the key that does what each key does, see
    `collectors.policies.equivalent_keys`. The six keys do nothing, as "none" does.
    """
    keys = np.arange(len(ACTIONS))
    keys[FIRST_DEAD_KEY:] = ACTIONS.index("none")
    return np.tile(keys, (len(frames), 1))


class CoinRunGame:
    """One game with its observation."""

    def __init__(self, options: CoinRunOptions):
        self.options = options
        self._engine = Engine(options.distribution_mode)
        self.image = np.zeros((SIDE, SIDE, 3), np.uint8)  # the newest frame in color
        self._frames: deque[np.ndarray] = deque(maxlen=options.depth)
        self._playing, self._coin, self._level, self._key = False, False, 0, ""

    def start(self, generator: np.random.Generator, level: int | None = None) -> np.ndarray:
        """The first observation in `level`, by default one that the generator draws."""
        self._level = self.options.draw_level(generator) if level is None else int(level)
        if not 0 <= self._level <= LAST_LEVEL:
            raise ValueError(f"levels go from 0 to {LAST_LEVEL}, got {self._level}")
        self._key, self._playing, self._coin = split_key(self._level), True, False
        self.image = self._engine.start(self._level)
        self._frames.extend([self._frame()] * self.options.depth)
        return self._observation()

    def send(self, action: int) -> None:
        """Begins a step; `receive` ends it."""
        if not self._playing:
            raise gymnasium.error.ResetNeeded("the game is not running; call reset() before step()")
        self._engine.send(action)

    def receive(self) -> tuple[np.ndarray, float, bool, bool]:
        """(observation, reward, terminated, truncated) of the step that `send` began."""
        frame, reward, terminated, truncated, self._coin = self._engine.receive()
        self._playing = not (terminated or truncated)
        if frame is not None:
            self.image = frame
        elif terminated and self.options.terminal_frame == "mark":
            self.image = _marked(self.image, self._coin)
        self._frames.append(self._frame())
        return self._observation(), reward, terminated, truncated

    def info(self) -> dict:
        """What reset and step report besides: level, split key,
        and whether the coin was taken in this step.
        """
        return {"level": self._level, "split_key": self._key, "coin": self._coin}

    def _frame(self) -> np.ndarray:
        """The newest frame as the player gets it: (64, 64, 3), or (84, 84, 1)."""
        if self.options.observation == "rgb":
            return self.image
        cv2 = optional("cv2")
        return cv2.resize(cv2.cvtColor(self.image, cv2.COLOR_RGB2GRAY), (84, 84))[..., None]

    def _observation(self) -> np.ndarray:
        return np.concatenate(self._frames, axis=-1)


def _marked(frame: np.ndarray, coin: bool) -> np.ndarray:
    marked = np.empty_like(frame)
    marked[:] = MARKS[coin]
    marked[2:-2, 2:-2] = frame[2:-2, 2:-2]
    return marked
