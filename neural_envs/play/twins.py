"""A dream to be played, its real game beside it, and scripted policies.

Real games and policies are imported by the functions that need them: a dream alone loads neither.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import gymnasium
import numpy as np

from collectors.worlds.table import WORLDS
from neural_envs.own_keys import own_keys
from neural_envs.play.config import PlayConfig
from neural_envs.play.keyboard import Keys
from neural_envs.play.player_view import PlayerView
from neural_envs.play.session import PlaySession, Policy
from neural_envs.registration import register_environments
from world_models.protocols import SamplingOptions
from world_models.sampling_options import DEFAULT_OPTIONS

if TYPE_CHECKING:
    from collectors.policies.policies import AgentMaker as AgentMaker

DEFAULT_WORLD = "snake"


class PlayError(RuntimeError):
    """Something that was asked for is not there; the message is a sentence for the player."""


def make_session(
    config: PlayConfig, reserved: frozenset[int] = frozenset(), agents: AgentMaker | None = None
) -> PlaySession:
    """The worlds and policies that `config` names, ready to be played.

    `reserved` are keys that no action may use; `agents` makes trained agents of files. Raises
    PlayError, or what the bundle raises.
    """
    world = world_name(config)
    dream = make_dream(world, config.device, config.bundle or None)
    unwrapped: Any = dream.unwrapped
    chosen = SamplingOptions(config.sampler_steps or None, config.guidance, config.temperature)
    if chosen != DEFAULT_OPTIONS:
        unwrapped.sampling = chosen
    views = [PlayerView("dream", dream, recorder_of(dream))]
    if config.real or config.twin:
        views.append(PlayerView("real", real_twin(dream, world, config.twin, config.real_options)))
    seed = secrets.randbelow(2**31) if config.seed is None else config.seed
    make_policy = policy_maker(config.policy or default_policy(world), world, agents)
    keys = Keys.of_dream(unwrapped, reserved)
    if config.keys:
        keys = Keys(own_keys(config.keys, unwrapped.simulator.model.spec), reserved)
    session = PlaySession(views, keys, make_policy, share_start, seed)
    if config.policy:
        session.load_policy()
        session.policy_plays = True
    return session


def world_name(config: PlayConfig) -> str:
    """The world that is played: the one named, else the bundle's, else Snake."""
    if config.world or not config.bundle:
        return config.world or DEFAULT_WORLD
    from neural_envs.bundles import load

    return load(config.bundle, config.device).model.spec.world


def default_policy(world: str) -> str:
    """The best policy of a world in the table; "random" for any other game."""
    return WORLDS[world].best_policy if world in WORLDS else "random"


def make_dream(world: str, device: str, bundle: Any = None) -> gymnasium.Env:
    """The dream of a world, by its id where it is in the table.

    `bundle`: a name, directory, repository or loaded Bundle; None is the world's own.
    """
    register_environments()  # those of worlds that were added since this package was imported
    name = WORLDS[world].neural_id if world in WORLDS else "NeuralEnv-v0"
    options = {} if bundle is None else {"bundle": bundle}
    return gymnasium.make(name, device=device, disable_env_checker=True, **options)


def real_twin(
    dream: gymnasium.Env, world: str, twin: str = "", words: tuple[str, ...] = ()
) -> gymnasium.Env:
    """The real game beside a dream of `world`: the game of id `twin`, with options as
    ("continuous=true",), else the world's own.

    A game that is not in the table is shown in frames of the dream's size, and only if `twin` names
    it: what a bundle says is not imported. Raises PlayError where the game must be named, is not
    installed, or has other spaces than the dream.
    """
    if world not in WORLDS and not twin:
        raise PlayError(
            f"the bundle says that it dreams {world!r}, and no game is imported because a file "
            f"says so: if you know that game, name it with --twin {world}"
        )
    name, identifier, options = _game_of(dream, world, twin, words)
    try:
        real = gymnasium.make(identifier, disable_env_checker=True, **options)
    except (ImportError, gymnasium.error.Error) as error:
        # what is there and fails is a Gymnasium error and a ValueError of ours, with its own words
        fails = isinstance(error, ValueError) and not isinstance(
            error, gymnasium.error.DependencyNotInstalled
        )
        what = "cannot be shown" if fails else "is not here"
        raise PlayError(f"the real game {name} {what} ({error}); play the dream alone") from error
    except TypeError as error:
        raise PlayError(f"the real game {name} does not take these options: {error}") from error
    if real.observation_space != dream.observation_space or real.action_space != dream.action_space:
        raise PlayError(
            f"the dream ({dream.observation_space}, {dream.action_space}) and the real game "
            f"({real.observation_space}, {real.action_space}) do not fit; choose that game's "
            "bundle or play the dream alone"
        )
    return real


def _game_of(
    dream: gymnasium.Env, world: str, twin: str, words: tuple[str, ...]
) -> tuple[str, str, dict[str, Any]]:
    """The name of the game of `real_twin`, the id by which it is made, and its options."""
    from collectors.recording.named_game import read_options
    from collectors.worlds.any_game import twin_options
    from collectors.worlds.registration import ANY_GAME
    from collectors.worlds.registration import register_environments as register_real_games

    register_real_games()
    given = dict(read_options(words))
    if (world in WORLDS and not twin) or twin.startswith("collectors:"):
        name = twin or WORLDS[world].real_id
        return name, name, given
    unwrapped: Any = dream.unwrapped
    options = twin_options(unwrapped.world.as_dict())
    name = twin or options["env"]
    return name, ANY_GAME["id"], {**options, "env": name, **given}


def recorder_of(dream: gymnasium.Env) -> Any:
    """A recorder for a dream; None for another environment, which no file can describe."""
    from neural_envs.env import NeuralEnv
    from neural_envs.replays.recorder import DreamRecorder

    return DreamRecorder() if isinstance(dream.unwrapped, NeuralEnv) else None


def policy_maker(
    name: str, world: str = "", agents: AgentMaker | None = None
) -> Callable[[Any], Policy]:
    """A function from `ActionSpace.for_policies` to a world's policy of this name.

    Calling it raises PolicyError where there is no such policy.
    """

    def make(actions: Any) -> Policy:
        from collectors.policies.policies import make_policy

        return make_policy(name, actions, WORLDS.get(world), agents)

    return make


def policy_names(world: str) -> list[str]:
    """The policies of a world that need no number after their name."""
    from collectors.policies.policies import makers_of

    return list(makers_of(WORLDS.get(world)))


def share_start(frame: np.ndarray) -> dict[str, Any]:
    """The reset options with which a dream starts from this frame (H, W, C) uint8."""
    return {"context": frame}
