"""What lies in a `.dream` file: a zip of one JSON member and plain arrays, and the checks of both.

T steps, K context frames, H x W x C per frame.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from collectors.untrusted_files import (
    PARSE_ERRORS,
    DamagedFileError,
    checked_json,
    read_arrays,
    reason_of,
)

if TYPE_CHECKING:
    from neural_envs.replays.replay_file import DreamFile

FORMAT_VERSION = 1
RUNNING, TERMINATED, TRUNCATED = range(3)  # the outcome of a step
MAX_UNPACKED_BYTES = 256 * 2**20  # nothing that was dreamed step by step comes near it
JSON_MEMBER = "dream.json"
MAX_JSON_BYTES = 8 * 2**20
MAX_LETTERS = 4000  # of a text; paths of bundles are among them
MAX_SAMPLER_STEPS, MAX_NUMBER = 1000, 1e6
KEYS = {
    "bundle",
    "bundle_hash",
    "world",
    "seed",
    "noise",
    "settings",
    "frames_hash",
    "platform",
    "segments",
}
# Settings that may change while a dream goes on -> field of SamplingOptions.
SETTINGS = {"sampler_steps": "steps", "guidance": "guidance", "temperature": "temperature"}
# Field of DreamFile -> name of its array in the zip.
ARRAYS = {
    "context_frames": "context_frames",
    "context_actions": "context_actions",
    "actions": "actions",
    "rewards": "rewards",
    "outcomes": "ends",
}


class DreamFileError(ValueError):
    """A file that is no dream, or one that cannot be dreamed here; the message says why."""


class Segment(NamedTuple):
    """The dream from its step `start` on: after a resync from another context, after a change with
    other settings.
    """

    start: int
    noise: tuple[int, int]  # (seed, step) of the random stream that the next step draws from
    settings: Mapping[str, Any]  # by the names in SETTINGS; None is the bundle's own
    frames: np.ndarray | None = None  # (K, H, W, C) uint8, oldest first; None: no new context
    actions: np.ndarray | None = None  # (K - 1, *row) as the game takes them


def pack(head: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The zip of a JSON object and of arrays by name."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        text = json.dumps({"format_version": FORMAT_VERSION, **head}, indent=1, sort_keys=True)
        archive.writestr(JSON_MEMBER, text)
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    return target.getvalue()


def unpack(data: bytes, name: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON object and the arrays by name, checked by `check_head`.

    Raises DreamFileError, about `name`, for another format, for too large and for damaged ones.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
            if size > MAX_UNPACKED_BYTES:
                limit = MAX_UNPACKED_BYTES >> 20
                raise DreamFileError(f"{name} unpacks to more than {limit} MB: that is no dream")
            text = archive.read(JSON_MEMBER)
        head = checked_json(text, MAX_JSON_BYTES)
        version = head.pop("format_version")
        if version != FORMAT_VERSION or isinstance(version, bool):
            raise DreamFileError(
                f"{name} has format {version!r:.40}, this version of neural-envs reads "
                f"{FORMAT_VERSION}"
            )
        check_head(head)
        return head, read_arrays(io.BytesIO(data), MAX_UNPACKED_BYTES)
    except DreamFileError:
        raise
    except PARSE_ERRORS as error:
        raise DreamFileError(
            f"{name} is not a dream, or it is damaged: {reason_of(error)}"
        ) from None


def check_head(head: Mapping[str, Any]) -> None:
    """Raises DamagedFileError unless the JSON of a dream has the keys, types and ranges that the
    format says.
    """
    if set(head) != KEYS:
        unknown, missing = sorted(set(head) - KEYS), sorted(KEYS - set(head))
        raise DamagedFileError(f"unknown keys {unknown[:3]}, missing keys {missing}")
    for key in ("bundle", "bundle_hash", "world", "frames_hash"):
        if not isinstance(head[key], str) or len(head[key]) > MAX_LETTERS:
            raise DamagedFileError(f"{key} is no text of at most {MAX_LETTERS} letters")
    if head["seed"] is not None and not _is_whole(head["seed"], -(2**63), 2**64):
        raise DamagedFileError("the seed is no whole number of 64 bits")
    platform = head["platform"]
    if not isinstance(platform, dict) or len(json.dumps(platform)) > MAX_LETTERS:
        raise DamagedFileError("the platform is no table, or too long")
    if not isinstance(head["segments"], list):
        raise DamagedFileError("segments is no list")
    check_settings_of(head["settings"])
    read_stream(head["noise"])
    for row in head["segments"]:
        if not isinstance(row, dict) or set(row) != {"start", "noise", "settings"}:
            raise DamagedFileError("a segment has other entries than start, noise and settings")
        if not _is_whole(row["start"], 0, 2**40):
            raise DamagedFileError("a segment starts at no whole number")
        read_stream(row["noise"])
        check_settings_of(row["settings"])


def check_settings_of(settings: Any) -> None:
    """Raises DamagedFileError for settings of a dream that are no table, or out of range."""
    if not isinstance(settings, dict):
        raise DamagedFileError("settings is no table")
    if not set(settings) <= {*SETTINGS, "backend", "min_trust"}:
        raise DamagedFileError("settings has entries that no dream has")
    steps = settings.get("sampler_steps")
    if steps is not None and not _is_whole(steps, 1, MAX_SAMPLER_STEPS + 1):
        raise DamagedFileError(f"sampler_steps is no whole number of 1 to {MAX_SAMPLER_STEPS}")
    for key, most in {"guidance": MAX_NUMBER, "temperature": MAX_NUMBER, "min_trust": 1}.items():
        value = settings.get(key)
        if value is not None and not (type(value) in (int, float) and 0 <= value <= most):
            raise DamagedFileError(f"{key} is no number of 0 to {most:g}")
    backend = settings.get("backend", "eager")
    if not isinstance(backend, str) or len(backend) > 40:
        raise DamagedFileError("backend is no name")


def _is_whole(value: Any, least: int, below: int) -> bool:
    """Whether this is a whole number of least <= value < below."""
    return type(value) is int and least <= value < below


def read_segment(row: Mapping[str, Any], arrays: Mapping[str, np.ndarray], number: int) -> Segment:
    """Segment `number` from its row of the JSON and its arrays, where it has such."""
    context = (arrays.get(f"segment_{number}_{part}") for part in ("frames", "actions"))
    settings = {name: row["settings"].get(name) for name in SETTINGS}
    return Segment(int(row["start"]), read_stream(row["noise"]), settings, *context)


def read_stream(value: Any) -> tuple[int, int]:
    """A random stream from JSON as (seed, step); DamagedFileError for one that cannot be."""
    if not isinstance(value, list) or len(value) != 2:
        raise DamagedFileError("a random stream is a seed and a step")
    seed, step = value
    if not _is_whole(seed, -(2**63), 2**63) or not _is_whole(step, 0, 2**62):
        raise DamagedFileError("there is no such random stream")
    return seed, step


def check_parts(file: DreamFile, name: str) -> None:
    """DreamFileError, about `name`, unless the arrays have the kinds, shapes and values of a
    dream.
    """
    steps, first, row = file.rewards.size, file.context_frames.shape, file.actions.shape[1:]
    starts = [segment.start for segment in file.segments]
    contexts = [(file.context_frames, file.context_actions)]
    contexts += [
        (s.frames, s.actions)
        for s in file.segments
        if s.frames is not None or s.actions is not None
    ]
    columns = {"float32": file.rewards, "uint8": file.outcomes}
    fits = (
        all(c.shape == (steps,) and c.dtype.name == kind for kind, c in columns.items())
        and _are_actions(file.actions, steps, row)
        and bool(np.isfinite(file.rewards).all())
        and bool((file.outcomes <= TRUNCATED).all())
        and starts == sorted(starts)
        and all(0 <= start <= steps for start in starts)
        and all(_is_context(frames, actions, row) for frames, actions in contexts)
        and all(frames is not None and frames.shape[1:] == first[1:] for frames, _ in contexts)
    )
    if not fits:
        raise DreamFileError(f"{name} is damaged: its parts do not fit together")


def _are_actions(actions: np.ndarray, count: int, row: tuple[int, ...]) -> bool:
    """Whether these are so many actions (count, *row), int64 or, of several parts, float32."""
    kinds = ("int64", "float32") if row else ("int64",)
    fits = actions.shape == (count, *row) and len(row) <= 1 and actions.dtype.name in kinds
    return fits and bool(np.isfinite(actions).all())


def _is_context(
    frames: np.ndarray | None, actions: np.ndarray | None, row: tuple[int, ...]
) -> bool:
    """Whether these are (K, H, W, C) uint8 and actions (K - 1, *row)."""
    return (
        frames is not None
        and frames.ndim == 4
        and frames.size > 0
        and frames.dtype == np.uint8
        and actions is not None
        and _are_actions(actions, len(frames) - 1, row)
    )
