"""`neural-envs play WORLD`, or any bundle: play a dream with the keyboard, alone or beside the real
game.

The real twin and the policies belong to `collectors`, which this package does not import: both are
found by name, and only when they are asked for. A dream alone needs nothing but its bundle.
"""

from __future__ import annotations

import importlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import gymnasium
import numpy as np

from collectors.settings.command import command
from collectors.settings.parse import setting
from collectors.video_writers import WRITERS
from neural_envs.play.keyboard import Keys
from neural_envs.play.session import PlaySession, Side

POLICIES = "collectors.policies.policies:make_policy"
ANY_REAL, ANY_OPTIONS = (
    "collectors:AnyGame-v0",
    "collectors.worlds.any_game:twin_options",
)  # the real twin of other games


class World(NamedTuple):
    """A game by the ids of its dream and its real twin, and the policy that TAB calls. An empty
    `real` is the Gymnasium game after which the bundle's world is called."""

    dream: str
    real: str
    policy: str


WORLDS = {
    "snake": World("neural_envs:NeuralSnake-v0", "collectors:RealSnake-v0", "astar"),
    "pong": World("neural_envs:NeuralPong-v0", "collectors:RealPong-v0", "scripted"),
    "worldmap": World("neural_envs:NeuralWorldMap-v0", "collectors:RealWorldMap-v0", "coast"),
    "coinrun": World("neural_envs:NeuralCoinRun-v0", "collectors:RealCoinRun-v0", "right"),
}
ANY_WORLD = World("neural_envs:NeuralEnv-v0", "", "random")


class PlayError(RuntimeError):
    """Something that was asked for is not there; the message is a sentence for the person at the
    keyboard.
    """


