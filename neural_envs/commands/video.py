"""`neural-envs video SOURCE`: an MP4, a GIF or a PNG strip of a dream or of a recorded episode."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collectors.settings.command import command
from collectors.settings.parse import setting
from collectors.video_writers import write_film
from neural_envs.commands.play import from_collectors, policy_maker
from neural_envs.commands.replay import pace

DATASET = "collectors.dataset.dataset:Dataset"


@dataclass(frozen=True)
class VideoConfig:
    """Write a film of a bundle that a policy plays, of a .dream file, or of one episode of a
    dataset.
    """

    source: str = setting(
        help="bundle (released name, directory, Hub repository), .dream file or dataset"
    )
    out: str = setting("video.mp4", "what to write: .mp4, .gif, or .png for a strip of pictures")
    policy: str = setting("random", "who plays the bundle: random, or the world's own, as astar")
    steps: int = setting(
        300, "steps at most; a dream that ends is followed by the next one; 0 for files: all"
    )
    episode: int = setting(0, "which episode of a dataset")
    pictures: int = setting(24, "pictures of a .png strip, spread over all steps")
    sampler_steps: int = setting(0, "denoising steps of a bundle; 0 is its own number")
    scale: int = setting(4, "picture pixels a world pixel")
    fps: int = setting(0, "pictures a second; 0 is the world's own pace")
    seed: int = setting(0, "seed of a bundle's first dream and of the policy")
    device: str = setting("cpu", "where the dream is computed, e.g. cuda")

    def __post_init__(self) -> None:
        for name, least in (
            ("scale", 1),
            ("pictures", 1),
            ("fps", 0),
            ("steps", 0),
            ("seed", 0),
            ("episode", 0),
        ):
            if getattr(self, name) < least:
                raise ValueError(f"setting '{name}' is {least} or more, got {getattr(self, name)}")


class Film(NamedTuple):
    """What is to be written: frames (H, W, 3) uint8, made as they are asked for, and their pace."""

    frames: Iterator[np.ndarray]
    fps: int
    about: str


def run(config: VideoConfig) -> str:
    """Write the film or strip; return where it is and what it shows."""
    film = open_film(config)
    fps = config.fps or film.fps
    path = write_film(config.out, film.frames, fps, config.scale, config.pictures)
    return f"written: {path}, {film.about}"


def main(argv: list[str] | None = None) -> int:
    """The verb `video`; returns the exit code."""
    return command(VideoConfig, run, argv, "neural-envs video", ("source",))


def open_film(config: VideoConfig) -> Film:
    """The film that `config` asks for.

    Raises ValueError for a source that is none, or what its reader raises.
    """
    source = Path(config.source)
    if source.suffix == ".dream" or source.is_file():
        return _of_dream(config)
    if (source / "manifest.json").is_file():
        return _of_episode(config)
    return _of_bundle(config)


def _of_dream(config: VideoConfig) -> Film:
    from neural_envs.replays.replay_file import DreamFile, replay

    file = DreamFile.load(config.source)
    frames = replay(file, device=config.device)
    shown = len(file.actions) if not config.steps else min(config.steps, len(file.actions))
    about = f"{shown} of {len(file.actions)} steps of a dream of {file.world}"
    return Film(
        (frame for frame, _ in zip(frames, range(shown + 1), strict=False)),
        pace(file.bundle),
        about,
    )


def _of_episode(config: VideoConfig) -> Film:
    from collectors.media import to_rgb

    dataset = from_collectors(DATASET, "the reader of datasets")(config.source)
    if config.episode >= len(dataset.episodes):
        raise ValueError(
            f"{config.source} has the episodes 0 to {len(dataset.episodes) - 1}, no "
            f"{config.episode}"
        )
    frames = dataset.episode(config.episode).frames[: config.steps + 1 or None]
    about = (
        f"{len(frames) - 1} steps of episode {config.episode}, recorded in {dataset.spec['world']}"
    )
    return Film(iter(to_rgb(frames)), int(dataset.spec["fps"]), about)


def _of_bundle(config: VideoConfig) -> Film:
    from neural_envs.env import NeuralEnv

    if not config.steps:
        raise ValueError("a dream of a bundle has no end of its own: give --steps 1 or more")
    env = NeuralEnv(config.source, config.device, sampler_steps=config.sampler_steps or None)
    policy = policy_maker(config.policy, env.world.world)(int(env.action_space.n))
    about = f"{config.steps} steps of {env.world.world} dreamed, played by {config.policy}"
    return Film(_played(env, policy, config), env.world.fps, about)


def _played(env: Any, policy: Any, config: VideoConfig) -> Iterator[np.ndarray]:
    """The frames of `config.steps` steps, one dream after another; each game of the policy has its
    own stream.
    """
    from collectors.media import to_rgb

    game, ended, frame = 0, True, None
    for _ in range(config.steps + 1):
        if ended:
            frame, _ = env.reset(seed=config.seed if game == 0 else None)
            policy.reset(np.random.default_rng([config.seed, game]))
            game, ended = game + 1, False
        else:
            frame, _, terminated, truncated, _ = env.step(int(policy(frame)))
            ended = terminated or truncated
        yield to_rgb(frame)
