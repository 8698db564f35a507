"""Minari sets that anybody may have made: checked before Minari reads them, their episodes read,
and every library's error turned into a sentence.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import gymnasium
import numpy as np
from PIL import Image

from collectors.action_space import ActionSpace
from collectors.dataset.episode import Episode
from collectors.dataset.shards import DatasetError
from collectors.interchange.frames import fitted
from collectors.interchange.repositories import HUB, REPOSITORY
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
from collectors.worlds.any_game_images import Source, newest

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
        # organization/name-v3 is a name of the Hub, too
        hub = f", or name it {HUB}{name} if the Hub has it" if REPOSITORY.fullmatch(name) else ""
        raise DatasetError(
            f"Minari holds no set {name} here, in {path}; get it by `minari download {name}`{hub}"
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


class Fit(NamedTuple):
    """How frames become those of the dataset, see `frames.fitted`."""

    shape: Sequence[int]
    size: str = ""
    color: str = ""


class Reading(NamedTuple):
    """How the episodes of a set are read; `name` is the set's."""

    name: str
    actions: ActionSpace
    images: Source | None = None  # None: they are frames of ours
    fit: Fit | None = None  # None: frames stay as they are

    def images_of(self, observations: Any) -> Any:
        """The images of the observations of an episode."""
        key = self.images.key if self.images else ""
        return observations[key] if key else observations


def first_pass(source: Any, data: Path, reading: Reading) -> Iterator[np.ndarray]:
    """The rewards (T,) of each episode, whose steps and number of images are checked, without
    reading an image; nothing where the set is no hdf5. Raises DatasetError.
    """
    if source.storage.FORMAT != "hdf5":
        return
    import h5py

    with h5py.File(data / "main_data.hdf5", "r") as content:
        for number, index in enumerate(source.episode_indices):
            part: Any = content[f"episode_{index}"]
            images = reading.images_of(part["observations"])
            where = f"{reading.name}: episode {number}"
            names = ("actions", "rewards", "terminations", "truncations")
            found = SimpleNamespace(**{name: part[name][()] for name in names})
            rewards = _steps(where, found, reading.actions)[1]
            _check_count(where, images.shape, np.shape(found.rewards))
            yield rewards


def read_episodes(source: Any, reading: Reading) -> Iterator[Episode]:
    """The episodes of a set. One without a seed gets its number. Raises DatasetError."""
    try:
        yield from _unpacked(source, reading)
    except DatasetError:
        raise
    except SET_ERRORS as error:
        raise damaged_set(reading.name, error) from error


def _unpacked(source: Any, reading: Reading) -> Iterator[Episode]:
    metadata = source.storage.get_episode_metadata(source.episode_indices)
    for number, (found, about) in enumerate(zip(source.iterate_episodes(), metadata, strict=True)):
        where = f"{reading.name}: episode {number}"
        images = np.asarray(reading.images_of(found.observations))
        frames = _frames(where, images, np.shape(found.rewards))
        if reading.images is not None:
            frames = np.stack([newest(frame) for frame in frames])
        if fit := reading.fit:
            frames = np.stack([fitted(frame, *fit) for frame in frames])
        seed = about.get("seed")
        yield Episode(
            frames,
            *_steps(where, found, reading.actions),
            number if seed is None else int(seed),
            str(about.get("policy", "unknown")),
            str(about.get("split_key", "")),
        )


def _steps(
    where: str, found: Any, space: ActionSpace
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Actions, rewards, terminations and truncations of an episode. Raises DatasetError."""
    given, steps = np.asarray(found.actions), np.shape(found.rewards)
    if given.dtype.kind not in ("f" if space.is_box else "iub"):
        raise DatasetError(f"{where} has actions of {given.dtype}, which are not in {space}")
    if space.is_discrete and given.shape == (*steps, 1):  # a row of one part
        given = given[:, 0]
    actions = _per_step(where, "actions", given.astype(space.dtype), (*steps, *space.row))
    if not space.holds(actions):
        wrong = next(step for step, action in enumerate(actions) if not space.holds(action))
        raise DatasetError(
            f"{where}, step {wrong}: the action {actions[wrong]!s:.60} is not in {space}; say the "
            "game's with --action-space"
        )
    rewards = np.asarray(found.rewards, np.float32)
    if not np.isfinite(rewards).all():
        raise DatasetError(f"{where} has rewards that are not finite")
    return (
        actions,
        rewards,
        _per_step(where, "terminations", np.asarray(found.terminations, bool), steps),
        _per_step(where, "truncations", np.asarray(found.truncations, bool), steps),
    )


def _check_count(where: str, images: tuple[int, ...], steps: tuple[int, ...]) -> None:
    """Raises DatasetError unless an episode has one image more than steps."""
    if len(steps) != 1 or not steps[0] or images[:1] != (steps[0] + 1,):
        raise DatasetError(
            f"{where} has frames {images!s:.60} and rewards {steps!s:.60}, not a reward per "
            "step and a frame more"
        )


def _frames(where: str, frames: np.ndarray, steps: tuple[int, ...]) -> np.ndarray:
    """The frames of an episode whose rewards have the shape `steps`. Raises DatasetError where they
    do not fit.
    """
    _check_count(where, frames.shape, steps)
    if frames.dtype != np.uint8:
        raise DatasetError(f"{where} has frames of {frames.dtype}, not of uint8")
    return frames


def _per_step(where: str, what: str, found: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """An array of an episode. Raises DatasetError where it has another shape."""
    if found.shape != shape:
        raise DatasetError(f"{where} has {what} {found.shape!s:.60}, not {shape}")
    return found
