"""Dreams as files: `NAME.dream` holds what is needed to dream it again, frame for frame.

No frame is stored but those that a dream starts from: a bundle, a random stream and the actions
give the others. A file is a zip of JSON and plain arrays, without pickle. T steps, K context
frames, H x W x C per frame.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collectors.files import write_atomically
from collectors.media import to_rgb
from collectors.untrusted_files import PARSE_ERRORS, DamagedFileError, read_regular_file, reason_of
from neural_envs import bundles
from neural_envs.env import NeuralEnv
from neural_envs.replays.dream_format import (
    ARRAYS,
    KEYS,
    MAX_UNPACKED_BYTES,
    SETTINGS,
    DreamFileError,
    Segment,
    check_parts,
    pack,
    read_segment,
    read_stream,
    unpack,
)
from world_models.bundles.identity import bundle_hashes
from world_models.noise import NoiseStream
from world_models.protocols import SamplingOptions, WorldSpec

SUFFIX = ".dream"
PLATFORM_NAMES = {
    "torch": "torch version",
    "capability": "vector unit",
    "machine": "kind of processor",
    "threads": "threads",
}


@dataclass(frozen=True)
class DreamFile:
    """Everything that the frames of one dream follow from."""

    bundle: str  # its released name, directory or Hub repository, as it was given
    bundle_hash: str  # sha256 of its weights, model and spec
    world: str
    seed: int | None  # of the first game, where it had one; for people: `noise` decides
    noise: tuple[int, int]  # (seed, step) of the random stream of the first step
    context_frames: np.ndarray  # (K, H, W, C) uint8, oldest first, the last one is shown first
    context_actions: np.ndarray  # (K - 1, *row), actions as the game takes them
    actions: np.ndarray  # (T, *row) int64 or float32
    rewards: np.ndarray  # (T,) float32
    outcomes: np.ndarray  # (T,) uint8: RUNNING, TERMINATED or TRUNCATED
    settings: Mapping[str, Any]  # those of SETTINGS, and backend, min_trust
    frames_hash: str  # sha256 of the T + 1 frames as they are shown, (H, W, 3) uint8 each
    platform: Mapping[str, Any]
    segments: tuple[Segment, ...] = ()  # after the first, in order

    def to_bytes(self) -> bytes:
        """The file as `from_bytes` reads it."""
        arrays = {member: getattr(self, name) for name, member in ARRAYS.items()}
        for number, segment in enumerate(self.segments):
            if segment.frames is not None and segment.actions is not None:
                arrays[f"segment_{number}_frames"] = segment.frames
                arrays[f"segment_{number}_actions"] = segment.actions
        rows = [
            {"start": s.start, "noise": list(s.noise), "settings": dict(s.settings)}
            for s in self.segments
        ]
        head = {name: getattr(self, name) for name in KEYS}
        return pack({**head, "noise": list(self.noise), "segments": rows}, arrays)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "this file") -> DreamFile:
        """Read what `to_bytes` wrote; DreamFileError, about `name`, for anything else."""
        try:
            file = _parsed(data, name)
        except DreamFileError:
            raise
        except PARSE_ERRORS as error:
            raise DreamFileError(
                f"{name} is not a dream, or it is damaged: {reason_of(error)}"
            ) from None
        check_parts(file, name)
        return file

    def save(self, path: str | Path) -> Path:
        """Write the file; it appears when it is complete. OSError where that cannot be."""
        return write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> DreamFile:
        """Read a file; DreamFileError where it is not there, no dream or damaged."""
        try:
            data = read_regular_file(path, MAX_UNPACKED_BYTES)
        except OSError as error:
            raise DreamFileError(f"cannot read {path}: {error.strerror}") from None
        except DamagedFileError as error:
            raise DreamFileError(str(error)) from None
        return cls.from_bytes(data, str(path))


def replay(file: DreamFile, bundle: Any = None, device: str = "cpu") -> Iterator[np.ndarray]:
    """Dream it again, with its own bundle or with another one of its world.

    Yields T + 1 frames (H, W, 3) uint8; `frames_hash` of them says whether they are the same.
    Raises BundleError where the bundle is missing, DreamFileError where the file does not fit it.
    """
    env = NeuralEnv(
        bundle or own_bundle(file),
        device,
        max_episode_steps=-1,
        backend=file.settings.get("backend", "eager"),
    )
    if env.world.world != file.world:
        raise DreamFileError(
            f"this is a dream of {file.world}, the bundle one of {env.world.world}"
        )
    check_actions(file, env.world)
    settings = {name: file.settings.get(name) for name in SETTINGS}
    first = Segment(0, file.noise, settings, file.context_frames, file.context_actions)
    ahead = [first, *file.segments]
    for number in range(len(file.actions) + 1):
        while ahead and ahead[0].start == number and (number < len(file.actions) or number == 0):
            _begin_segment(env, ahead.pop(0))
        if number == 0:
            yield to_rgb(file.context_frames[-1])
        if number < len(file.actions):
            yield to_rgb(env.step(file.actions[number])[0])


def check_actions(file: DreamFile, world: WorldSpec) -> None:
    """Raises DreamFileError for actions that the bundle's world does not have."""
    space, taken = world.actions, file.actions
    if taken.shape[1:] != space.row or taken.dtype != space.dtype or not space.holds(taken):
        raise DreamFileError(f"this dream has actions that its bundle has not: it knows {space}")


