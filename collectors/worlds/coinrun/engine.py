"""The CoinRun engine (Procgen's, in C++), one level at a time, through envpool.

envpool was chosen over the wheels of procgen because plain pip installs it beside numpy 2 and
Gymnasium 1.x on Python 3.11 and on 3.12 and later, and because it is kept up; those of procgen ask
for numpy < 2, gym and gym3, and end with Python 3.12. The price is 1 GB of disk (assets of other
games come along), half the speed of one lane and no saved states.
"""

import ctypes
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from collectors.extras import install

TASKS = {"easy": "CoinrunEasy-v0", "hard": "CoinrunHard-v0"}
TIMEOUT = 1000  # steps after which the engine ends an episode
SIDE = 64


class Outcome(NamedTuple):
    """What one step of the engine did. `frame` is None where the episode ended: see `Engine`."""

    frame: np.ndarray | None  # (64, 64, 3) uint8
    reward: float  # 10 at the coin, else 0
    terminated: bool  # the coin, or death
    truncated: bool  # the engine's time limit
    coin: bool


class Engine:
    """One game. An episode is decided by its level and the actions alone: nothing in it is random.

    Two facts of the engine shape this class. It seeds itself when it is made, so each level has an
    engine of its own, made anew by `start` (1.6 ms). And when an episode ends it draws the *next*
    one: the frame that shows the end is never drawn, so there is none in the Outcome. It does not
    say whether time was up either: an end at step 1000 without the coin counts as time up, although
    it may be a death in the very last step.
    """

    def __init__(self, distribution_mode: str = "easy"):
        self._envpool, self._task = load_envpool(), TASKS[distribution_mode]
        self._pool: Any = None  # of one environment, made by `start`
        self._level, self._steps = -1, 0

    def start(self, level: int) -> np.ndarray:
        """The first frame of an episode in this level, (64, 64, 3) uint8."""
        if self._pool is None or level != self._level:
            self._pool = self._envpool.make_gymnasium(
                self._task,
                num_envs=1,
                num_threads=1,
                num_levels=1,
                start_level=level,
                channel_first=False,
            )
        self._level, self._steps = level, 0
        return self._pool.reset()[0][0]

    def send(self, action: int) -> None:
        """Begins a step, which the engine takes in a thread of its own; `receive` waits for it."""
        self._pool.send(np.array([action], np.int32))
        self._steps += 1

    def receive(self) -> Outcome:
        """Ends the step that `send` began."""
        frames, rewards, terminated, truncated, info = self._pool.recv()
        ended, coin = bool(terminated[0] or truncated[0]), bool(info["prev_level_complete"][0])
        timeout = ended and not coin and self._steps >= TIMEOUT
        return Outcome(
            None if ended else frames[0],
            float(rewards[0]),
            ended and not timeout,
            timeout,
            ended and coin,
        )


def load_envpool():
    """The module envpool; raises DependencyNotInstalled with the command that installs it."""
    try:
        _preload_qt()
        import envpool
        from envpool.procgen import ProcgenEnvSpec  # noqa: F401  found only where Qt 5 is
    except (ImportError, OSError) as error:
        raise gymnasium.error.DependencyNotInstalled(
            f"RealCoinRun-v0 needs the CoinRun engine, which cannot be loaded ({error}); install "
            f"it with {install('coinrun')}"
        ) from error
    return envpool


def _preload_qt() -> None:
    """envpool 1.2.5 links Qt 5 without bringing it: makes the libraries of PyQt5-Qt5 known, if
    installed.

    envpool 1.2.7 brings Qt 6, which draws sprites and tiles half a pixel off (6 083 frames of the
    same actions: 20 % of the values differ). The recordings and bundles are of Qt 5.
    """
    package = importlib.util.find_spec("PyQt5")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for name in ("libQt5Core.so.5", "libQt5Gui.so.5"):
            library = Path(folder, "Qt5", "lib", name)
            if library.exists():
                ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
