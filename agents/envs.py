"""The environments that agents play: a world's real game and its dream, as Gymnasium makes them.

Everything about a world is read from its row in `collectors.worlds.table`. Any other game is known
by a bundle that dreams it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import gymnasium as gym
from gymnasium.vector import AutoresetMode, VectorEnv

from collectors.action_space import ActionSpace
from collectors.recording.named_game import read_options
from collectors.settings.run_command import first_word, option
from collectors.worlds.any_game import twin_options
from collectors.worlds.registration import unknown_option
from collectors.worlds.table import WORLDS, UnknownNameError, unknown
from neural_envs.bundles import resolve_bundle
from neural_envs.ray_vector_env import make_lanes
from world_models.bundles.reading import read_config
from world_models.protocols import SamplingOptions

Kind = Literal["dream", "real"]
Backend = Literal["auto", "eager", "compile", "onnx", "openvino", "openvino-bf16", "cuda-graph"]
DEVICE_HELP = "where dreams are computed and agents learn, as cuda"
BACKEND_HELP = "what runs dreams: auto, the fastest here, or one of docs/speed.md"
TRAINING_BACKEND_HELP = BACKEND_HELP.replace("dreams", "the dreams that agents learn in")
KINDS: tuple[Kind, ...] = ("dream", "real")
WORLD_HELP = "the world: " + ", ".join(WORLDS) + "; with --bundle and no name the bundle's"
NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Twins:
    """The real game of a world and its dream.

    `real` and `dream` are "module:id", so that they work in any process; `bundle` is the dream's
    model. `event` names what gives a positive reward. `ranking` are policies from random to
    the best, which is the last. `options` are constructor settings of the real game.
    """

    real: str
    dream: str
    bundle: str
    event: str
    ranking: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)


def find_twins(name: str, bundle: str | None = None) -> Twins:
    """The game and the dream of a world of the table, or of the game that a bundle dreams.

    Raises UnknownNameError with the nearest name.
    """
    if name in WORLDS:
        row = WORLDS[name]
        real, dream = f"collectors:{row.real_id}", f"neural_envs:{row.neural_id}"
        return Twins(real, dream, row.name, row.event, row.ranking)
    if bundle is None:
        remedy = "for another game give a bundle of it, as --bundle FOLDER"
        raise UnknownNameError(f"{unknown('world', name, WORLDS)}; {remedy}")
    spec = bundle_spec(bundle)
    if name != spec["world"]:
        raise UnknownNameError(unknown("world", name, [*WORLDS, spec["world"]]))
    ranking, options = ("random", "sticky"), twin_options(spec)
    return Twins(
        "collectors:AnyGame-v0", "neural_envs:NeuralEnv-v0", bundle, "rewards", ranking, options
    )


def bundle_spec(bundle: str) -> dict[str, Any]:
    """What a bundle says of its world, a WorldSpec as dict."""
    return read_config(resolve_bundle(bundle))["spec"]


def named_world(words: Sequence[str], default: str, real: bool = True) -> str:
    """The world of a command line: its first word, else that of its --bundle, else `default`.

    `real`: whether the command plays the real game. Then a bundle may only name a world of the
    table: another game would be imported because a file says so. Raises UnknownNameError.
    """
    if (name := first_word(words) or option(words, "name")) is not None:
        return name
    bundle = option(words, "bundle")
    if bundle is None:
        return default
    world = bundle_spec(bundle)["world"]
    if real and world not in WORLDS:
        raise UnknownNameError(
            f"the bundle says that it dreams {world!r}, and no game is imported because a file "
            f"says so: if you know that game, name it as the first word, {world}"
        )
    return world


def env_id(name: str, kind: Kind, bundle: str | None = None) -> str:
    """The "module:id" of a world's dream or real game. Raises UnknownNameError."""
    if kind not in KINDS:
        raise UnknownNameError(unknown("kind of environment", kind, KINDS))
    twins = find_twins(name, bundle)
    return twins.dream if kind == "dream" else twins.real