def own_bundle(file: DreamFile) -> str:
    """The name or directory of the bundle that a file names. A file from anywhere reaches no
    network: of a Hub repository it is the copy on this machine. Raises BundleError without one.
    """
    if bundles.is_repository(file.bundle):
        return str(bundles.resolve_bundle(file.bundle, network=False))
    return file.bundle


def check(file: DreamFile, bundle: Any = None) -> str:
    """Why the frames of a replay will or may differ, as a sentence; "" where they should not."""
    name = bundle or file.bundle
    try:
        found = bundle_hashes(bundles.resolve_bundle(bundle or own_bundle(file)))
    except ValueError as error:
        return f"it cannot be dreamed here: {error}"
    if file.bundle_hash not in found:
        return f"the bundle '{name}' has other weights or settings than the one that dreamed it"
    here, there = platform_facts(), file.platform
    other = [
        f"{words} {there.get(fact)} there, {here[fact]} here"
        for fact, words in PLATFORM_NAMES.items()
        if there.get(fact) != here[fact]
    ]
    return f"frames may differ by rounding: {'; '.join(other)}" if other else ""


class HashedFrames:
    """Frames (H, W, C) uint8 that are hashed as they pass; `hash` is that of those so far."""

    def __init__(self, frames: Iterable[np.ndarray]):
        self._frames, self._digest = iter(frames), hashlib.sha256()

    def __iter__(self) -> Iterator[np.ndarray]:
        for frame in self._frames:
            self._digest.update(frame_bytes(frame))
            yield frame

    @property
    def hash(self) -> str:
        """sha256 as hexadecimal text, comparable with `DreamFile.frames_hash`."""
        return self._digest.hexdigest()


def frames_hash(frames: Iterable[np.ndarray]) -> str:
    """sha256 of frames (H, W, C) uint8, one after another."""
    hashed = HashedFrames(frames)
    for _ in hashed:
        pass
    return hashed.hash


def platform_facts() -> dict[str, Any]:
    """What rounding depends on."""
    from neural_envs import __version__

    return {
        "torch": torch.__version__,
        "capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "neural_envs": __version__,
    }


def frame_bytes(frame: np.ndarray) -> bytes:
    """The pixels of a frame (H, W, C) uint8 as they are shown, for a hash."""
    return np.ascontiguousarray(to_rgb(np.asarray(frame))).tobytes()


def _parsed(data: bytes, name: str) -> DreamFile:
    head, arrays = unpack(data, name)
    rows = enumerate(head.pop("segments"))
    segments = tuple(read_segment(row, arrays, number) for number, row in rows)
    columns: dict[str, Any] = {column: arrays[member] for column, member in ARRAYS.items()}
    head["noise"] = read_stream(head["noise"])
    return DreamFile(**head, **columns, segments=segments)


def _begin_segment(env: NeuralEnv, segment: Segment) -> None:
    """Set the dream to what a segment begins with."""
    options = {field: segment.settings.get(name) for name, field in SETTINGS.items()}
    try:
        env.sampling = SamplingOptions(**options)
        if segment.frames is not None:
            env.reset(seed=0, options={"context": (segment.frames, segment.actions)})
    except ValueError as error:
        raise DreamFileError(f"this dream does not fit its bundle: {error}") from None
    state = env.get_state()
    stream = (torch.tensor([number], device=state.frame.device) for number in segment.noise)
    env.set_state(state._replace(noise=NoiseStream(*stream)))
