"""A folder of films with their actions: NAME.mp4 beside NAME.csv.

A table has a row per frame: the action that was chosen on seeing it, and what that step gave,
`reward` (0 where there is no such column), `terminated` and `truncated`. The last frame of a game
has no action; where a film ends with a game, its row may be left out, or say an action whose
outcome was not filmed. So a film may hold many games.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from collectors.dataset.dataset import DatasetError
from collectors.dataset.episode import Episode
from collectors.dataset.splits import split_keys
from collectors.interchange.action_tables import ActionTable, read_action_table
from collectors.interchange.frames import fitted, frame_shape, stacked
from collectors.interchange.writing import FRAMES_PER_SECOND, STEPS, Recorded
from collectors.spec_checks import check_spec
from collectors.untrusted_files import DamagedFileError
from collectors.video_reader import CONTAINERS, count_frames, read_film

MOST_FILMS = 100_000


@dataclass(frozen=True)
class FilmOptions:
    """What a folder of films does not say of itself."""

    world: str = ""  # the game's name; the folder's if empty
    actions: tuple[str, ...] = ()  # their names; found in the tables if empty
    fps: int = FRAMES_PER_SECOND
    size: int = 0  # side of the frames; 0 takes them as they are
    cut: int = 0  # longer games are cut into episodes of so many steps; 0 leaves them whole


@dataclass(frozen=True)
class Film:
    """A film with its table, which were found to fit."""

    file: Path
    table: ActionTable


def holds_films(folder: Path) -> bool:
    """Whether a folder has a film in it."""
    return any(file.suffix.lower() in CONTAINERS for file in folder.iterdir())


def read_films(folder: str | Path, options: FilmOptions) -> Recorded:
    """The games of a folder of films. Tables, lengths of films and the first frame are checked at
    once, before anything is decoded.

    Raises DatasetError, and ImportError without ffmpeg.
    """
    folder = Path(folder)
    try:
        films = [_checked(file) for file in _film_files(folder)]
        names = action_names(films, options.actions)
        first = next(read_film(films[0].file))
    except (DamagedFileError, StopIteration) as error:
        reason = str(error) or "its first film has no frame"
        raise DatasetError(f"{folder} cannot be imported: {reason}") from None
    spec = {
        "world": options.world or folder.resolve().name,
        "frame_shape": frame_shape(first.shape, options.size, str(films[0].file)),
        "action_names": names,
        "reward_values": [],
        "fps": options.fps,
        "max_episode_steps": STEPS,
    }
    check_spec(spec, open_rewards=True)
    header = {"spec": spec, "env_spec": "", "policy": "recorded", "seed": 0}
    return Recorded(header, _episodes(films, spec, options), [])


def action_names(films: Sequence[Film], given: Sequence[str]) -> list[str]:
    """The names of the actions: those that are given, else the words of the tables in alphabetical
    order, else the numbers up to the largest. Raises DamagedFileError for an action beyond them.
    """
    found = sorted({word for film in films for word in film.table.words if word})
    numbers = all(word.isdigit() for word in found)
    if given:
        known = {*given, *map(str, range(len(given)))}
        if other := [word for word in found if word not in known]:
            film = next(film for film in films if other[0] in film.table.words)
            raise DamagedFileError(
                f"{film.file.with_suffix('.csv')} has the action {other[0]!r:.60}, which is none "
                f"of {', '.join(given)}"
            )
        return list(given)
    if numbers:
        largest = max(map(int, found))
        if largest >= 4 * len(found) + 16:
            raise DamagedFileError(
                f"an action is {largest}, and only {len(found)} different ones are used; name all "
                "actions with --actions"
            )
        return [str(number) for number in range(largest + 1)]
    return found


def _film_files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in CONTAINERS)
    if not files:
        raise DatasetError(f"{folder} holds no film ({', '.join(CONTAINERS)})")
    if len(files) > MOST_FILMS:
        raise DatasetError(f"{folder} holds {len(files)} films, more than {MOST_FILMS}")
    stems = {file.stem for file in files}
    if len(stems) < len(files):
        raise DatasetError(f"{folder} holds two films of one name; a table belongs to one film")
    if missing := [file for file in files if not file.with_suffix(".csv").is_file()]:
        raise DatasetError(
            f"{missing[0]} has no table of actions beside it: {missing[0].stem}.csv, with a column "
            "'action' and a row per frame"
        )
    tables = {file.stem for file in folder.iterdir() if file.suffix.lower() == ".csv"}
    if alone := sorted(tables - stems):
        raise DatasetError(f"{folder / alone[0]}.csv has no film beside it")
    return files


def _checked(file: Path) -> Film:
    """A film with its table. Raises DatasetError where they do not fit."""
    table = read_action_table(file.with_suffix(".csv"))
    frames = count_frames(file)
    return Film(file, table.of_frames(frames, file))


def _episodes(films: Sequence[Film], spec: dict, options: FilmOptions) -> Iterator[Episode]:
    keys = split_keys(sum(len(_cut(film.table, options.cut)) for film in films))
    codes = {name: index for index, name in enumerate(spec["action_names"])}
    codes |= {str(index): index for index in range(len(codes))}
    number = 0
    for film in films:
        frames = (fitted(frame, options.size) for frame in read_film(film.file))
        shared: list[np.ndarray] = []  # the frame that two parts of a game have in common
        for start, end in _cut(film.table, options.cut):
            part = itertools.islice(frames, end - start + 1 - len(shared))
            images = stacked([*shared, *part], spec["frame_shape"], str(film.file))
            if len(images) <= end - start:
                raise DatasetError(f"{film.file} is not decoded to its end; write the film again")
            shared = [] if film.table.last[end] else [images[-1]]
            yield film.table.episode((start, end), images, codes, number, keys[number])
            number += 1


def _cut(table: ActionTable, most: int) -> list[tuple[int, int]]:
    """(first frame, last frame) of each episode; parts of a game share a frame."""
    found, start = [], 0
    for end in np.flatnonzero(table.last).tolist():
        step = most or end - start
        starts = range(start, end, step)
        found += [(begin, min(begin + step, end)) for begin in starts]
        start = end + 1
    return found
