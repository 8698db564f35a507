"""Datasets to and from Minari: `neural-envs export DATASET --minari WORLD/mix-v0`, `neural-envs
import ID --out DIR`.

Lossless: frames are stored as they are (Minari's own default is JPEG), an episode keeps its last
frame, its seed, its policy and its split key, and a dataset that comes back has the fingerprint
with which it went. Minari keeps its sets in $MINARI_DATASETS_PATH.
"""

import json
import math
import shutil
import warnings
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import EnvSpec

from collectors.action_space import ActionSpace, ActionSpaceError
from collectors.dataset.dataset import Dataset, DatasetError, recorded_dataset
from collectors.dataset.minari_metadata import own_description, trusted_spec
from collectors.dataset.minari_reading import (
    SET_ERRORS,
    Fit,
    Reading,
    check_set,
    damaged_set,
    first_pass,
    read_episodes,
    set_folder,
)
from collectors.interchange.action_kinds import between, named
from collectors.interchange.frames import frame_shape
from collectors.interchange.options import MINARI, OWN, SourceOptions
from collectors.interchange.writing import (
    FRAMES_PER_SECOND,
    STEPS,
    Recorded,
    check_empty,
    header_of,
    write_dataset,
)
from collectors.spec_checks import check_spec
from collectors.untrusted_files import DamagedFileError, check_size
from collectors.worlds.any_game_images import AnyGameError, Source, image_source, newest

PLAIN = SourceOptions()
MOST_PIXELS = 2**26  # of an observation of others, all colors and frames of a stack
OURS = "neural_envs"  # the key of a Minari set's metadata that holds what its own fields cannot


def export_dataset(data: str | Path, name: str, author: str = "") -> None:
    """Writes the dataset of a directory as the Minari set `name`. Where the game can be made here
    the set also says how, for Minari's `recover_environment`. Raises DatasetError."""
    import minari
    from minari.storage.datasets_root_dir import get_dataset_path

    dataset = recorded_dataset(data, verify=True)
    _check_id(name)
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
            # that no author, address or evaluation game is named
            warnings.simplefilter("ignore", UserWarning)
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


def _check_id(name: str) -> None:
    """Raises DatasetError for what Minari takes as no name; without a version it fails itself."""
    from minari.dataset.minari_dataset import parse_dataset_id

    try:
        parse_dataset_id(name)
    except (ValueError, TypeError):
        raise DatasetError(
            f"{name!r} is no id of a Minari set: names of two letters or more, and a version, as "
            "pong/mix-v0"
        ) from None


def import_dataset(
    name: str, out: str | Path, options: SourceOptions = PLAIN, compress: bool = False
) -> Dataset:
    """Writes the Minari set `name` into the new directory `out` and opens it. Steps of all episodes
    are checked before an image is copied. Raises DatasetError for a set with actions that are no
    `ActionSpace` or not in it, without images, or with images that are not whole patches (unless
    `options.size` resizes)."""
    import minari

    out, data = check_empty(out), set_folder(name)
    try:
        check_set(data)
        source = minari.load_dataset(name)
        recorded = _recorded(source, name, data, options)
    except DatasetError:
        raise
    except ImportError as error:  # of what another format than hdf5 needs
        raise DatasetError(f"the Minari set {name} cannot be read: {error}") from error
    except SET_ERRORS as error:
        raise damaged_set(name, error) from error
    return write_dataset(
        options.with_rewards(recorded), out, f"the Minari set {name}", compress=compress
    )


def _recorded(source: Any, name: str, data: Path, options: SourceOptions) -> Recorded:
    own = source.storage.metadata.get(OURS)
    options.check_source(MINARI if own is None else OWN, name)
    if own is not None:
        header, shards = own_description(own, len(source.episode_indices))
        reading = Reading(name, ActionSpace.of_spec(header["spec"]))
        deque(first_pass(source, data, reading), maxlen=0)
        found = Recorded(header, read_episodes(source, reading), shards)
        with _options_refused(name):
            return options.overridden(found, name)
    with _options_refused(name):
        images = _images(source, name, options)
        header = _header(source, name, images, options)
    spec = header["spec"]
    changes = options.size or options.color
    fit = Fit(spec["frame_shape"], options.size, options.color) if changes else None
    reading = Reading(name, ActionSpace.of_spec(spec), images, fit)
    options.check_rewards(first_pass(source, data, reading))
    return Recorded(header, read_episodes(source, reading), [])


@contextmanager
def _options_refused(name: str) -> Iterator[None]:
    """What is wrong is what was said of the set, not the set."""
    try:
        yield
    except DamagedFileError as error:
        raise DatasetError(f"{name} cannot be imported: {error}") from None


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


def _images(source: Any, name: str, options: SourceOptions) -> Source:
    """Where the images are in an observation. Raises DatasetError where there are none."""
    space = source.observation_space
    try:
        found = image_source(space, options.key, name, "--key {}")
    except AnyGameError as error:
        raise DatasetError(str(error)) from None
    if found is None:
        raise DatasetError(f"{name} has no images: it observes {space!s:.200}")
    return found


def _header(source: Any, name: str, images: Source, options: SourceOptions) -> dict:
    """The header of the dataset of a set that somebody else made."""
    actions = _actions(source.action_space, name, options)
    space = source.observation_space
    found = (space[images.key] if images.key else space).shape
    check_size(f"an observation of {name}", math.prod(found), MOST_PIXELS, "numbers")
    image = newest(np.zeros(found, np.uint8))
    shape = frame_shape(image.shape, options.size, name, options.color)
    env = source.env_spec
    spec = {
        "world": options.world or (env.id if env else name),
        "frame_shape": list(shape),
        **named(actions, options.actions),
        "reward_values": [],
        "fps": options.fps or FRAMES_PER_SECOND,
        "max_episode_steps": (env.max_episode_steps if env else None) or STEPS,
    }
    check_spec(spec, open_rewards=True)
    policy = str(source.storage.metadata.get("algorithm_name") or "unknown")
    return {"spec": spec, "env_spec": env.to_json() if env else "", "policy": policy, "seed": 0}


def _actions(space: spaces.Space, name: str, options: SourceOptions) -> ActionSpace:
    """The actions as the set says, or as the user does."""
    if options.action_space is not None:
        return options.action_space
    try:
        if not options.bounds:
            return ActionSpace.from_gymnasium(space)
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise DatasetError(f"--bounds is for a Box of actions, and {name} has {space!s:.200}")
        low, high = between(options.bounds, space.shape[0])
        return ActionSpace("Box", low=tuple(low.tolist()), high=tuple(high.tolist()))
    except ActionSpaceError as error:
        if isinstance(space, spaces.Box) and not space.is_bounded():
            raise DatasetError(
                f"{name} has actions without bounds; say how far those of the set go, as "
                "--bounds=-1,1, or a pair for each part"
            ) from None
        raise DatasetError(f"{name} cannot be a dataset: {error}") from None
