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

if TYPE_CHECKING:
    from neural_envs.replays.replay_file import DreamFile

FORMAT_VERSION = 1
RUNNING, TERMINATED, TRUNCATED = range(3)  # the outcome of a step
MAX_UNPACKED_BYTES = 256 * 2**20  # nothing that was dreamed step by step comes near it
JSON_MEMBER = "dream.json"
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
    actions: np.ndarray | None = None  # (K - 1,) int64


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
    """The JSON object and the arrays by name. DreamFileError, about `name`, for another format or
    too large a file; what zipfile, json and numpy raise for a damaged one.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if sum(info.file_size for info in archive.infolist()) > MAX_UNPACKED_BYTES:
            limit = MAX_UNPACKED_BYTES >> 20
            raise DreamFileError(f"{name} unpacks to more than {limit} MB: that is no dream")
        head = json.loads(archive.read(JSON_MEMBER))
        version = head.pop("format_version")
        if version != FORMAT_VERSION:
            raise DreamFileError(
                f"{name} has format {version!r}, this version of neural-envs reads {FORMAT_VERSION}"
            )
        arrays = {
            member.removesuffix(".npy"): np.lib.format.read_array(
                io.BytesIO(archive.read(member)), allow_pickle=False
            )
            for member in archive.namelist()
            if member.endswith(".npy")
        }
        return head, arrays


def read_segment(row: Mapping[str, Any], arrays: Mapping[str, np.ndarray], number: int) -> Segment:
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


def check_parts(file: DreamFile, name: str) -> None:
    """DreamFileError, about `name`, unless arrays and texts have the kinds and shapes of a
    dream.
    """
    steps = len(file.actions)
    texts = (file.bundle, file.bundle_hash, file.world, file.frames_hash)
    starts = [segment.start for segment in file.segments]
    contexts = [(file.context_frames, file.context_actions)]
    contexts += [(s.frames, s.actions) for s in file.segments if s.frames is not None]
    fits = (
        all(isinstance(text, str) for text in texts)
        and isinstance(file.settings, dict)
        and isinstance(file.platform, dict)
        and file.actions.dtype == np.int64
        and all(column.shape == (steps,) for column in (file.actions, file.rewards, file.outcomes))
        and starts == sorted(starts)
        and all(0 <= start <= steps for start in starts)
        and all(_is_context(frames, actions) for frames, actions in contexts)
    )
    if not fits:
        raise DreamFileError(f"{name} is damaged: its parts do not fit together")


def _is_context(frames: np.ndarray, actions: np.ndarray | None) -> bool:
    """Whether these are (K, H, W, C) uint8 and (K - 1,) int64."""
    return (
        frames.ndim == 4
        and len(frames) > 0
        and frames.dtype == np.uint8
        and actions is not None
        and actions.shape == (len(frames) - 1,)
        and actions.dtype == np.int64
    )
