"""The table of worlds: each is a pair of Gymnasium ids, the game and its dream."""

import importlib
from dataclasses import dataclass
from typing import Literal

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecMonitor

from .vec_env import SB3VecEnv

Kind = Literal["dream", "real"]


@dataclass(frozen=True)
class World:
    """`real` and `dream` are "module:id", so that they work in any process; `bundle` is the dream's released model."""

    real: str
    dream: str
    bundle: str


WORLDS = {
    "snake": World(real="collectors:RealSnake-v0", dream="neural_envs:NeuralSnake-v0", bundle="snake"),
}


class UnknownWorldError(ValueError):
    """The world or its kind is not in the table; the message lists what is."""


def find_world(name: str) -> World:
    if name not in WORLDS:
        raise UnknownWorldError(f"unknown world {name!r}; the worlds are {', '.join(WORLDS)}")
    return WORLDS[name]


def env_id(name: str, kind: Kind) -> str:
    """Return the "module:id" of a world's dream or real game."""
    if kind not in ("dream", "real"):
        raise UnknownWorldError(f"unknown kind of world {kind!r}; it is 'dream' or 'real'")
    return getattr(find_world(name), kind)


def make_vector_env(identifier: str, num_envs: int, **settings) -> VectorEnv:
    """Make "module:id" with `num_envs` lanes in SAME_STEP mode: the id's own vector env, else one env after another."""
    module, _, bare = identifier.rpartition(":")
    if module:
        importlib.import_module(module)
    if gym.spec(bare).vector_entry_point is not None:
        return gym.make_vec(bare, num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP.value, **settings)
    lanes = {"autoreset_mode": AutoresetMode.SAME_STEP}
    return gym.make_vec(bare, num_envs=num_envs, vectorization_mode="sync", vector_kwargs=lanes, **settings)


def dream_settings(kind: Kind, bundle: str | None) -> dict:
    """Return the constructor settings that a bundle means: none in the real game, which has no model."""
    return {"bundle": bundle} if kind == "dream" and bundle else {}


def make_world(name: str, kind: Kind, num_envs: int, seed: int, bundle: str | None = None) -> VecMonitor:
    """Make a seeded, monitored stable-baselines3 VecEnv of a world's dream or real game."""
    env = SB3VecEnv(make_vector_env(env_id(name, kind), num_envs, **dream_settings(kind, bundle)))
    env.seed(seed)
    return VecMonitor(env)
