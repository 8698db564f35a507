"""What a dataset or a Minari set says of its game and of its shards, checked."""

import copy
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from collectors.dataset.manifest import MOST_SHARDS, check_header
from collectors.spec_checks import is_whole
from collectors.untrusted_files import DamagedFileError, checked_json
from collectors.worlds.registration import ANY_GAME
from collectors.worlds.table import WORLDS


def trusted_spec(stored: Any) -> EnvSpec | None:
    """The registered game that an EnvSpec of a file, read as JSON, means; None where there is none.

    What a file says is never imported: the id must be registered with the same entry point, and
    only options of games of this project are taken over, where they name no module. Wrappers are
    dropped.
    """
    own = gymnasium.registry.get(stored["id"]) if isinstance(stored, dict) else None
    if own is None or not isinstance(own.entry_point, str):
        return None
    options, limit = stored.get("kwargs"), stored.get("max_episode_steps")
    if stored.get("entry_point") != own.entry_point or not isinstance(options, dict):
        return None
    ours = {row.env for row in WORLDS.values()} | {ANY_GAME["entry_point"]}
    if options != own.kwargs and own.entry_point not in ours:
        return None
    if any(":" in value for value in options.values() if isinstance(value, str)):
        return None
    spec = copy.deepcopy(own)
    spec.kwargs, spec.max_episode_steps = options, limit if isinstance(limit, int) else None
    return spec


def own_description(text: str, episodes: int) -> tuple[dict, list[dict]]:
    """Header and shards that an export of ours left in a set, checked. Raises DamagedFileError."""
    found = checked_json(text)
    if not isinstance(found, dict) or not isinstance(found.get("shards"), list):
        raise DamagedFileError("it does not say how it was cut into shards")
    check_header(found.get("header"))
    header, shards = found["header"], found["shards"]
    for shard in shards:
        keys = ("index", "quota", "episodes")
        if not isinstance(shard, dict) or not all(is_whole(shard.get(k), 0, 2**40) for k in keys):
            raise DamagedFileError("a shard has no index, quota and episodes")
    numbers = [shard["index"] for shard in shards]
    if sum(shard["episodes"] for shard in shards) != episodes or len({*numbers}) < len(numbers):
        raise DamagedFileError("its shards are other episodes than it holds")
    if any(not shard["episodes"] or shard["index"] > MOST_SHARDS for shard in shards):
        raise DamagedFileError("a shard is empty, or has too high an index")
    return header, shards