@dataclass(frozen=True)
class PlayConfig:
    """Play a dream. A held key is the action; with no key the world goes on. Keys: R new game, P
    pause, N single step, TAB you or the policy, S snapshot and back to it (shift+S: a new one), 1-9
    sampler steps, G more guidance (shift+G: less), D difference, C resync, F filmstrip of the
    denoising, A film of every action, V record, ESC leave."""

    world: str = setting(
        "", "which game: " + ", ".join(WORLDS) + "; none: the bundle's, without a bundle snake"
    )
    real: bool = setting(
        False, "show the real game beside the dream, with the same start and the same keys"
    )
    twin: str = setting(
        "", "show this real game beside the dream, any Gymnasium id; --real is the world's own"
    )
    policy: str = setting(
        "", "let this policy play from the start (TAB takes over): random or the world's, as astar"
    )
    bundle: str = setting(
        "", "another bundle of any game: released name, directory or Hub repository"
    )
    device: str = setting("cpu", "where the dream is computed, e.g. cuda")
    sampler_steps: int = setting(
        0, "denoising steps a frame, where the model has them; 0 is the bundle's own"
    )
    guidance: float | None = setting(
        None, "guidance on the action, 1 for none; none is the bundle's own"
    )
    difference: bool = setting(
        False, "open the pane with the difference between dream and real game (D)"
    )
    filmstrip: bool = setting(False, "open the pane with the frames from noise to picture (F)")
    fps: int = setting(0, "steps a second; 0 is the world's own pace")
    scale: int = setting(0, "screen pixels a world pixel; 0 is as large as fits")
    max_steps: int = setting(
        0, "leave after this many steps (waiting for the first key counts too); 0 is never"
    )
    record: str = setting("", "record from the start into this .mp4 or .gif")
    dream_file: str = setting(
        "", "save the last dream into this .dream file on leaving; replay and video read it"
    )
    seed: int | None = setting(None, "seed of the first game; none draws one")

    def __post_init__(self) -> None:
        if self.world and self.world not in WORLDS:
            raise ValueError(
                f"there is no world '{self.world}' to play; there are {', '.join(WORLDS)}"
            )
        for name in ("fps", "scale", "max_steps", "sampler_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"setting '{name}' is 0 or more, got {getattr(self, name)}")
        if self.seed is not None and self.seed < 0:
            raise ValueError(f"setting 'seed' is 0 or more, got {self.seed}")
        if self.difference and not (self.real or self.twin):
            raise ValueError(
                "setting 'difference' needs the real game beside the dream: add --real"
            )
        if self.record and not self.record.lower().endswith(tuple(WRITERS)):
            raise ValueError(
                f"setting 'record' is a file name ending in {' or '.join(WRITERS)}, got "
                f"'{self.record}'"
            )
        if self.dream_file and not self.dream_file.endswith(".dream"):
            raise ValueError(
                f"setting 'dream_file' is a file name ending in .dream, got '{self.dream_file}'"
            )


def make_session(config: PlayConfig, reserved: frozenset[int] = frozenset()) -> PlaySession:
    """The worlds and policies that `config` names, ready to be played.

    Raises PlayError, or what the bundle raises.
    """
    played = world_name(config)
    world = WORLDS.get(played, ANY_WORLD)
    bundle = {"bundle": config.bundle} if config.bundle else {}
    dream = gymnasium.make(world.dream, device=config.device, disable_env_checker=True, **bundle)
    for name, chosen in (
        ("sampler_steps", config.sampler_steps or None),
        ("guidance", config.guidance),
    ):
        if chosen is not None:
            setattr(dream.unwrapped, name, chosen)
    sides = [Side("dream", dream, recorder=_recorder(dream))]
    if config.real or config.twin:
        sides.append(Side("real", real_twin(world.real, config.twin, dream)))
    keys = Keys.of(dream.unwrapped, reserved)
    seed = secrets.randbelow(2**31) if config.seed is None else config.seed
    session = PlaySession(
        sides, keys, policy_maker(config.policy or world.policy, played), share_start, seed
    )
    if config.policy:
        session.load_policy()
        session.policy_plays = True
    return session


def world_name(config: PlayConfig) -> str:
    """The world that is played: the one named, else the bundle's, else Snake."""
    if config.world or not config.bundle:
        return config.world or "snake"
    from neural_envs.bundles import load

    return load(config.bundle, config.device).model.spec.world


def policy_maker(name: str, world: str = "") -> Callable[[int], Any]:
    """A function from the number of actions to a world's policy of this name; it imports
    `collectors` when called.
    """

    def make(actions: int) -> Any:
        return from_collectors(POLICIES, f"the policy '{name}'")(name, actions, world=world)

    return make


def run(config: PlayConfig) -> str:
    """Open the window and play until it is closed; return the scores and the files written."""
    try:
        from neural_envs.play.window import RESERVED, Screen, open_display
    except ImportError as error:
        raise PlayError(f"the window needs pygame: pip install pygame ({error})") from error
    open_display()
    session = make_session(config, RESERVED)
    name = world_name(config)
    policy = config.policy or WORLDS.get(name, ANY_WORLD).policy
    screen = Screen(session, name, policy, config.fps, config.scale, config.record)
    screen.open_panes(config.difference, config.filmstrip)
    if name not in WORLDS:
        print(f"keys: {session.keys.described(session.sides[0].env.unwrapped.world.action_names)}")
    screen.run(config.max_steps)
    if config.dream_file and session.sides[0].recorder is not None:
        session.sides[0].dream_file().save(config.dream_file)
    lines = [
        f"{side.title}: return {side.score.return_:g} after {side.score.steps} steps"
        for side in session.sides
    ]
    lines.append(f"game {session.episode}, first one from --seed {session.seed}")
    lines += [f"recorded {path}" for path in screen.recorded]
    if config.dream_file:
        again = f"neural-envs replay {config.dream_file} dreams it again"
        lines.append(f"dream saved as {config.dream_file}; {again}")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """The verb `play`; returns the exit code."""
    return command(PlayConfig, run, argv, "neural-envs play", ("world",))


def real_twin(own: str, twin: str, dream: gymnasium.Env) -> gymnasium.Env:
    """The real game `twin`, else the world's `own`, else the one that the dream is called after; a
    game that is not ours is shown in frames like the dream's. PlayError where it is missing or does
    not fit the dream."""
    name, options = twin or own, {}
    _check_owner("collectors", "the real game")
    identifier = name
    if not (twin.startswith("collectors:") or (own and not twin)):
        options = from_collectors(ANY_OPTIONS, "the real game")(dream.unwrapped.world.as_dict())
        identifier, name = ANY_REAL, name or options["env"]
        options["env"] = name
    try:
        real = gymnasium.make(identifier, disable_env_checker=True, **options)
    except (ImportError, gymnasium.error.Error) as error:
        raise PlayError(
            f"the real game {name} is not here ({error}); play the dream alone"
        ) from error
    if real.observation_space != dream.observation_space or real.action_space != dream.action_space:
        raise PlayError(
            f"the dream ({dream.observation_space}, {dream.action_space}) and the real game "
            f"({real.observation_space}, {real.action_space}) do not fit; choose that game's "
            "bundle "
            "or play the dream alone"
        )
    return real


def _recorder(dream: gymnasium.Env) -> Any:
    """What takes a dream down; None for an environment of another kind, which no file can
    describe.
    """
    from neural_envs.env import NeuralEnv
    from neural_envs.replays.replay_file import DreamRecorder

    return DreamRecorder() if isinstance(dream.unwrapped, NeuralEnv) else None


def share_start(frame: np.ndarray) -> dict[str, Any]:
    """The reset options with which a dream starts from this frame."""
    return {"context": frame}


def from_collectors(reference: str, wanted: str) -> Callable:
    """The function "module:name" of `collectors`; PlayError where that package is somebody
    else's.
    """
    _check_owner("collectors", wanted)
    module, function = reference.split(":")
    return getattr(importlib.import_module(module), function)


def _check_owner(package: str, wanted: str) -> None:
    """PlayError unless the top-level package of that name is this project's."""
    from neural_envs.cli import foreign

    failure = foreign(package)
    if failure is not None:
        raise PlayError(f"{wanted} is not here: {failure.message}")
