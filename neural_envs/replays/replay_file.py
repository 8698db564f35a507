"""Dreams as files: `NAME.dream` holds what a dream is made of, so that it can be dreamed again,
frame for frame.

No frame is stored but those that a dream starts from: a bundle, a random stream and the actions
give the others. A file is a zip of JSON and plain arrays, without pickle. T steps, K context
frames, H x W x C a frame.
"""

from __future__ import annotations

import hashlib
import json
import platform
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from collectors.files import write_atomically
from collectors.media import to_rgb
from neural_envs import bundles
from neural_envs.contexts import context_from
from neural_envs.env import NeuralEnv
from neural_envs.replays.format import (
    ARRAYS,
    GOES_ON,
    KEYS,
    SETTINGS,
    TERMINATED,
    TRUNCATED,
    DreamFileError,
    Segment,
    check_parts,
    packed,
    read_segment,
    read_stream,
    unpacked,
)
from neural_envs.simulator import CONTEXT_SALT
from world_models.noise import NoiseStream

SUFFIX = ".dream"
NAMES = {
    "torch": "torch version",
    "capability": "vector unit",
    "machine": "kind of processor",
    "threads": "threads",
}


@dataclass(frozen=True)
class DreamFile:
    """Everything that the frames of one dream follow from.

    `noise` is the stream of its first step, as (seed, step).
    """

    bundle: str  # its released name, directory or Hub repository, as it was given
    bundle_hash: str  # sha256 of its weights, model and spec
    world: str
    seed: int | None  # what the first game was seeded with, if it was; for people: `noise` decides
    noise: tuple[int, int]
    context_frames: np.ndarray  # (K, H, W, C) uint8, oldest first, the last one is seen first
    context_actions: np.ndarray  # (K - 1,) int64
    actions: np.ndarray  # (T,) int64
    rewards: np.ndarray  # (T,) float32
    ends: np.ndarray  # (T,) uint8: GOES_ON, TERMINATED or TRUNCATED
    settings: dict[str, Any]  # sampler_steps, guidance, backend, min_trust
    frames_hash: str  # sha256 of the T + 1 frames as they are shown, (H, W, 3) uint8 each
    platform: dict[str, Any]
    segments: tuple[Segment, ...] = field(default=())  # after the first, in order

    def to_bytes(self) -> bytes:
        """The file as `from_bytes` reads it."""
        arrays = {name: getattr(self, name) for name in ARRAYS}
        for number, segment in enumerate(self.segments):
            if segment.frames is not None:
                arrays |= {
                    f"segment_{number}_frames": segment.frames,
                    f"segment_{number}_actions": segment.actions,
                }
        rows = [
            {"start": s.start, "noise": list(s.noise), "settings": s.settings}
            for s in self.segments
        ]
        head = {name: getattr(self, name) for name in KEYS} | {
            "noise": list(self.noise),
            "segments": rows,
        }
        return packed(head, arrays)

    @classmethod
    def from_bytes(cls, data: bytes, name: str = "this file") -> DreamFile:
        """Read what `to_bytes` wrote; DreamFileError, about `name`, for anything else."""
        try:
            head, arrays = unpacked(data, name)
            unknown, missing = sorted(set(head) - KEYS), sorted(KEYS - set(head))
            if unknown or missing:
                raise DreamFileError(
                    f"{name} is damaged: unknown keys {unknown}, missing keys {missing}"
                )
            rows = [
                read_segment(row, arrays, number) for number, row in enumerate(head.pop("segments"))
            ]
            columns = {column: arrays[column] for column in ARRAYS}
            head["noise"] = read_stream(head["noise"])
            file = cls(**head, **columns, segments=tuple(rows))
            check_parts(file, name)
            return file
        except DreamFileError:
            raise
        except (
            zipfile.BadZipFile,
            KeyError,
            ValueError,
            TypeError,
            EOFError,
            OSError,
            NotImplementedError,
        ) as error:
            reason = str(error) or type(error).__name__
            raise DreamFileError(f"{name} is not a dream, or it is damaged: {reason}") from None

    def save(self, path: str | Path) -> Path:
        """Write the file, which appears when it is complete; OSError where that cannot be."""
        return write_atomically(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> DreamFile:
        """Read a file; DreamFileError where it is not there, no dream or damaged."""
        try:
            return cls.from_bytes(Path(path).read_bytes(), str(path))
        except OSError as error:
            raise DreamFileError(f"cannot read {path}: {error.strerror}") from None


class DreamRecorder:
    """Takes down one dream while it is dreamed: `start` after each reset, `add` after each step.

    `resync` after the dream was given another context, `copy` for a snapshot: the copy goes on from
    that moment. Changed sampler steps and guidance are noticed by themselves.
    """

    def start(self, env: NeuralEnv, seed: int | None = None, context: Any = None) -> None:
        """Begin with the dream that `env`, maybe in wrappers, has just been reset to: from
        options["context"] where one was given (see `starts.context_from`), else from one that its
        random stream has drawn."""
        self.env: NeuralEnv = env.unwrapped
        self.seed, self.begun = seed, self._segment(0, context)
        self.segments: list[Segment] = []
        self.actions: list[int] = []
        self.rewards: list[float] = []
        self.ends: list[int] = []
        self.digest = hashlib.sha256(_pixels(self.begun.frames[-1]))

    def add(
        self, action: int, frame: np.ndarray, reward: float, terminated: bool, truncated: bool
    ) -> None:
        """One step: the action and what came of it; frame (H, W, C) uint8."""
        last = self.segments[-1] if self.segments else self.begun
        if _settings(self.env) != last.settings:
            seed, after = self._noise()
            self.segments.append(Segment(len(self.actions), (seed, after - 1), _settings(self.env)))
        self.actions.append(int(action))
        self.rewards.append(float(reward))
        self.ends.append(TERMINATED if terminated else TRUNCATED if truncated else GOES_ON)
        self.digest.update(_pixels(frame))

    def resync(self, context: Any) -> None:
        """The dream was given another context, and goes on from it as the same dream."""
        self.segments.append(self._segment(len(self.actions), context))

    def copy(self) -> DreamRecorder:
        """A recorder of the same dream so far, which goes its own way from here."""
        other = DreamRecorder()
        other.__dict__.update(
            {k: v.copy() if isinstance(v, list) else v for k, v in self.__dict__.items()}
        )
        other.digest = self.digest.copy()
        return other

    def file(self) -> DreamFile:
        """The dream so far."""
        vector, start = self.env._dream, self.begun
        settings = {
            **start.settings,
            "backend": vector.simulator.backend,
            "min_trust": vector.min_trust,
        }
        return DreamFile(
            *_identity(vector.simulator),
            self.seed,
            start.noise,
            start.frames,
            start.actions,
            np.array(self.actions, np.int64),
            np.array(self.rewards, np.float32),
            np.array(self.ends, np.uint8),
            settings,
            self.digest.hexdigest(),
            platform_facts(),
            tuple(self.segments),
        )

    def _segment(self, start: int, context: Any) -> Segment:
        simulator, (seed, step) = self.env._dream.simulator, self._noise()
        if context is None:
            drawn = NoiseStream(torch.tensor([seed]), torch.tensor([step - 1]))
            context = simulator.contexts.choose(
                drawn.integers(len(simulator.contexts), CONTEXT_SALT)
            )
        else:
            context = context_from(context, simulator.model, 1)
        frames, actions = (part[0].cpu().numpy().copy() for part in context)
        return Segment(start, (seed, step), _settings(self.env), frames, actions)

    def _noise(self) -> tuple[int, int]:
        """The stream that the next step draws from."""
        noise = self.env._dream._current().noise
        return int(noise.seeds[0]), int(noise.steps[0])


def replay(file: DreamFile, bundle: Any = None, device: str = "cpu") -> Iterator[np.ndarray]:
    """Dream it again, with its own bundle or with another one of its world: T + 1 frames (H, W, 3)
    uint8.

    `frames_hash(frames)` says whether they are the same. Raises what a missing bundle and a file
    that does not fit do.
    """
    settings = {name: file.settings.get(name) for name in SETTINGS}
    env = NeuralEnv(
        bundle or file.bundle,
        device,
        max_episode_steps=-1,
        backend=file.settings.get("backend", "eager"),
    )
    if env.world.world != file.world:
        raise DreamFileError(
            f"this is a dream of {file.world}, the bundle one of {env.world.world}"
        )
    first = Segment(0, file.noise, settings, file.context_frames, file.context_actions)
    ahead = [first, *file.segments]
    for number in range(len(file.actions) + 1):
        while ahead and ahead[0].start == number and (number < len(file.actions) or number == 0):
            _enter(env, ahead.pop(0))
        if number == 0:
            yield to_rgb(file.context_frames[-1])
        if number < len(file.actions):
            yield to_rgb(env.step(int(file.actions[number]))[0])


def check(file: DreamFile, bundle: Any = None) -> str:
    """Why the frames will or may not come out the same, as a sentence; "" where they should."""
    try:
        found = bundle_hash(bundles.resolve_bundle(bundle or file.bundle))
    except ValueError as error:
        return f"it cannot be dreamed here: {error}"
    if found != file.bundle_hash:
        return (
            f"the bundle '{bundle or file.bundle}' has other weights or settings than the one "
            "that dreamed it"
        )
    here = platform_facts()
    names = {
        name: (file.platform.get(name), value) for name, value in here.items() if name in NAMES
    }
    other = [
        f"{NAMES[name]} {theirs} there, {mine} here"
        for name, (theirs, mine) in names.items()
        if theirs != mine
    ]
    return f"frames may differ by rounding: {'; '.join(other)}" if other else ""


def frames_hash(frames: Iterator[np.ndarray]) -> str:
    """sha256 of frames (H, W, 3) uint8, one after another."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(_pixels(frame))
    return digest.hexdigest()


def bundle_hash(path: str | Path) -> str:
    """sha256 of what a bundle's frames follow from: its weights, and model and spec of its
    config.
    """
    path = Path(path)
    config = json.loads((path / "config.json").read_text())
    digest = hashlib.sha256((path / "model.safetensors").read_bytes())
    digest.update(
        json.dumps(
            {name: config[name] for name in ("kind", "model", "spec")}, sort_keys=True
        ).encode()
    )
    return digest.hexdigest()


def platform_facts() -> dict[str, Any]:
    """What rounding depends on."""
    from neural_envs import __version__

    capability = torch.backends.cpu.get_cpu_capability()
    facts = {"torch": torch.__version__, "capability": capability, "machine": platform.machine()}
    return {**facts, "threads": torch.get_num_threads(), "neural_envs": __version__}


def _enter(env: NeuralEnv, segment: Segment) -> None:
    """Set the dream to what a segment begins with."""
    for name, value in segment.settings.items():
        if value is not None or getattr(env, name, None) is not None:
            setattr(env, name, value)
    if segment.frames is not None:
        env.reset(seed=0, options={"context": (segment.frames, segment.actions)})
    stream = NoiseStream(
        *(torch.tensor([number], device=env._dream.device) for number in segment.noise)
    )
    env.set_state(env.get_state()._replace(noise=stream))


def _identity(simulator) -> tuple[str, str, str]:
    """(name, hash, world) of the bundle that dreams; "" for the hash of a model that is in no
    bundle.
    """
    name, world = simulator.name, simulator.model.spec.world
    try:
        return name, bundle_hash(bundles.resolve_bundle(name)), world
    except (ValueError, OSError):
        return name, "", world


def _settings(env: NeuralEnv) -> dict[str, Any]:
    return {name: getattr(env, name, None) for name in SETTINGS}


def _pixels(frame: np.ndarray) -> bytes:
    return np.ascontiguousarray(to_rgb(np.asarray(frame))).tobytes()
