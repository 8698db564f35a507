"""Minari sets that anybody may have made: checked before Minari reads them, their episodes read,
and every library's error turned into a sentence.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from PIL import Image

from collectors.action_space import ActionSpace
from collectors.dataset.episode import Episode
from collectors.dataset.shards import DatasetError
from collectors.size_limits import REMEDY, allow_large
from collectors.spec_checks import is_whole
from collectors.untrusted_files import (
    PARSE_ERRORS,
    DamagedFileError,
    check_regular,
    check_size,
    checked_json,
    read_regular_file,
    reason_of,
)
from collectors.worlds.any_game_images import resized

MOST_LETTERS = 500  # of a library's reason in a message
SET_ERRORS = (*PARSE_ERRORS, gymnasium.error.Error, Image.DecompressionBombError)
MOST_EPISODES = 10**7
MOST_EPISODE_BYTES = 2**31  # an episode is read as a whole


def set_folder(name: str) -> Path:
    """Where Minari keeps the files of a set. Raises DatasetError where there are none."""
    from minari.storage.datasets_root_dir import get_dataset_path

    try:
        path = Path(get_dataset_path(name)) / "data"
    except ValueError as error:
        raise DatasetError(f"{name} is no name of a Minari set: {error}") from error
    if not path.exists():
        raise DatasetError(
            f"Minari holds no set {name} here, in {path}; get it by `minari download {name}`"
        )
    return path


def check_set(path: Path) -> None:
    """Raises DamagedFileError for a Minari set that is not to be opened: one that lacks a space, as
    Minari would make the game that the set names and so run its code, one of too many episodes
    or too large ones, and one that takes its values from other files. DatasetError for one in
    another format than hdf5, unless the user lifted the limits.
    """
    about = checked_json(read_regular_file(path / "metadata.json"), finite=False)
    if not isinstance(about, dict):
        raise DamagedFileError("its metadata is no table")
    for name in ("observation_space", "action_space", "data_format"):
        if not isinstance(about.get(name), str):
            raise DamagedFileError(f"its metadata has no {name}")
    if not is_whole(about.get("total_episodes"), 0, MOST_EPISODES):
        raise DamagedFileError(f"total_episodes is no whole number up to {MOST_EPISODES}")
    if about["data_format"] == "hdf5":
        _check_hdf5(path / "main_data.hdf5")
    elif not allow_large():
        raise DatasetError(
            f"the Minari set in {path} is kept as {about['data_format']:.20}, which may unpack to "
            f"any size, and not as hdf5; {REMEDY}"
        )


def _check_hdf5(file: Path) -> None:
    import h5py

    check_regular(file)
    with h5py.File(file, "r") as content:
        for name in content:
            check_size(f"its {name:.60}", _bytes_of(content, str(name)), MOST_EPISODE_BYTES)


def _bytes_of(group: Any, name: str) -> int:
    """Bytes of the arrays of a member of an HDF5 group, unpacked."""
    import h5py

    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise DamagedFileError(f"its {name:.60} is a link")
    found = group[name]
    if isinstance(found, h5py.Group):
        return sum(_bytes_of(found, str(part)) for part in found)
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise DamagedFileError(f"its {name:.60} is no array of its own")
    return found.nbytes


def damaged_set(name: str, error: BaseException) -> DatasetError:
    """The error for a set of which a library says that it is wrong."""
    reason = reason_of(error)[:MOST_LETTERS]
    return DatasetError(f"the Minari set {name} is damaged ({reason}); get it again")


def read_episodes(
    source, name: str, shape: Sequence[int] | None, actions: ActionSpace
) -> Iterator[Episode]:
    """The episodes of a set, resized to `shape` where it is given. One without a seed gets its
    number. Raises DatasetError.
    """
    try:
        yield from _unpacked(source, name, shape, actions)
    except DatasetError:
        raise
    except SET_ERRORS as error:
        raise damaged_set(name, error) from error


def _unpacked(
    source, name: str, shape: Sequence[int] | None, actions: ActionSpace
) -> Iterator[Episode]:
    metadata = source.storage.get_episode_metadata(source.episode_indices)
    for number, (found, about) in enumerate(zip(source.iterate_episodes(), metadata, strict=True)):
        where, steps = f"{name}: episode {number}", np.shape(found.rewards)
        frames = _frames(where, np.asarray(found.observations), steps)
        given = np.asarray(found.actions)
        if given.dtype.kind not in ("f" if actions.is_box else "iub"):
            raise DatasetError(f"{where} has actions of {given.dtype}, which are not in {actions}")
        if shape:
            size = (shape[0], shape[1], shape[2])
            frames = np.stack([resized(frame, size) for frame in frames])
        seed = about.get("seed")
        yield Episode(
            frames,
            _per_step(where, "actions", given.astype(actions.dtype), (*steps, *actions.row)),
            np.asarray(found.rewards, np.float32),
            _per_step(where, "terminations", np.asarray(found.terminations, bool), steps),
            _per_step(where, "truncations", np.asarray(found.truncations, bool), steps),
            number if seed is None else int(seed),
            str(about.get("policy", "unknown")),
            str(about.get("split_key", "")),
        )


def _frames(where: str, frames: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """The frames of an episode whose rewards have the shape `steps`. Raises DatasetError where they
    do not fit.
    """
    if len(steps) != 1 or not steps[0] or frames.shape[:1] != (steps[0] + 1,):
        raise DatasetError(
            f"{where} has frames {frames.shape!s:.60} and rewards {steps!s:.60}, not a reward per "
            "step and a frame more"
        )
    if frames.dtype != np.uint8:
        raise DatasetError(f"{where} has frames of {frames.dtype}, not of uint8")
    return frames


def _per_step(where: str, what: str, found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An array of an episode. Raises DatasetError where it has another shape."""
    if found.shape != shape:
        raise DatasetError(f"{where} has {what} {found.shape!s:.60}, not {shape}")
    return found
