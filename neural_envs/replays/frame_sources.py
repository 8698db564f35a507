"""The frames of a bundle that a policy plays, of a `.dream` file, or of a recorded episode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from collectors.media import to_rgb

if TYPE_CHECKING:
    from neural_envs.env import NeuralEnv
    from neural_envs.play.session import Policy
    from neural_envs.play.twins import AgentMaker


class FrameSource(NamedTuple):
    """Frames (H, W, 3) uint8, made as they are asked for."""

    frames: Iterator[np.ndarray]
    fps: int  # of the world
    about: str  # what they are, for a person


def of_dream_file(
    path: str | Path, steps: int = 0, device: str = "cpu", bundle: Any = None
) -> FrameSource:
    """A `.dream` file, up to `steps` steps; 0 is all of them. `bundle` is dreamed with instead of
    its own. Raises DreamFileError where it is none, BundleError where its bundle is not here.
    """
    from neural_envs.replays.replay_file import DreamFile, own_bundle, replay

    file = DreamFile.load(path)
    bundle = bundle or own_bundle(file)
    count = min(steps or len(file.actions), len(file.actions))
    frames = zip(replay(file, bundle, device), range(count + 1), strict=False)
    about = f"{count} of {len(file.actions)} steps of a dream of {file.world}"
    return FrameSource((frame for frame, _ in frames), fps_of(bundle), about)


def of_episode(path: str | Path, number: int, steps: int = 0) -> FrameSource:
    """Episode `number` of a dataset, up to `steps` steps; 0 is all of them.

    Raises ValueError where there is no such episode.
    """
    from collectors.dataset.dataset import recorded_dataset

    dataset = recorded_dataset(path)
    if number >= len(dataset.episodes):
        raise ValueError(f"{path} has the episodes 0 to {len(dataset.episodes) - 1}, no {number}")
    frames = dataset.episode(number).frames[: steps + 1 if steps else None]
    about = f"{len(frames) - 1} steps of episode {number}, recorded in {dataset.spec['world']}"
    return FrameSource(iter(to_rgb(frames)), int(dataset.spec["fps"]), about)


def of_bundle(
    bundle: str,
    policy: str,
    steps: int,
    seed: int = 0,
    sampler_steps: int | None = None,
    device: str = "cpu",
    agents: AgentMaker | None = None,
) -> FrameSource:
    """`steps` steps of a bundle that a policy plays; a dream that ends is followed by the next one.
    `agents` makes trained agents of files.

    Raises BundleError or PolicyError where there is none of that name.
    """
    from neural_envs.env import NeuralEnv
    from neural_envs.play.twins import policy_maker

    env = NeuralEnv(bundle, device, sampler_steps=sampler_steps)
    actions = env.world.actions.for_policies
    player = policy_maker(policy, env.world.world, agents)(actions)
    about = f"{steps} steps of {env.world.world} dreamed, played by {policy}"
    return FrameSource(_played(env, player, steps, seed), env.world.fps, about)


def fps_of(bundle: Any) -> int:
    """Frames per second of the world that a bundle dreams."""
    from neural_envs import bundles

    return int(bundles.load(bundle).model.spec.fps)


def _played(env: NeuralEnv, policy: Policy, steps: int, seed: int) -> Iterator[np.ndarray]:
    """The start and `steps` more frames; each game of the policy has its own random stream."""
    game, ended, frame = 0, True, np.empty(0)
    for _ in range(steps + 1):
        if ended:
            frame, _ = env.reset(seed=seed if game == 0 else None)
            policy.reset(np.random.default_rng([seed, game]))
            game, ended = game + 1, False
        else:
            frame, _, terminated, truncated, _ = env.step(policy(frame))
            ended = terminated or truncated
        yield to_rgb(frame)
