"""The real CoinRun: `RealCoinRun-v0`, 64x64 pixels drawn by the C++ engine. Run right, jump, take
the coin.

B lanes.
"""

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv

from collectors.worlds.coinrun.game import ACTIONS, CoinRunGame, CoinRunOptions

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


class RealCoinRun(gymnasium.Env):
    """Reward 10 for the coin, which ends the game; an enemy, a saw, lava end it without. Time is up
    after 1000 steps.

    Options (keywords, see `CoinRunOptions`): `distribution_mode`, `levels`, `num_levels`,
    `start_level`, `observation`, `stack`, `terminal_frame`. `reset(seed=...)` decides the level and
    so, with the actions, the whole episode; `reset(options={"level": 7})` asks for one level.
    `info` holds `level`, `split_key` ("train:7", "validation:9000", "test:10000": episodes of a
    level belong to one split) and `coin` (it was taken in this step).
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}
    idle_action = 4  # what it means to press no key

    def __init__(self, render_mode: str | None = None, **options):
        self.render_mode, self.options = _render_mode(render_mode), CoinRunOptions(**options)
        self._game = CoinRunGame(self.options)
        self.observation_space = spaces.Box(0, 255, self.options.frame_shape, np.uint8)
        self.action_space = spaces.Discrete(len(ACTIONS))

    def world_spec(self) -> dict:
        """What a dream of this game must know: the fields of `world_models.protocols.WorldSpec`."""
        return _world_spec(
            self.options, self.spec.max_episode_steps if self.spec is not None else None
        )

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Keys for `gymnasium.utils.play`; with none pressed it takes its `noop`, which is to be
        `idle_action`.
        """
        return keys_to_action()

    def reset(self, *, seed: int | None = None, options: dict | None = None):
        super().reset(seed=seed)
        observation = self._game.start(self.np_random, (options or {}).get("level"))
        return observation, self._game.info()

    def step(self, action):
        self._game.send(int(action))
        return *self._game.receive(), self._game.info()

    def render(self) -> np.ndarray | None:
        return self._game.picture.copy() if self.render_mode == "rgb_array" else None


