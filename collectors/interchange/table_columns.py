"""Tables of images: which of their columns are frames, actions, games, rewards and ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from collectors.extras import optional
from collectors.untrusted_files import DamagedFileError

IMAGES = ("observation.image", "observation", "image", "frame", "pixels")
GAMES = ("episode_index", "episode", "episode_id")
ROWS = ("frame_index", "step", "step_index")
ACTIONS, REWARDS = ("action", "actions"), ("next.reward", "reward", "rewards")
TERMINATIONS = ("next.terminated", "terminated", "next.done", "done")
TRUNCATIONS = ("next.truncated", "truncated")


class Columns(NamedTuple):
    """The names of the columns that count; "" for one that is not there."""

    image: str  # "" where the frames are in films
    action: str
    game: str
    row: str
    reward: str
    termination: str
    truncation: str

    @property
    def light(self) -> list[str]:
        """All but the images."""
        return [name for name in self[1:] if name]


def find_columns(schema: Any, image: str, action: str, source: str, films: bool) -> Columns:
    """The columns of an Arrow schema. `image` and `action` are names that the user gave, `films`
    whether the frames are elsewhere. Raises DamagedFileError for a table without a column that is
    needed, with the names that there are.
    """
    names = list(schema.names)
    images = [name for name in names if is_image_column(schema.field(name).type)]
    chosen = "" if films else image or _first(IMAGES, images) or (images[0] if images else "")
    if len(images) > 1 and not films and not image and chosen not in IMAGES:
        raise DamagedFileError(f"{source} has the images {images}: choose with --image-column")
    if not films and chosen not in images:
        raise DamagedFileError(
            f"{source} has no images in {chosen or 'any column'}: it has {names!s:.300}"
        )
    found = Columns(
        chosen,
        action or _first(ACTIONS, names),
        *(_first(group, names) for group in (GAMES, ROWS, REWARDS, TERMINATIONS, TRUNCATIONS)),
    )
    if found.action not in names:
        raise DamagedFileError(
            f"{source} has no column {found.action or 'action'!r}: it has {names!s:.300}; choose "
            "with --action-column"
        )
    if not (found.game or found.termination or found.truncation):
        raise DamagedFileError(
            f"{source} does not say where its games begin: it has none of {', '.join(GAMES)}"
        )
    return found


def is_image_column(kind: Any) -> bool:
    """Whether a type of Arrow is encoded images: bytes, or the Hub's table of bytes and path."""
    types = optional("pyarrow.types")
    if types.is_struct(kind):
        names = [kind.field(number).name for number in range(kind.num_fields)]
        return "bytes" in names and is_image_column(kind.field("bytes").type)
    return types.is_binary(kind) or types.is_large_binary(kind)


def _first(known: Sequence[str], names: Sequence[str]) -> str:
    return next((name for name in known if name in names), "")


def as_actions(column: Any, source: str) -> tuple[np.ndarray, np.ndarray]:
    """Actions (N,) or (N, P) of a column of Arrow, and which rows (N,) have one. A list of one is
    its element. Raises DamagedFileError for lists of several lengths.
    """
    pa, compute = optional("pyarrow"), optional("pyarrow.compute")
    column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    present = np.asarray(compute.is_valid(column))
    kind = column.type
    if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or _is_fixed(kind)):
        return _values(column, present, source), present
    lengths = np.unique(np.asarray(compute.list_value_length(column.filter(pa.array(present)))))
    if len(lengths) != 1 or lengths[0] < 1:
        raise DamagedFileError(f"{source} has actions of {lengths.tolist()!s:.60} parts")
    parts = int(lengths[0])
    inner = compute.list_flatten(column.filter(pa.array(present)))
    every = np.ones(len(inner), bool)
    values = _values(inner, every, source).reshape(-1, parts)
    found = np.zeros((len(present), parts), values.dtype)
    found[present] = values
    return (found[:, 0] if parts == 1 else found), present


def _is_fixed(kind: Any) -> bool:
    return optional("pyarrow").types.is_fixed_size_list(kind)


def _values(column: Any, present: np.ndarray, source: str) -> np.ndarray:
    pa = optional("pyarrow")
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.array(["" if word is None else word for word in column.to_pylist()], object)
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return np.asarray(column.cast(pa.int64()).fill_null(0))
    if not pa.types.is_floating(kind):
        raise DamagedFileError(f"{source} has actions of the type {kind!s:.60}")
    found = np.asarray(column.fill_null(0)).astype(np.float64)
    if not np.isfinite(found[present]).all():
        raise DamagedFileError(f"{source} holds a number that is not finite")
    return found


def as_numbers(column: Any, count: int, name: str, source: str) -> np.ndarray:
    """A column of numbers or truth values (N,), 0 where it is empty or absent. Lists of one are
    their element. Raises DamagedFileError for others.
    """
    if column is None:
        return np.zeros(count)
    found, present = as_actions(column, source)
    if found.ndim > 1 or found.dtype == object:
        raise DamagedFileError(f"{source}: the column {name} holds no numbers")
    found = np.where(present, found, 0).astype(np.float64)
    if not (np.abs(found) < 1e30).all():
        raise DamagedFileError(f"{source}: the column {name} holds a number that is not finite")
    return found
