"""The real CoinRun: `RealCoinRun-v0`, 64x64 pixels drawn by the C++ engine.

Run right, jump, take the coin.

B lanes.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode

from collectors.settings.values import check_choice
from collectors.worlds.coinrun.game import ACTIONS, CoinRunGame, CoinRunOptions
from collectors.worlds.lane_arguments import check_action
from collectors.worlds.real_game import RENDER_MODES, RealGameEnv
from collectors.worlds.vector_env import LaneVectorEnv

FPS = 15


def _world_spec(options: CoinRunOptions, max_episode_steps: int | None) -> dict:
    return {
        "world": "coinrun",
        "frame_shape": list(options.frame_shape),
        "action_names": list(ACTIONS),
        "reward_values": [0.0, 10.0],
        "fps": FPS,
        "max_episode_steps": max_episode_steps or 1000,
    }


class RealCoinRun(RealGameEnv):
    """Run right, jump, take the coin: CoinRun of the Procgen benchmark.

    Levels are generated, and a level's number decides all of it; those from 10000 on are held out.
    The C++ engine is EnvPool's, with the extra `coinrun`.

    Actions: left, right, up (jump) and down (from a crate), and their combinations. Six more keys
    of the benchmark do nothing in CoinRun.

    Observation: a frame of the level around the player. The engine never returns a game's last
    frame, so the one before is repeated (`terminal_frame`). One frame shows no speeds: look at
    four.

    Reward: 10 for the coin.

    Start: at the left of a level that the seed draws; `reset(options={"level": 7})` asks for one.

    Termination: the coin, an enemy, a saw, lava.

    Truncation: after 1000 steps.

    Info: `level`; `split_key`, as "test:10003": the split in which all episodes of the level are;
    `coin`, whether it was taken in this step.

    Arguments:
        distribution_mode: "easy": one look. "hard": background, ground and player vary, and there
            are more enemies.
        levels: "train" plays `num_levels` levels from `start_level` on, "validation" levels 9000 to
            9049, "test" levels 10000 to 10999, "split" all three, 88 : 4 : 8 by episode.
        num_levels: how many levels are for training; 0 is all there are.
        start_level: the first of them.
        observation: "rgb" (64, 64, 3), or "grey84": (84, 84, 1), gray.
        stack: frames in an observation, oldest first, in the channels; None is 1 of rgb, 4 of gray.
        terminal_frame: "hold" repeats the last frame seen; "mark" draws a border around it, green
            for the coin and red for death.
        render_mode: "rgb_array", "human" (a window) or None.

    Versions: `v0`, the first one.
    """

    metadata = {"render_modes": list(RENDER_MODES), "render_fps": FPS}
    idle_action = 4  # what it means to press no key
    options_class = CoinRunOptions
    option_names = tuple(field.name for field in dataclasses.fields(CoinRunOptions))

    def __init__(self, render_mode: str | None = None, **options):
        check_choice("render_mode", render_mode, (None, *RENDER_MODES))
        self.render_mode, self.options = render_mode, CoinRunOptions(**options)
        self._game = CoinRunGame(self.options)
        self.observation_space = spaces.Box(0, 255, self.options.frame_shape, np.uint8)
        self.action_space = spaces.Discrete(len(ACTIONS))

    def world_spec(self) -> dict:
        """What a dream of this game must know: the fields of `world_models.protocols.WorldSpec`."""
        return _world_spec(
            self.options, self.spec.max_episode_steps if self.spec is not None else None
        )

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Keys for `gymnasium.utils.play`; with none pressed it takes its `noop`,
        which is to be `idle_action`.
        """
        return keys_to_action()

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        observation = self._game.start(self.np_random, (options or {}).get("level"))
        self.shown()
        return observation, self._game.info()

    def step(self, action):
        self.check_open()
        self._game.send(check_action(action, ACTIONS))
        outcome = self._game.receive()
        self.shown()
        return *outcome, self._game.info()

    def image(self) -> np.ndarray:
        return self._game.image.copy()


class RealCoinRunVector(LaneVectorEnv):
    """B games of RealCoinRun, each engine in a thread of its own: see `LaneVectorEnv`.

    `reset(options={"level": 7})` asks for one level in all lanes that are reset.
    """

    single_class = RealCoinRun
    reset_options = ("level",)

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        autoreset_mode: str | AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
        **options: Any,
    ):
        super().__init__(num_envs, max_episode_steps, autoreset_mode, render_mode, **options)
        self._games = [CoinRunGame(self.single.options) for _ in range(num_envs)]
        self._observations = np.zeros((num_envs, *self.single.options.frame_shape), np.uint8)

    def begin(self, lanes: np.ndarray, options: Mapping[str, Any]) -> None:
        for lane in lanes:
            self._observations[lane] = self._games[lane].start(
                self.generators[lane], options.get("level")
            )

    def advance(
        self, actions: np.ndarray, moving: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        rewards = np.zeros(self.num_envs)
        ended, cut = np.zeros(self.num_envs, bool), np.zeros(self.num_envs, bool)
        lanes = np.flatnonzero(moving)
        for lane in lanes:  # all engines work at the same time
            self._games[lane].send(int(actions[lane]))
        for lane in lanes:
            outcome = self._games[lane].receive()
            self._observations[lane], rewards[lane], ended[lane], cut[lane] = outcome
        return rewards, ended, cut

    def observe(self) -> np.ndarray:
        return self._observations.copy()

    def describe(self, mask: np.ndarray) -> dict[str, Any]:
        infos = [game.info() for game in self._games]
        kinds: dict[str, Any] = {"level": np.int64, "split_key": object, "coin": bool}
        columns = {key: np.array([info[key] for info in infos], kinds[key]) for key in kinds}
        return {**columns, **{f"_{key}": mask.copy() for key in kinds}}

    def images(self) -> tuple[np.ndarray, ...]:
        return tuple(game.image.copy() for game in self._games)


def keys_to_action() -> dict[tuple[str, ...], int]:
    """a/d run, w jumps, s goes down from a crate; two at once where the engine has it."""
    pairs = {("a", "s"): 0, ("a", "w"): 2, ("d", "s"): 6, ("d", "w"): 8}
    return {("a",): 1, ("s",): 3, ("w",): 5, ("d",): 7, **pairs}