class RealCoinRunVector(VectorEnv):
    """B games of RealCoinRun side by side, with the same options; each engine has a thread of its
    own.

    Lane i of `reset(seed=s)` plays the game of one environment reset with s + i; `seed` may be a
    list with a seed or None for each lane, and `options={"reset_mask": (B,) bool}` resets some
    lanes only. All autoreset modes are there: SAME_STEP puts the last observation into
    `infos["final_obs"]`. In DISABLED an ended lane must be reset before the next step; ResetNeeded
    otherwise.
    """

    metadata = {
        "render_modes": ["rgb_array"],
        "render_fps": FPS,
        "autoreset_mode": AutoresetMode.SAME_STEP,
    }

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        **options,
    ):
        self.num_envs, self.render_mode, self.options = (
            num_envs,
            _render_mode(render_mode),
            CoinRunOptions(**options),
        )
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**self.metadata, "autoreset_mode": self.autoreset_mode}
        self._limit = max_episode_steps
        self._games = [CoinRunGame(self.options, max_episode_steps) for _ in range(num_envs)]
        self._generators = [seeding.np_random()[0] for _ in range(num_envs)]
        self._observations = np.zeros((num_envs, *self.options.frame_shape), np.uint8)
        self._ended = np.zeros(num_envs, bool)
        self.single_observation_space = spaces.Box(0, 255, self.options.frame_shape, np.uint8)
        self.single_action_space = spaces.Discrete(len(ACTIONS))
        self.observation_space = gymnasium.vector.utils.batch_space(
            self.single_observation_space, num_envs
        )
        self.action_space = gymnasium.vector.utils.batch_space(self.single_action_space, num_envs)

    def world_spec(self) -> dict:
        """As that of RealCoinRun."""
        return _world_spec(self.options, self._limit)

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        """Keys for `gymnasium.utils.play`; with none pressed it takes its `noop`, which is to be
        `idle_action`.
        """
        return keys_to_action()

    def reset(self, *, seed: int | list[int | None] | None = None, options: dict | None = None):
        options = options or {}
        mask = np.asarray(options.get("reset_mask", np.ones(self.num_envs, bool)))
        if mask.shape != (self.num_envs,) or mask.dtype != bool:
            raise ValueError(
                f"reset_mask must be ({self.num_envs},) bool, got {mask.shape} {mask.dtype}"
            )
        seeds = (
            [seed + i for i in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
        )
        seeds = [None] * self.num_envs if seeds is None else list(seeds)
        if len(seeds) != self.num_envs:
            raise ValueError(f"{len(seeds)} seeds for {self.num_envs} lanes")
        for lane in np.flatnonzero(mask):
            if seeds[lane] is not None:
                self._generators[lane] = seeding.np_random(int(seeds[lane]))[0]
            self._start(lane, options.get("level"))
        return self._observations.copy(), self._infos(mask)

    def step(self, actions):
        fresh = self._ended.copy()  # lanes that are reset instead of stepped
        if fresh.any() and self.autoreset_mode is not AutoresetMode.NEXT_STEP:
            raise gymnasium.error.ResetNeeded(
                f"lanes {np.flatnonzero(fresh).tolist()} have ended; reset them first"
            )
        rewards, terminations, truncations = (
            np.zeros(self.num_envs),
            np.zeros_like(fresh),
            np.zeros_like(fresh),
        )
        for lane in np.flatnonzero(~fresh):
            self._games[lane].send(int(actions[lane]))
        for lane in range(self.num_envs):
            if fresh[lane]:
                self._start(lane)
                continue
            outcome = self._games[lane].receive()
            self._observations[lane], rewards[lane], terminations[lane], truncations[lane] = outcome
        self._ended = terminations | truncations
        infos = self._infos(np.ones(self.num_envs, bool))
        if self.autoreset_mode is AutoresetMode.SAME_STEP and self._ended.any():
            infos = self._restart(infos)
        return self._observations.copy(), rewards, terminations, truncations, infos

    def render(self) -> tuple[np.ndarray, ...] | None:
        return (
            tuple(game.picture.copy() for game in self._games)
            if self.render_mode == "rgb_array"
            else None
        )

    def _start(self, lane: int, level: int | None = None) -> None:
        self._observations[lane] = self._games[lane].start(self._generators[lane], level)
        self._ended[lane] = False

    def _restart(self, final: dict) -> dict:
        """Starts the ended lanes; returns their infos with `final` and the last observations
        inside.
        """
        ended, last = self._ended.copy(), np.full(self.num_envs, None, object)
        for lane in np.flatnonzero(ended):
            last[lane] = self._observations[lane].copy()
            self._start(lane)
        infos = self._infos(np.ones(self.num_envs, bool))
        return {
            **infos,
            "final_obs": last,
            "_final_obs": ended,
            "final_info": final,
            "_final_info": ended,
        }

    def _infos(self, mask: np.ndarray) -> dict:
        """The infos of the lanes in `mask`, as Gymnasium has them: an array and a mask for each
        key.
        """
        infos = [game.info() for game in self._games]
        levels, coins = (
            np.array([info["level"] for info in infos]),
            np.array([info["coin"] for info in infos]),
        )
        keys = np.array([info["split_key"] for info in infos], object)
        masks = {"_level": mask, "_split_key": mask, "_coin": mask}
        return {"level": levels, "split_key": keys, "coin": coins, **masks}


def _render_mode(mode: str | None) -> str | None:
    if mode not in (None, "rgb_array"):
        raise ValueError(f"render_mode must be None or 'rgb_array', got {mode!r}")
    return mode


def keys_to_action() -> dict[tuple[str, ...], int]:
    """a/d run, w jumps, s goes down from a crate; two at once where the engine has it."""
    pairs = {("a", "s"): 0, ("a", "w"): 2, ("d", "s"): 6, ("d", "w"): 8}
    return {("a",): 1, ("s",): 3, ("w",): 5, ("d",): 7, **pairs}
