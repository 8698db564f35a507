"""What lies in a `.dream` file: a zip of one JSON member and plain arrays, and the checks of both.

T steps, K context frames, H x W x C a frame.
"""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any, NamedTuple

import numpy as np

FORMAT_VERSION = 1
GOES_ON, TERMINATED, TRUNCATED = range(3)  # what `ends` says of a step
LARGEST = 256 * 2**20  # bytes unpacked; nothing that was dreamed step by step comes near it
MEMBER = "dream.json"
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
SETTINGS = ("sampler_steps", "guidance")  # those that may change while a dream goes on
ARRAYS = ("context_frames", "context_actions", "actions", "rewards", "ends")


class DreamFileError(ValueError):
    """A file that is no dream, or one that cannot be dreamed here; the message says why."""


class Segment(NamedTuple):
    """The dream from its step `start` on: after a resync from another context, after a change with
    other settings.
    """

    start: int
    noise: tuple[int, int]  # seed and step of the random stream that the next step draws from
    settings: dict[str, Any]  # sampler_steps, guidance; None is the bundle's own
    frames: np.ndarray | None = (
        None  # (K, H, W, C) uint8, oldest first; None where the dream went on
    )
    actions: np.ndarray | None = None  # (K - 1,) int64


def packed(head: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """The zip of a JSON object and of arrays by name."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            MEMBER, json.dumps({"format_version": FORMAT_VERSION, **head}, indent=1, sort_keys=True)
        )
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
    return target.getvalue()


def unpacked(data: bytes, name: str) -> tuple[dict, dict[str, np.ndarray]]:
    """(what the JSON says, the arrays by name), nothing unpacked that is too large."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(info.file_size for info in archive.infolist()) > LARGEST:
            raise DreamFileError(
                f"{name} unpacks to more than {LARGEST >> 20} MB: that is no dream"
            )
        head = json.loads(archive.read(MEMBER))
        version = head.pop("format_version")
        if version != FORMAT_VERSION:
            raise DreamFileError(
                f"{name} has format {version!r}, this version of neural-envs reads {FORMAT_VERSION}"
            )
        arrays = {}
        for member in archive.namelist():
            if member.endswith(".npy"):
                loaded = np.lib.format.read_array(
                    io.BytesIO(archive.read(member)), allow_pickle=False
                )
                arrays[member.removesuffix(".npy")] = loaded
        return head, arrays


def read_segment(row: dict, arrays: dict[str, np.ndarray], number: int) -> Segment:
    """Segment `number` from its row of the JSON and its arrays, where it has such."""
    context = (arrays.get(f"segment_{number}_{part}") for part in ("frames", "actions"))
    settings = {name: row["settings"].get(name) for name in SETTINGS}
    return Segment(int(row["start"]), read_stream(row["noise"]), settings, *context)


def read_stream(value: Any) -> tuple[int, int]:
    """A random stream from JSON as (seed, step); ValueError for one that cannot be."""
    seed, step = (int(number) for number in value)
    if not -(2**63) <= seed < 2**63 or not 0 <= step < 2**62:
        raise ValueError(f"there is no random stream {value}")
    return seed, step


def check_parts(file: Any, name: str) -> None:
    """DreamFileError, about `name`, unless the arrays and texts of a DreamFile are of the kinds
    that a dream has.
    """
    steps, frames = len(file.actions), file.context_frames
    starts = [segment.start for segment in file.segments]
    contexts = [(frames, file.context_actions)]
    contexts += [(s.frames, s.actions) for s in file.segments if s.frames is not None]
    right = (
        all(
            isinstance(text, str)
            for text in (file.bundle, file.bundle_hash, file.world, file.frames_hash)
        )
        and isinstance(file.settings, dict)
        and isinstance(file.platform, dict)
        and file.actions.dtype == np.int64
        and all(column.shape == (steps,) for column in (file.actions, file.rewards, file.ends))
        and starts == sorted(starts)
        and all(0 <= start <= steps for start in starts)
        and all(_is_context(*pair) for pair in contexts)
    )
    if not right:
        raise DreamFileError(f"{name} is damaged: its parts do not fit together")


def _is_context(frames: np.ndarray, actions: np.ndarray | None) -> bool:
    """Whether these are (K, H, W, C) uint8 and (K - 1,) int64."""
    shaped = frames.ndim == 4 and len(frames) and frames.dtype == np.uint8
    return (
        bool(shaped)
        and actions is not None
        and actions.shape == (len(frames) - 1,)
        and actions.dtype == np.int64
    )
