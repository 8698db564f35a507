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
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from collectors.action_space import ActionSpace, ActionSpaceError
from collectors.dataset.dataset import Dataset, DatasetError, DatasetWriter, write_shard
from collectors.dataset.episode import Episode
from collectors.dataset.minari_metadata import own_description, trusted_spec
from collectors.dataset.minari_reading import (
    SET_ERRORS,
    check_set,
    damaged_set,
    read_episodes,
    set_folder,
)
from collectors.files import put_in_place
from collectors.settings.parse import setting
from collectors.settings.run_command import command
from collectors.spec_checks import check_spec
from collectors.worlds.any_game_images import is_image

OURS = "neural_envs"  # the key of a Minari set's metadata that holds what its own fields cannot
SHARD_STEPS = 20_000
PATCH = 4  # world models cut frames into patches of this side
FRAMES_PER_SECOND = 30  # of a set whose game does not say
STEPS = 10_000  # limit of a set whose game sets none


@dataclass(frozen=True)
class ExportSettings:
    """Writes a dataset as a Minari set, without loss."""

    data: str = setting(help="the dataset's directory")
    minari: str = setting(help="id of the new set, as pong/mix-v0")
    author: str = setting("", "to be named in the set")


def export_dataset(data: str | Path, name: str, author: str = "") -> None:
    """Writes the dataset of a directory as the Minari set `name`. Where the game can be made here
    the set also says how, for Minari's `recover_environment`. Raises DatasetError."""
    import minari
    from minari.storage.datasets_root_dir import get_dataset_path

    dataset = Dataset(data, verify=True)
    header = _header(dataset)
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


def import_dataset(name: str, out: str | Path, size: int = 0) -> Dataset:
    """Writes the Minari set `name` into the new directory `out` and opens it. Raises DatasetError
    for a set with actions that are no `ActionSpace`, without images, or with images that are no
    square of whole patches (unless `size` resizes)."""
    import minari

    out = Path(out)
    if out.exists() and any(out.iterdir()):
        raise DatasetError(f"{out} is not empty; choose another directory")
    data = set_folder(name)
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
    temporary = out.with_name(out.name + ".importing")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        writer = DatasetWriter(temporary, header)
        for index, quota, episodes in _grouped(
            read_episodes(source, name, size, ActionSpace.of_spec(header["spec"])), shards
        ):
            writer.add(write_shard(temporary, index, quota, episodes))
        _check_written(temporary, name)
        if out.exists():
            out.rmdir()
        put_in_place(temporary, out)
    except OSError as error:
        raise DatasetError(
            f"{out} cannot be written: {error}; the set in Minari is as it was"
        ) from error
    except DatasetError:
        raise
    except SET_ERRORS as error:
        raise damaged_set(name, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Dataset(out)


def _check_written(path: Path, name: str) -> None:
    """Raises DatasetError where what was taken over is no dataset; nothing is in place yet."""
    try:
        Dataset(path)
    except DatasetError as error:
        raise damaged_set(name, error) from error


def _header(dataset: Dataset) -> dict:
    """The manifest without its shards, as it was given to the writer: rewards that were found are
    open again.
    """
    header = {key: value for key, value in dataset.manifest.items() if key != "shards"}
    if any("reward_values" in entry for entry in dataset.manifest["shards"]):
        header["spec"] = {**header["spec"], "reward_values": []}
    return header


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


def _description(source, name: str, size: int) -> tuple[dict, list[dict]]:
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
    shape = (size, size, 3) if size else images.shape
    if len(shape) != 3 or shape[0] != shape[1] or shape[0] % PATCH or shape[2] != 3:
        raise DatasetError(
            f"{name} has images of shape {images.shape}, not of (side, side, 3) with a side "
            f"that {PATCH} divides; "
            "resize them with --size 64"
        )
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


def _grouped(
    episodes: Iterator[Episode], shards: list[dict]
) -> Iterator[tuple[int, int, list[Episode]]]:
    """(index, quota, episodes) of one shard after the other; without `shards`, of some SHARD_STEPS
    steps each.
    """
    if shards:
        for shard in shards:
            yield shard["index"], shard["quota"], [next(episodes) for _ in range(shard["episodes"])]
        return
    group: list[Episode] = []
    index = 0
    for episode in episodes:
        group.append(episode)
        if sum(map(len, group)) >= SHARD_STEPS:
            yield index, SHARD_STEPS, group
            group, index = [], index + 1
    if group:
        yield index, SHARD_STEPS, group


def export_main(argv: list[str] | None = None) -> int:
    """Run `neural-envs export`; return its exit code."""
    return command(ExportSettings, exported, argv, "neural-envs export", ("data", "minari"))


def exported(settings: ExportSettings) -> str:
    """Export a dataset; return a line about it."""
    export_dataset(settings.data, settings.minari, settings.author)
    return f"{settings.data} is in Minari as {settings.minari}"
