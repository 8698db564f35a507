"""`neural-envs replay FILE.dream`: the same dream again, and whether its frames are the same."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from collectors.settings.command import command
from collectors.settings.parse import setting
from collectors.video_writers import write_film


@dataclass(frozen=True)
class ReplayConfig:
    """Dream a .dream file again and say whether every frame is what it was; exit code 0 if so, 1 if
    not.
    """

    file: str = setting(help="the .dream file")
    out: str = setting("", "write what is dreamed: .mp4, .gif, or .png for a strip of pictures")
    bundle: str = setting("", "dream with this bundle of the same world instead of the file's own")
    scale: int = setting(4, "picture pixels a world pixel")
    fps: int = setting(0, "pictures a second; 0 is the world's own pace")
    device: str = setting("cpu", "where the dream is computed, e.g. cuda")

    def __post_init__(self) -> None:
        if self.scale < 1 or self.fps < 0:
            raise ValueError(
                f"scale is 1 or more and fps 0 or more, got {self.scale} and {self.fps}"
            )


def run(config: ReplayConfig) -> int:
    """Dream the file again and print whether the frames are the same; returns the exit code."""
    same, result = replayed(config)
    print(result, file=sys.stdout if same else sys.stderr)
    if config.out:
        print(f"written: {config.out}")
    return 0 if same else 1


def main(argv: list[str] | None = None) -> int:
    """The verb `replay`; returns the exit code."""
    return command(ReplayConfig, run, argv, "neural-envs replay", ("file",))


def replayed(config: ReplayConfig) -> tuple[bool, str]:
    """(whether the frames are the same, a sentence that says so, or why not).

    Raises what `dream_file.replay` does.
    """
    from neural_envs.replays.replay_file import DreamFile, check, replay

    file = DreamFile.load(config.file)
    bundle, digest = config.bundle or None, hashlib.sha256()
    doubt = check(file, bundle)
    frames = _hashed(replay(file, bundle, config.device), digest)
    if config.out:
        write_film(
            config.out,
            frames,
            config.fps or pace(file.bundle if bundle is None else bundle),
            config.scale,
        )
    else:
        for _ in frames:
            pass
    steps = f"{len(file.actions)} steps of {file.world}, return {float(file.rewards.sum()):g}"
    if digest.hexdigest() == file.frames_hash:
        return True, f"the same {len(file.actions) + 1} frames: {steps}"
    return (
        False,
        f"not the same frames ({steps}): "
        f"{doubt or 'the file was altered, or this machine rounds otherwise'}",
    )


def pace(bundle: Any) -> int:
    """Pictures a second of the world that a bundle dreams."""
    from neural_envs import bundles

    return int(bundles.load(bundle).model.spec.fps)


def _hashed(frames: Iterator[np.ndarray], digest: Any) -> Iterator[np.ndarray]:
    for frame in frames:
        digest.update(np.ascontiguousarray(frame).tobytes())
        yield frame
