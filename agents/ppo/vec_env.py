"""The adapter from a Gymnasium `VectorEnv` to a stable-baselines3 `VecEnv`, for dreams and games.

N lanes; observations are passed on as they are, (N, H, W, C) uint8.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecEnv, VecFrameStack, VecMonitor

from agents.envs import Kind, env_id, env_settings, make_vector_env
from collectors.action_space import ActionSpace


class SB3VecEnv(VecEnv):
    """A Gymnasium vector env in SAME_STEP mode, as stable-baselines3 needs it.

    Every info has `TimeLimit.truncated`; that of a finished lane also has `terminal_observation`,
    the true last frame. PPO bootstraps the value of a truncated episode only when both are there.
    Its actions are encoded ones (see `ActionSpace`): they count from 0, and numbers are in [-1, 1],
    where PPO's first draws are. Raises ValueError for any other autoreset mode.
    """

    def __init__(self, env: VectorEnv):
        mode = env.metadata.get("autoreset_mode")
        if mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                "stable-baselines3 needs autoreset_mode=AutoresetMode.SAME_STEP, this env has "
                f"{mode!r}"
            )
        self.env = env
        self._space = ActionSpace.from_gymnasium(env.single_action_space)
        self._actions = np.zeros(env.num_envs, dtype=np.int64)
        actions = self._space.encoded().to_gymnasium()
        super().__init__(env.num_envs, env.single_observation_space, actions)

    @property
    def spec(self):
        return self.env.spec  # VecMonitor reads `spec.id`

    def reset(self) -> np.ndarray:
        options = self._options[0] or None  # a vector env takes one set of options
        observations, infos = self.env.reset(seed=self._seeds[0], options=options)
        self.reset_infos = self._split(infos)
        self._reset_seeds()
        self._reset_options()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions if self._space.is_plain else self._space.decode(actions)

    def step_wait(self):
        observations, rewards, terminations, truncations, infos = self.env.step(self._actions)
        final_frames = infos.pop("final_obs", None)
        final_infos = self._split(infos.pop("final_info", {}))
        lanes = self._split(infos)
        dones = terminations | truncations
        for lane in np.flatnonzero(dones):
            # In SAME_STEP mode the values outside `final_info` are those of the new episode.
            self.reset_infos[lane] = lanes[lane]
            lanes[lane] = {**final_infos[lane], "terminal_observation": final_frames[lane]}
        for lane, info in enumerate(lanes):
            info["TimeLimit.truncated"] = bool(truncations[lane] and not terminations[lane])
        return observations, rewards.astype(np.float32), dones, lanes

    def _split(self, infos: dict[str, Any]) -> list[dict[str, Any]]:
        """Turn {key: (N, ...) array, "_key": (N,) mask} into one dict per lane."""
        lanes: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for key, values in infos.items():
            if key.startswith("_"):
                continue
            present = infos.get(f"_{key}", np.ones(self.num_envs, dtype=bool))
            values = self._split(values) if isinstance(values, dict) else values
            for lane in np.flatnonzero(present):
                lanes[lane][key] = values[lane]
        return lanes

    def close(self) -> None:
        self.env.close()

    def get_images(self):
        return list(self.env.render() or ())

    def get_attr(self, attr_name: str, indices=None) -> list[Any]:
        return [getattr(self.env, attr_name)] * self._count(indices)

    def set_attr(self, attr_name: str, value: Any, indices=None) -> None:
        setattr(self.env, attr_name, value)

    def env_method(self, method_name: str, *args, indices=None, **kwargs) -> list[Any]:
        return [getattr(self.env, method_name)(*args, **kwargs)] * self._count(indices)

    def env_is_wrapped(self, wrapper_class, indices=None) -> list[bool]:
        return [False] * self._count(indices)

    def _count(self, indices) -> int:
        return len(list(self._get_indices(indices)))


def sb3_env(env: VectorEnv, seed: int, stack: int = 1) -> VecMonitor | VecFrameStack:
    """A vector env as a seeded, monitored stable-baselines3 VecEnv.

    With `stack` > 1 an observation is that many frames, the newest last, in the channels; zeros
    before an episode's first.
    """
    adapted = SB3VecEnv(env)
    adapted.seed(seed)
    monitored = VecMonitor(adapted)
    return VecFrameStack(monitored, stack, channels_order="last") if stack > 1 else monitored


def make_world(
    name: str,
    kind: Kind,
    num_envs: int,
    seed: int,
    bundle: str | None = None,
    stack: int = 1,
    options: Sequence[str] = (),
) -> VecMonitor | VecFrameStack:
    """A world's dream or real game for stable-baselines3: `make_vector_env`, then `sb3_env`.

    `options` are the real game's, as ("levels=test",).
    """
    settings = env_settings(name, kind, bundle, options)
    return sb3_env(make_vector_env(env_id(name, kind, bundle), num_envs, **settings), seed, stack)
