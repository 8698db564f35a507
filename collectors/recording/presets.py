"""Presets of recordings: what `neural-envs collect NAME` plays.

The rows are in the table of worlds: every world has a recording of its own name, and may have more.
A recording is written to `data/NAME`, where the training presets look for it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from collectors.worlds.registration import collect_options
from collectors.worlds.table import WORLDS, UnknownNameError, World, unknown


class Recording(NamedTuple):
    """All that decides a recorded dataset."""

    name: str  # the folder in data/
    world: str
    policy: str = "mix"
    frames: int = 200_000  # steps, at least
    seed: int = 0
    shard_steps: int = 20_000
    options: Mapping[str, Any] = {}  # of the real game, beyond the world's `collect_options`

    def words(self) -> tuple[str, ...]:
        """The options as on a command line: ("size=24", "points_to_win=1")."""
        return tuple(
            f"{name}={value if isinstance(value, str) else json.dumps(value)}"
            for name, value in self.options.items()
        )


def recordings() -> dict[str, Recording]:
    """The recordings of all worlds by name, each world's own first."""
    return {recording.name: recording for row in WORLDS.values() for recording in of_world(row)}


def of_world(row: World) -> list[Recording]:
    """The recordings of one world, its own first. Raises TypeError for a row with other fields."""
    rows = {row.name: {}, **row.recordings}
    return [Recording(name, row.name, **fields) for name, fields in rows.items()]


def matching(
    env_id: str, options: Mapping[str, Any], policy: str, seed: int, shard_steps: int
) -> str:
    """The name of the recording that plays this, "" for none. More or fewer frames are no other
    recording: a longer one begins with a shorter one.
    """
    for recording in recordings().values():
        world = WORLDS[recording.world]
        played = {**world.collect_options, **recording.options}
        same = (recording.policy, recording.seed, recording.shard_steps)
        if world.real_id == env_id and same == (policy, seed, shard_steps):
            if played == {**collect_options(env_id), **options}:
                return recording.name
    return ""


def world_of(name: str) -> str:
    """The world of a world's or a recording's name; an id of Gymnasium, and "", stay what they are.

    Raises UnknownNameError with the nearest name.
    """
    found = recordings().get(name)
    if found is None and name and not re.search(r"-v\d+$", name):
        raise UnknownNameError(unknown("world", name, recordings()))
    return found.world if found else name
