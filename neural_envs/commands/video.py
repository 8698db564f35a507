"""`neural-envs video SOURCE`: an MP4, a GIF or a PNG strip of a dream or of a recorded episode."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from collectors.files import check_free
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from collectors.video_writers import write_film
from neural_envs.bundles import label_of
from neural_envs.replays.frame_sources import FrameSource, of_bundle, of_dream_file, of_episode

if TYPE_CHECKING:
    from neural_envs.play.twins import AgentMaker


@dataclass(frozen=True)
class VideoConfig:
    """Film a bundle that a policy plays, a .dream file, or one episode of a dataset."""

    source: str = setting(
        help="bundle (released name, directory, Hub repository), .dream file or dataset"
    )
    out: str = setting(
        "",
        "what to write: .mp4, .gif, or .png for a strip of frames; none: an .mp4 here, named after "
        "what it shows",
    )
    overwrite: bool = setting(False, "replace the file where it is there already")
    bundle: str = setting("", "dream a .dream file with this bundle instead of its own")
    policy: str = setting(
        "random", "who plays the bundle: random, the world's own, as astar, or policy.zip of ppo"
    )
    steps: int = setting(
        300,
        "steps at most; a dream that ends is followed by the next one; 0 for files: all",
        least=0,
    )
    episode: int = setting(0, "which episode of a dataset", least=0)
    images: int = setting(24, "frames of a .png strip, spread over all steps", least=1)
    sampler_steps: int = setting(0, "denoising steps of a bundle; 0 is its own number", least=0)
    scale: int = setting(4, "image pixels per world pixel", least=1)
    fps: int = setting(0, "frames per second; 0 is the world's own rate", least=0)
    seed: int = setting(0, "seed of a bundle's first dream and of the policy", least=0)
    device: str = setting("cpu", "where the dream is computed, e.g. cuda")

    def __post_init__(self) -> None:
        check_settings(self)


def run(config: VideoConfig, agents: AgentMaker | None = None) -> str:
    """Write the film or strip; returns where it is and what it shows. `agents` makes trained
    agents of files.
    """
    out = config.out or default_name(config)
    check_free(out, config.overwrite)
    source = open_source(config, agents)
    fps = config.fps or source.fps
    path = write_film(out, source.frames, fps, config.scale, config.images)
    return f"written: {path}, {source.about}"


def default_name(config: VideoConfig) -> str:
    """snake-astar.mp4, data-snake-episode-0.mp4 or game.mp4: a name for what is filmed."""
    path = Path(config.source)
    if path.suffix == ".dream":
        return f"{path.stem}.mp4"
    label = label_of(config.source)
    if (path / "manifest.json").is_file():
        return f"{label}-episode-{config.episode}.mp4"
    player = Path(config.policy).name.partition(":")[0].partition(",")[0]
    return f"{label}-{'agent' if player.endswith('.zip') else player}.mp4"


def main(argv: list[str] | None = None, agents: AgentMaker | None = None) -> int:
    """The verb `video`; returns the exit code. `agents`: see `run`."""
    return command(
        VideoConfig, lambda config: run(config, agents), argv, "neural-envs video", ("source",)
    )


def open_source(config: VideoConfig, agents: AgentMaker | None = None) -> FrameSource:
    """What `config` names: a `.dream` file, a dataset or else a bundle.

    Raises ValueError for a source that is none, or what its reader raises.
    """
    path = Path(config.source)
    if path.suffix == ".dream" or path.is_file():
        return of_dream_file(path, config.steps, config.device, config.bundle or None)
    if (path / "manifest.json").is_file():
        return of_episode(path, config.episode, config.steps)
    if not config.steps:
        raise ValueError("a dream of a bundle has no end of its own: give --steps 1 or more")
    steps, sampler_steps = config.steps, config.sampler_steps or None
    return of_bundle(
        config.source, config.policy, steps, config.seed, sampler_steps, config.device, agents
    )
