"""Tables of images: Parquet files with a column of images and one of actions, as data sets of the
Hugging Face Hub and of LeRobot are, in a folder or on the Hub.

Actions, games, rewards and ends of all rows are read and checked first, which is little; the images
are then read in turn, and no copy of the files is kept.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from collectors.dataset.dataset import DatasetError
from collectors.dataset.episode import Episode
from collectors.dataset.splits import split_keys
from collectors.extras import optional
from collectors.interchange import lerobot
from collectors.interchange.action_kinds import read_actions
from collectors.interchange.frames import fitted, frame_shape, stacked
from collectors.interchange.options import OWN as OURS
from collectors.interchange.options import TABLES, SourceOptions
from collectors.interchange.own_tables import OWN, own_recorded
from collectors.interchange.parquet import opened, read_cells, read_columns
from collectors.interchange.repositories import Files
from collectors.interchange.steps import COLUMNS, Encode, Steps
from collectors.interchange.table_columns import Columns, as_actions, as_numbers, find_columns
from collectors.interchange.writing import FRAMES_PER_SECOND, STEPS, Recorded
from collectors.spec_checks import check_spec
from collectors.untrusted_files import PARSE_ERRORS, DamagedFileError, check_size, reason_of

MOST_ROWS = 5_000_000
MOST_PARTS = 64  # of an action
MOST_PIXELS = 2**24  # of an image
FORMATS = ("PNG", "JPEG", "WEBP", "BMP")


class Rows(NamedTuple):
    """All rows of all tables, without their images."""

    steps: Steps
    games: np.ndarray  # (N,) int64, the number of the game of each row, in turn 0, 1, ...
    own: list[bytes]  # what an export of ours left in each table


def holds_tables(files: Files) -> bool:
    """Whether there are tables to be read."""
    return bool(table_names(files))


def table_names(files: Files) -> list[str]:
    """The names of the tables with the steps, in turn."""
    names = [name for name in files.names() if name.endswith(".parquet")]
    return [name for name in names if not name.startswith(("meta/", "."))]


def read_tables(files: Files, options: SourceOptions) -> Recorded:
    """The games of the tables. Raises DatasetError, and ImportError without pyarrow."""
    optional("pyarrow.parquet")
    try:
        names = table_names(files)
        info = lerobot.read_info(files, options.image_column)
        with opened(files, names[0]) as table:
            films = bool(info and info.films)
            columns = find_columns(
                table.schema_arrow, options.image_column, options.action_column, files.name, films
            )
        rows = _read_rows(files, names, columns)
        if rows.own:
            options.check_source(OURS, files.name)
            own = own_recorded(rows.own, _frames(files, names, columns), rows.steps, rows.games)
            return options.overridden(own, files.name)
        options.check_source(TABLES, files.name)
        return _recorded(files, names, columns, rows, options, info)
    except DamagedFileError as error:
        raise DatasetError(f"{files.name} cannot be imported: {error}") from None


def _recorded(
    files: Files,
    names: Sequence[str],
    columns: Columns,
    rows: Rows,
    options: SourceOptions,
    info: lerobot.Info | None,
) -> Recorded:
    games = _games(rows)
    fields, encode = read_actions(games, options.actions, options.bounds, options.action_space)
    options.check_rewards(game.rewards[game.present] for game in games)
    if info and info.films:
        places = lerobot.film_places(files, info, [len(game) for game in games])
        found, images = info.shape, lerobot.film_frames(files, places)
    else:
        found, images = _first_shape(files, names, columns), _frames(files, names, columns)
    shape = frame_shape(found, options.size, files.name, options.color)
    frames = (fitted(image, shape, options.size, options.color) for image in images)
    spec = {
        "world": options.world or files.name.rpartition("/")[2].partition("@")[0],
        "frame_shape": shape,
        **fields,
        "reward_values": [],
        "fps": options.fps or (info.fps if info else FRAMES_PER_SECOND),
        "max_episode_steps": STEPS,
    }
    check_spec(spec, open_rewards=True)
    header = {"spec": spec, "env_spec": "", "policy": "recorded", "seed": 0}
    return Recorded(header, _episodes(games, frames, shape, encode, (files.name, options.cut)), [])


def _episodes(
    games: Sequence[Steps],
    frames: Iterator[np.ndarray],
    shape: Sequence[int],
    encode: Encode,
    source: tuple[str, int],
) -> Iterator[Episode]:
    """`source` is its name, and the steps after which games are cut."""
    name, most = source
    keys = iter(split_keys(sum(len(game.cut(most)) for game in games)))
    numbers = itertools.count()
    for number, game in enumerate(games):
        images = stacked(itertools.islice(frames, len(game)), shape, name)
        if len(images) < len(game):
            raise DatasetError(f"{name} has fewer images than rows, in game {number}")
        for start, end in game.cut(most):
            part = images[start : end + 1]
            yield game.episode((start, end), part, encode, next(numbers), next(keys))


def _games(rows: Rows) -> list[Steps]:
    """The steps of each game, whose last frame has no action. Raises DamagedFileError."""
    borders = np.flatnonzero(np.diff(rows.games)) + 1
    found = []
    for first, end in itertools.pairwise([0, *borders.tolist(), len(rows.games)]):
        game = rows.steps.rows(first, end)
        found.append(game.of_frames(end - first, rows.steps.source))
    return found


def _read_rows(files: Files, names: Sequence[str], columns: Columns) -> Rows:
    parts: list[Steps] = []
    labels: list[str] = []
    places: list[np.ndarray] = []
    own: list[bytes] = []
    total = 0
    for name in names:
        with opened(files, name) as table:
            total += table.metadata.num_rows
            check_size(files.name, total, MOST_ROWS, "rows")
            own += [(table.schema_arrow.metadata or {}).get(OWN, b"")]
            light = read_columns(files, name, table, columns.light)
        steps, game, place = _read_light(light, columns, f"{files.name}/{name}")
        parts.append(steps)
        labels += game
        places.append(place)
    if not total:
        raise DamagedFileError("it has no rows")
    steps = _joined(parts, files.name)
    games = _numbered(np.array(labels, object), steps, columns)
    _check_turns(games, np.concatenate(places), columns, files.name)
    return Rows(steps, games, own if all(own) else [])


def _read_light(light: Any, columns: Columns, source: str) -> tuple[Steps, list[str], np.ndarray]:
    """The steps of a table, its labels of games (equal without), and the places in them."""
    count, has = light.num_rows, set(light.column_names)
    given = {name: light.column(name) for name in has}
    actions, present = as_actions(given[columns.action], source)
    if actions.ndim > 1:
        check_size(f"an action of {source}", actions.shape[1], MOST_PARTS, "parts")
    numbers = {
        name: as_numbers(given.get(name) if name else None, count, name, source)
        for name in (columns.reward, columns.termination, columns.truncation, columns.row)
    }
    steps = Steps(
        source,
        actions,
        present,
        numbers[columns.reward].astype(np.float32) if columns.reward else np.zeros(count, "f4"),
        numbers[columns.termination] > 0 if columns.termination else np.zeros(count, bool),
        numbers[columns.truncation] > 0 if columns.truncation else np.zeros(count, bool),
    )
    labels = given[columns.game].to_pylist() if columns.game else ["0"] * count
    row = numbers[columns.row] if columns.row else np.full(count, -1.0)
    return steps, list(map(str, labels)), row


def _joined(parts: Sequence[Steps], name: str) -> Steps:
    kinds = {(part.actions.shape[1:], part.actions.dtype.kind in "iuf") for part in parts}
    if len(kinds) > 1:
        raise DamagedFileError("its tables have actions of different kinds, or numbers of parts")
    joined: dict[str, Any] = {
        column: np.concatenate([getattr(part, column) for part in parts]) for column in COLUMNS
    }
    return Steps(name, **joined)


def _numbered(labels: np.ndarray, steps: Steps, columns: Columns) -> np.ndarray:
    """Games (N,) as 0, 1, ...: a new one where the label changes, or without labels after the row
    that ended one.
    """
    if columns.game:
        changes = labels[1:] != labels[:-1]
        if len({*labels[np.concatenate([[True], changes])].tolist()}) < 1 + changes.sum():
            raise DamagedFileError(f"the rows of a game are not together ({columns.game})")
    else:
        ended = steps.over | steps.last
        changes = ended[:-1] & ~(steps.last[1:] & steps.over[:-1])
    return np.concatenate([[0], np.cumsum(changes)]).astype(np.int64)


def _check_turns(games: np.ndarray, places: np.ndarray, columns: Columns, name: str) -> None:
    """Raises DamagedFileError where the rows of a game are not in their order."""
    within = games[1:] == games[:-1]
    if columns.row and not (np.diff(places)[within] == 1).all():
        wrong = int(np.flatnonzero(within & (np.diff(places) != 1))[0]) + 1
        raise DamagedFileError(
            f"row {wrong} does not follow the one before it: {columns.row} is "
            f"{places[wrong]:g} after {places[wrong - 1]:g}"
        )


def _first_shape(files: Files, names: Sequence[str], columns: Columns) -> tuple[int, ...]:
    """The shape of the first image. Raises DamagedFileError where the first table has none."""
    first = next(_frames(files, names[:1], columns), None)
    if first is None:
        raise DamagedFileError("it has no image")
    return first.shape


def _frames(files: Files, names: Sequence[str], columns: Columns) -> Iterator[np.ndarray]:
    """The images of all rows in turn. Raises DamagedFileError."""
    for name in names:
        for cell in read_cells(files, name, columns.image):
            yield decoded(cell, f"{files.name}/{name}")


def decoded(cell: Any, source: str) -> np.ndarray:
    """The image (H, W, 3) uint8, or (H, W) where it is gray, of a cell with encoded bytes. A path
    in it is not opened. Raises DamagedFileError.
    """
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise DamagedFileError(f"{source} has a row without the bytes of its image")
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            check_size(f"an image of {source}", image.width * image.height, MOST_PIXELS, "pixels")
            return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    except DamagedFileError:
        raise
    except UnidentifiedImageError:
        raise DamagedFileError(
            f"{source} has an image that is none of {', '.join(FORMATS)}"
        ) from None
    except (*PARSE_ERRORS, Image.DecompressionBombError) as error:
        raise DamagedFileError(f"{source} has an image that is none ({reason_of(error)})") from None
