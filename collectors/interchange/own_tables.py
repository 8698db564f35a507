"""Tables of images that `neural-envs export` wrote: what their own columns cannot say is in the
metadata of their schema, so that a data set comes back as it was.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from collectors.action_space import ActionSpace
from collectors.dataset.dataset import DatasetError
from collectors.dataset.episode import Episode
from collectors.dataset.minari_metadata import own_description
from collectors.interchange.frames import stacked
from collectors.interchange.steps import Steps
from collectors.interchange.writing import Recorded
from collectors.spec_checks import is_whole
from collectors.untrusted_files import DamagedFileError, checked_json

OWN = b"neural_envs"


def description(header: dict, shard: dict, rows: Sequence[Any]) -> bytes:
    """What one table says of its shard: `rows` are the seed, policy and key of each episode."""
    about = {"header": header, "shard": shard, "episodes": rows}
    return json.dumps(about).encode()


def own_recorded(
    own: Sequence[bytes], frames: Iterator[np.ndarray], steps: Steps, games: np.ndarray
) -> Recorded:
    """The games of tables of ours. Raises DamagedFileError."""
    found = [checked_json(text) for text in own]
    for about in found:
        if not isinstance(about, dict) or not {"header", "shard", "episodes"} <= set(about):
            raise DamagedFileError("it does not say how it was cut into shards")
        if not isinstance(about["episodes"], list) or not all(map(_is_row, about["episodes"])):
            raise DamagedFileError("a table does not say who played its games")
    rows = [row for about in found for row in about["episodes"]]
    shards = [about["shard"] for about in found]
    text = json.dumps({"header": found[0]["header"], "shards": shards})
    header, shards = own_description(text, len(rows))
    borders = [0, *(np.flatnonzero(np.diff(games)) + 1).tolist(), len(games)]
    if len(borders) != len(rows) + 1:
        raise DamagedFileError("it has other games than it says")
    parts = [steps.rows(first, end) for first, end in itertools.pairwise(borders)]
    for part in parts:
        part.check()
        if part.present[-1] or not part.present[:-1].all():
            raise DamagedFileError(
                "the last frame of a game has an action, or another one has none"
            )
    return Recorded(header, _episodes(parts, rows, frames, header["spec"]), shards)


def _is_row(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 3 or not is_whole(row[0], -(2**63), 2**64):
        return False
    return all(isinstance(text, str) and len(text) < 10_000 for text in row[1:])


def _episodes(
    parts: Sequence[Steps], rows: Sequence[Any], frames: Iterator[np.ndarray], spec: dict
) -> Iterator[Episode]:
    shape, space = spec["frame_shape"], ActionSpace.of_spec(spec)
    for part, (seed, policy, key) in zip(parts, rows, strict=True):
        kept = (frame.reshape(*frame.shape[:2], -1) for frame in frames)
        images = stacked(itertools.islice(kept, len(part)), shape, part.source)
        if len(images) < len(part):
            raise DatasetError(f"{part.source} has fewer images than rows")
        last = len(part) - 1
        actions = part.actions[:last].reshape(last, *space.row).astype(space.dtype)
        outcome = (part.rewards[:last], part.terminations[:last], part.truncations[:last])
        yield Episode(images, actions, *outcome, seed, policy, key)
