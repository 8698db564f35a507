"""Datasets to and from Minari: `neural-envs export DATASET --minari WORLD/mix-v0`, `neural-envs
import ID --out DIR`.

Lossless: frames are stored as they are (Minari's own default is JPEG), an episode keeps its last
frame, its seed, its policy and its split key, and a dataset that comes back has the fingerprint
with which it went. Minari keeps its sets in $MINARI_DATASETS_PATH.
"""

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from collectors.action_space import ActionSpace, ActionSpaceError
from collectors.dataset.dataset import Dataset, DatasetError
from collectors.dataset.minari_metadata import own_description, trusted_spec
from collectors.dataset.minari_reading import (
    SET_ERRORS,
    check_set,
    damaged_set,
    read_episodes,
    set_folder,
)
from collectors.interchange.frames import frame_shape
from collectors.interchange.writing import (
    FRAMES_PER_SECOND,
    STEPS,
    Recorded,
    check_empty,
    header_of,
    write_dataset,
)
from collectors.spec_checks import check_spec
from collectors.worlds.any_game_images import is_image

OURS = "neural_envs"  # the key of a Minari set's metadata that holds what its own fields cannot


def export_dataset(data: str | Path, name: str, author: str = "") -> None:
    """Writes the dataset of a directory as the Minari set `name`. Where the game can be made here
    the set also says how, for Minari's `recover_environment`. Raises DatasetError."""
    import minari
    from minari.storage.datasets_root_dir import get_dataset_path

    dataset = Dataset(data, verify=True)
    header = header_of(dataset)
    target = get_dataset_path(name)
    if target.exists():
        raise DatasetError(
            f"Minari already holds {name} in {target}; choose another name or version"
        )
    shards = [
        {key: entry[key] for key in ("index", "quota", "episodes")}
        for entry in dataset.manifest["shards"]
    ]
    about = {
        "algorithm_name": header["policy"],
        "description": f"{dataset.spec['world']} by neural-envs collect",
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", UserWarning
            )  # that no author, address or evaluation game is named
            written = minari.create_dataset_from_buffers(
                name,
                _buffers(dataset),  # pyright: ignore[reportArgumentType] # any iterable will do
                env=_environment(header),
                author=author or None,
                **about,
                action_space=dataset.actions.to_gymnasium(),
                observation_space=spaces.Box(0, 255, tuple(dataset.spec["frame_shape"]), np.uint8),
                data_format="hdf5",
                jpeg_encoding=False,
            )
        rows = [{"policy": row.policy, "split_key": row.key} for row in dataset.episodes]
        written.storage.update_episode_metadata(rows)
        written.storage.update_metadata({OURS: json.dumps({"header": header, "shards": shards})})
    except BaseException as error:
        shutil.rmtree(target, ignore_errors=True)  # half a set would look like a whole one
        if isinstance(error, (ValueError, OSError)):
            raise DatasetError(f"{name} cannot be written: {error}") from error
        raise


def import_dataset(name: str, out: str | Path, size: str = "") -> Dataset:
    """Writes the Minari set `name` into the new directory `out` and opens it. Raises DatasetError
    for a set with actions that are no `ActionSpace`, without images, or with images that are not
    whole patches (unless `size` resizes)."""
    import minari

    out, data = check_empty(out), set_folder(name)
    try:
        check_set(data)
        source = minari.load_dataset(name)
        header, shards = _description(source, name, size)
    except DatasetError:
        raise
    except ImportError as error:  # of what another format than hdf5 needs
        raise DatasetError(f"the Minari set {name} cannot be read: {error}") from error
    except SET_ERRORS as error:
        raise damaged_set(name, error) from error
    actions = ActionSpace.of_spec(header["spec"])
    shape = header["spec"]["frame_shape"] if size else None
    recorded = Recorded(header, read_episodes(source, name, shape, actions), shards)
    return write_dataset(recorded, out, f"the Minari set {name}")


def _buffers(dataset: Dataset) -> Iterator:
    from minari import data_collector

    buffer: Any = data_collector.EpisodeBuffer  # typed as lists; arrays are stored as they are
    for row in dataset.episodes:
        episode = dataset.episode(row.id)
        yield buffer(
            id=row.id,
            seed=row.seed,
            observations=episode.frames,
            actions=episode.actions,
            rewards=episode.rewards,
            terminations=episode.terminations,
            truncations=episode.truncations,
            infos={},
        )


def _environment(header: dict) -> EnvSpec | None:
    """The game's spec if it can be made here and now, else None: Minari makes it while it
    writes.
    """
    try:
        spec = trusted_spec(json.loads(header["env_spec"]))
        if spec is not None:
            gymnasium.make(spec).close()
    except (ImportError, gymnasium.error.Error, ValueError, TypeError, RecursionError):
        return None
    return spec


def _description(source, name: str, size: str) -> tuple[dict, list[dict]]:
    """The header of the dataset, and its shards where the set says how it was cut."""
    own = source.storage.metadata.get(OURS)
    if own is not None and not size:
        return own_description(own, len(source.episode_indices))
    try:
        actions = ActionSpace.from_gymnasium(source.action_space)
    except ActionSpaceError as error:
        raise DatasetError(f"{name} cannot be a dataset: {error}") from None
    images = source.observation_space
    if not is_image(images):
        raise DatasetError(f"{name} has no images: it observes {images!s:.200}")
    shape = frame_shape(images.shape, size, name)
    env = source.env_spec
    spec = {
        "world": env.id if env else name,
        "frame_shape": list(shape),
        **actions.spec_fields(),
        "reward_values": [],
        "fps": FRAMES_PER_SECOND,
        "max_episode_steps": (env.max_episode_steps if env else None) or STEPS,
    }
    check_spec(spec, open_rewards=True)
    policy = str(source.storage.metadata.get("algorithm_name") or "unknown")
    return {"spec": spec, "env_spec": env.to_json() if env else "", "policy": policy, "seed": 0}, []
