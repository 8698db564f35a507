"""`neural-envs replay FILE.dream`: the same dream again, and whether its frames are the same."""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass

from collectors.files import check_free
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from collectors.video_writers import write_film


@dataclass(frozen=True)
class ReplayConfig:
    """Dream a .dream file again; exit code 0 if every frame is what it was, 1 if not."""

    file: str = setting(help="the .dream file")
    out: str = setting("", "write what is dreamed: .mp4, .gif, or .png for a strip of frames")
    overwrite: bool = setting(False, "replace that file where it is there already")
    bundle: str = setting("", "dream with this bundle of the same world instead of the file's own")
    scale: int = setting(4, "image pixels per world pixel", least=1)
    fps: int = setting(0, "frames per second; 0 is the world's own rate", least=0)
    device: str = setting("cpu", "where the dream is computed, e.g. cuda")

    def __post_init__(self) -> None:
        check_settings(self)


def run(config: ReplayConfig) -> int:
    """Dream the file again and print whether the frames are the same; returns the exit code."""
    if config.out:
        check_free(config.out, config.overwrite)
    same, result = replayed(config)
    print(result, file=sys.stdout if same else sys.stderr)
    if config.out:
        print(f"written: {config.out}")
    return 0 if same else 1


def main(argv: list[str] | None = None) -> int:
    """The verb `replay`; returns the exit code."""
    return command(ReplayConfig, run, argv, "neural-envs replay", ("file",))


def replayed(config: ReplayConfig) -> tuple[bool, str]:
    """Dream the file again, into `config.out` where it is set.

    Returns whether the frames are the same, and a sentence that says so, or why not. Raises what
    `replay_file.replay` does.
    """
    from neural_envs.replays.frame_sources import fps_of
    from neural_envs.replays.replay_file import DreamFile, HashedFrames, check, own_bundle, replay

    file, bundle = DreamFile.load(config.file), config.bundle or None
    difference = check(file, bundle)
    frames = HashedFrames(replay(file, bundle, config.device))
    if config.out:
        fps = config.fps or fps_of(bundle or own_bundle(file))
        write_film(config.out, frames, fps, config.scale)
    else:
        deque(frames, maxlen=0)  # dream them all, keep none
    steps = f"{len(file.actions)} steps of {file.world}, return {float(file.rewards.sum()):g}"
    if frames.hash == file.frames_hash:
        return True, f"the same {len(file.actions) + 1} frames: {steps}"
    reason = difference or "the file was altered, or this machine rounds otherwise"
    return False, f"not the same frames ({steps}): {reason}"