def env_settings(
    name: str,
    kind: Kind,
    bundle: str | None = None,
    options: Sequence[str] = (),
    dreamed: Mapping[str, Any] = NOTHING,
) -> dict[str, Any]:
    """The constructor settings of a world's dream or real game.

    `options` are for the real game, as ("levels=test",), and left out of a dream; `dreamed` are for
    the dream, as `dream_settings` returns them. Raises ValueError where those are given for a real
    game.
    """
    if kind == "dream":
        return {**({"bundle": bundle} if bundle else {}), **dreamed}
    if dreamed:
        raise ValueError(f"{', '.join(dreamed)} are for dreams; leave them out in the real game")
    return {**find_twins(name, bundle).options, **read_options(tuple(options))}


def dream_settings(
    min_trust: float | None,
    starts: str,
    horizon: int | None,
    backend: str = "eager",
    device: str = "cpu",
    output: str = "numpy",
) -> dict[str, Any]:
    """The constructor settings of a dream to train in, beyond its bundle.

    `min_trust`: truncate it where its trust falls below. `starts`: a dataset; the dream begins
    anywhere in its training episodes. `horizon`: truncate it after that many steps and bootstrap
    from the learner's value, because a dream is closest to the game in its first steps (branched
    rollouts: Janner et al. 2019, "When to Trust Your Model", arXiv:1906.08253). `backend`: what
    runs it (docs/speed.md). `device`: where it is computed. `output`: "torch" for frames that stay
    there.
    """
    settings = {
        "min_trust": min_trust,
        "starts": starts or None,
        "max_episode_steps": horizon,
        "backend": None if backend == "eager" else backend,
        "device": None if device == "cpu" else device,
        "output": None if output == "numpy" else output,
    }
    return {name: value for name, value in settings.items() if value is not None}


def sampling_settings(device: str, sampling: SamplingOptions) -> dict[str, Any]:
    """The constructor settings of a dream that is computed on `device` and drawn so."""
    return {
        "device": device,
        "sampler_steps": sampling.steps,
        "guidance": sampling.guidance,
        "temperature": sampling.temperature,
    }


def make_vector_env(identifier: str, num_envs: int, **settings: Any) -> VectorEnv:
    """Make "module:id" with `num_envs` lanes in SAME_STEP mode, by its own vector env if any.

    Raises ValueError where the game does not know one of `settings`.
    """
    return _made(
        make_lanes, identifier, settings, num_envs=num_envs, autoreset_mode=AutoresetMode.SAME_STEP
    )


def game_actions(identifier: str, **settings: Any) -> int | ActionSpace:
    """The actions of "module:id", as `make_policy` takes them: their number where they count from
    0. Raises ValueError as `make_vector_env`, and for actions that no dream has.
    """
    env = _made(gym.make, identifier, settings, disable_env_checker=True)
    try:
        return policy_actions(env.action_space)
    finally:
        env.close()


def policy_actions(space: gym.Space) -> int | ActionSpace:
    """The same for an environment's action space."""
    return ActionSpace.from_gymnasium(space).for_policies


def discrete_actions(actions: int | ActionSpace, what: str = "this") -> int:
    """The number of actions that count from 0. Raises ValueError, a sentence that begins with
    `what`, for any others.
    """
    if not isinstance(actions, int):
        raise ValueError(f"{what} needs Discrete actions that count from 0, not {actions}")
    return actions


def _made(make, identifier: str, settings: Mapping[str, Any], **rest: Any):
    """make(identifier, ...); a setting that the game does not know is a ValueError naming both."""
    try:
        return make(identifier, **rest, **settings)
    except TypeError as error:
        reason = unknown_option(identifier, settings)
        raise ValueError(
            f"{identifier} cannot be made: {reason}"
            if reason
            else f"{identifier} cannot be made with {settings}: {error}"
        ) from error


def weights_fingerprint(name: str, bundle: str | None = None) -> str:
    """The sha256 of the weights that a world's dream runs on, in hexadecimal; of a bundle whose
    sampler was set anew since (`sampler_since` in its provenance) that of its settings too.
    """
    folder = resolve_bundle(bundle or find_twins(name).bundle)
    found = hashlib.sha256((folder / "model.safetensors").read_bytes())
    config = read_config(folder)  # as it is stored: what later versions add is not in it
    if "sampler_since" in config["provenance"]:
        found.update(json.dumps(config["model"], sort_keys=True).encode())
    return found.hexdigest()
