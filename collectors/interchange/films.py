"""A folder of films with their actions: NAME.mp4 beside NAME.csv.

A table has a row per frame: the action that was chosen on seeing it, and what that step gave,
`reward` (0 where there is no such column), `terminated` and `truncated`. The last frame of a game
has no action, so a film may hold many games; at the end of a film its row may be left out, or say
an action whose outcome was not filmed.
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
from collectors.interchange.action_kinds import read_actions
from collectors.interchange.csv_steps import read_csv
from collectors.interchange.frames import fitted, frame_shape, stacked
from collectors.interchange.options import FILMS, SourceOptions
from collectors.interchange.steps import Encode, Steps
from collectors.interchange.writing import FRAMES_PER_SECOND, STEPS, Recorded
from collectors.spec_checks import MOST_FPS, check_spec
from collectors.untrusted_files import DamagedFileError
from collectors.video_reader import (
    CONTAINERS,
    FilmHeader,
    count_frames,
    film_header,
    read_film,
)

MOST_FILMS = 100_000


@dataclass(frozen=True)
class Film:
    """A film with its table, which were found to fit."""

    file: Path
    steps: Steps


def read_films(folder: str | Path, options: SourceOptions) -> Recorded:
    """The games of a folder of films. Tables, and lengths and sizes of all films, are checked
    before anything is decoded.

    Raises DatasetError, and ImportError without ffmpeg.
    """
    folder = Path(folder)
    options.check_source(FILMS, str(folder))
    try:
        films = [_checked(file) for file in _film_files(folder)]
        fields, encode = read_actions(
            [film.steps for film in films],
            options.actions,
            options.bounds,
            options.action_space,
        )
        options.check_rewards(film.steps.rewards[film.steps.present] for film in films)
        headers = [film_header(film.file) for film in films]
        spec = {
            "world": options.world or folder.resolve().name,
            "frame_shape": _common_shape(films, headers, options),
            **fields,
            "reward_values": [],
            "fps": options.fps or _common_rate(films, headers),
            "max_episode_steps": STEPS,
        }
        check_spec(spec, open_rewards=True)
    except DamagedFileError as error:
        raise DatasetError(f"{folder} cannot be imported: {error}") from None
    header = {"spec": spec, "env_spec": "", "policy": "recorded", "seed": 0}
    return Recorded(header, _episodes(films, spec["frame_shape"], encode, options), [])


def _common_shape(
    films: Sequence[Film], headers: Sequence[FilmHeader], options: SourceOptions
) -> list[int]:
    """The shape of the frames of all films. Raises as `frame_shape`, and DatasetError for films of
    several sizes that are not resized.
    """
    first, size = films[0].file, headers[0][:2]
    for film, found in zip(films, headers, strict=True):
        if not options.size and found[:2] != size:
            raise DatasetError(
                f"{film.file} has frames of {found.height}x{found.width} pixels, {first} of "
                f"{size[0]}x{size[1]}; resize them with --size 64"
            )
    return frame_shape((*size, 3), options.size, str(first), options.color)


def _common_rate(films: Sequence[Film], headers: Sequence[FilmHeader]) -> int:
    """Frames per second of all films, to the nearest whole one. Raises DatasetError where they
    differ.
    """
    rates = [round(header.fps) for header in headers]
    for film, rate in zip(films, rates, strict=True):
        if rate != rates[0]:
            raise DatasetError(
                f"{film.file} has {rate} frames per second, {films[0].file} {rates[0]}; say how "
                f"many of the game there are, as --fps {rates[0] or FRAMES_PER_SECOND}"
            )
    return min(rates[0], MOST_FPS) or FRAMES_PER_SECOND


def _film_files(folder: Path) -> list[Path]:
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() in CONTAINERS)
    if not files:
        raise DatasetError(
            f"{folder} holds no film ({', '.join(CONTAINERS)}) and no table of images (.parquet)"
        )
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
    steps = read_csv(file.with_suffix(".csv"))
    return Film(file, steps.of_frames(count_frames(file), str(file)))


def _episodes(
    films: Sequence[Film], shape: Sequence[int], encode: Encode, options: SourceOptions
) -> Iterator[Episode]:
    keys = split_keys(sum(len(film.steps.cut(options.cut)) for film in films))
    numbers = itertools.count()
    for film in films:
        frames = (
            fitted(frame, shape, options.size, options.color) for frame in read_film(film.file)
        )
        shared: list[np.ndarray] = []  # the frame that two parts of a game have in common
        for start, end in film.steps.cut(options.cut):
            part = itertools.islice(frames, end - start + 1 - len(shared))
            images = stacked([*shared, *part], shape, str(film.file))
            if len(images) <= end - start:
                raise DatasetError(f"{film.file} is not decoded to its end; write the film again")
            shared = [] if film.steps.last[end] else [images[-1]]
            number = next(numbers)
            yield film.steps.episode((start, end), images, encode, number, keys[number])
