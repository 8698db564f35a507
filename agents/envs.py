"""The table of worlds: each is a pair of Gymnasium ids, the game and its dream.

Any other game is known by a bundle.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv
from stable_baselines3.common.vec_env import VecFrameStack, VecMonitor

from agents.ppo.vec_env import SB3VecEnv
from collectors.recording.collect import read_options
from collectors.worlds.any_game import twin_options
from neural_envs.bundles import resolve_bundle
from neural_envs.ray_vector_env import make_lanes

Kind = Literal["dream", "real"]


@dataclass(frozen=True)
class World:
    """`real` and `dream` are "module:id", so that they work in any process; `bundle` is the dream's
    released model.

    `event` names what a positive reward is paid for; `ranking` are policies from random to the
    best, the last one. `options` are those of the real game.
    """

    real: str
    dream: str
    bundle: str
    event: str
    ranking: tuple[str, ...]
    options: dict = field(default_factory=dict)


def _world(name: str, title: str, event: str, ranking: tuple[str, ...]) -> World:
    return World(
        f"collectors:Real{title}-v0", f"neural_envs:Neural{title}-v0", name, event, ranking
    )


def _noisy(policy: str, *noise: float) -> tuple[str, ...]:
    """Random and sticky play, then `policy` with less and less noise, then without."""
    return ("random", "sticky", *(f"{policy}:{share:g}" for share in noise), policy)


WORLDS = {
    "snake": _world("snake", "Snake", "apples", _noisy("astar", 0.6, 0.4, 0.2, 0.1, 0.05)),
    "pong": _world("pong", "Pong", "points", _noisy("scripted", 0.8, 0.6, 0.4, 0.2, 0.1)),
    "worldmap": _world("worldmap", "WorldMap", "landfalls", _noisy("coast", 0.8, 0.6, 0.4, 0.2)),
    "coinrun": _world(
        "coinrun",
        "CoinRun",
        "coins",
        ("random", "sticky", "right:0.2", "right:0.4", "right:0.6", "right"),
    ),
}


WORLD_HELP = "the world: " + ", ".join(WORLDS) + "; with --bundle and no name the bundle's"


class UnknownWorldError(ValueError):
    """The world or its kind is not in the table; the message lists what is."""


def find_world(name: str, bundle: str | None = None) -> World:
    """Return a world of the table, or the game that a bundle dreams: any Gymnasium game, by its
    id.
    """
    if name in WORLDS:
        return WORLDS[name]
    spec = bundle_spec(bundle) if bundle else {}
    if name != spec.get("world"):
        known = ", ".join(WORLDS) + (
            f", and of this bundle {spec['world']}" if spec else "; for others give a bundle"
        )
        raise UnknownWorldError(f"unknown world {name!r}; the worlds are {known}")
    ranking, options = ("random", "sticky"), twin_options(spec)
    return World(
        "collectors:AnyGame-v0", "neural_envs:NeuralEnv-v0", bundle, "rewards", ranking, options
    )


def bundle_spec(bundle: str) -> dict:
    """Return what a bundle says of its world, a WorldSpec as dict."""
    return json.loads((resolve_bundle(bundle) / "config.json").read_text())["spec"]


def named_world(words: Sequence[str], otherwise: str) -> str:
    """Return the world that a command line is about: its first word, else that of its --bundle,
    else `otherwise`.
    """
    if words and not words[0].startswith("-") and "=" not in words[0]:
        return words[0]
    bundle = re.search(r"(?:^|\n)(?:--)?bundle[=\n]([^\n]+)", "\n".join(words))
    return bundle_spec(bundle[1])["world"] if bundle else otherwise


def env_id(name: str, kind: Kind, bundle: str | None = None) -> str:
    """Return the "module:id" of a world's dream or real game."""
    if kind not in ("dream", "real"):
        raise UnknownWorldError(f"unknown kind of world {kind!r}; it is 'dream' or 'real'")
    return getattr(find_world(name, bundle), kind)


def make_vector_env(identifier: str, num_envs: int, **settings) -> VectorEnv:
    """Make "module:id" with `num_envs` lanes in SAME_STEP mode: the id's own vector env, else one
    env after another.
    """
    return _made(
        make_lanes, identifier, settings, num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP
    )


def _made(make, identifier: str, settings: dict, **rest):
    """Return make(identifier, ...); an option that the game does not know is a ValueError that
    names the game.
    """
    try:
        return make(identifier, **rest, **settings)
    except TypeError as error:
        raise ValueError(f"{identifier} cannot be made with {settings}: {error}") from error


def env_settings(
    name: str, kind: Kind, bundle: str | None = None, options: Sequence[str] = ()
) -> dict:
    """Return the constructor settings of a world's dream, its bundle, or of its real game, with
    `options` as ("levels=test",) for it.
    """
    if kind == "dream":
        return {"bundle": bundle} if bundle else {}
    return {**find_world(name, bundle).options, **read_options(tuple(options))}


def dream_settings(min_trust: float | None, starts: str, horizon: int | None) -> dict[str, Any]:
    """Return what a dream to train in is made with beyond its bundle.

    min_trust: end it, as a truncation, where it believes itself less. starts: a recording in which
    it begins anywhere. horizon: steps after which it is cut short, and the value of what comes next
    is the learner's guess: a dream is the nearer to the game the younger it is (branched rollouts:
    Janner et al. 2019, "When to Trust Your Model", arXiv:1906.08253).
    """
    settings = {"min_trust": min_trust, "starts": starts or None, "max_episode_steps": horizon}
    return {name: value for name, value in settings.items() if value is not None}


def action_count(identifier: str, **settings) -> int:
    """Return how many actions "module:id" has."""
    env = _made(gym.make, identifier, settings, disable_env_checker=True)
    try:
        return int(env.action_space.n)
    finally:
        env.close()


def make_world(
    name: str,
    kind: Kind,
    num_envs: int,
    seed: int,
    bundle: str | None = None,
    stack: int = 1,
    options: Sequence[str] = (),
    dreamed: Mapping[str, Any] = MappingProxyType({}),
    make: Callable[..., VectorEnv] = make_vector_env,
) -> VecMonitor | VecFrameStack:
    """Make a seeded, monitored stable-baselines3 VecEnv of a world's dream or real game.

    With `stack` > 1 an observation is that many frames, the newest last, in the channels; zeros
    before the first. `options` are the real game's, as ("levels=test",), `dreamed` the dream's, as
    `dream_settings` returns them; raises ValueError where those are given for a real game. `make`
    is what makes the lanes, as `make_vector_env` does.
    """
    if dreamed and kind != "dream":
        raise ValueError(f"{', '.join(dreamed)} are for dreams; leave them out in the real game")
    settings = {**env_settings(name, kind, bundle, options), **dreamed}
    env = SB3VecEnv(make(env_id(name, kind, bundle), num_envs, **settings))
    env.seed(seed)
    monitored = VecMonitor(env)
    return VecFrameStack(monitored, stack, channels_order="last") if stack > 1 else monitored


def weights_fingerprint(name: str, bundle: str | None = None) -> str:
    """Return the sha256 of the weights that a world's dream runs on."""
    weights = resolve_bundle(bundle or find_world(name).bundle) / "model.safetensors"
    return hashlib.sha256(weights.read_bytes()).hexdigest()
