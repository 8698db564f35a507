"""Data sets of LeRobot, of versions 2 and 3, whose frames are in films."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from collectors.interchange.parquet import opened, read_columns
from collectors.interchange.repositories import Files, Folder
from collectors.interchange.table_columns import as_numbers
from collectors.spec_checks import MOST_FPS, are, is_whole
from collectors.untrusted_files import DamagedFileError, checked_json
from collectors.video_reader import count_frames, read_film

INFO = "meta/info.json"
MOST_INFO_BYTES = 2**22
CHUNK = 1000  # games per folder of version 2, where it does not say


class Info(NamedTuple):
    """What `meta/info.json` says of the frames."""

    fps: int
    camera: str
    films: bool  # whether the camera's frames are in films, not in the tables
    shape: list[int]  # (H, W, 3) of a frame in a film
    version: int
    chunk: int


class Place(NamedTuple):
    """Where the frames of a game are."""

    film: str
    first: int
    count: int


def read_info(files: Files, camera: str) -> Info | None:
    """What a data set of LeRobot says, None for another one. `camera` is the name of one of its
    cameras, or none for the first. Raises DamagedFileError.
    """
    if INFO not in files.names():
        return None
    with files.open(INFO) as stream:
        about = checked_json(stream.read(MOST_INFO_BYTES + 1), MOST_INFO_BYTES)
    features = about.get("features") if isinstance(about, dict) else None
    if not isinstance(features, dict):
        raise DamagedFileError(f"{INFO} lists no features")
    kinds = {
        name: part["dtype"]
        for name, part in features.items()
        if isinstance(part, dict) and part.get("dtype") in ("image", "video")
    }
    chosen = camera or next(iter(kinds), "")
    if chosen not in kinds:
        raise DamagedFileError(
            f"it has no camera {chosen!r:.60}; its cameras are {[*kinds]!s:.300}"
        )
    fps: Any = about.get("fps")
    chunk: Any = about.get("chunks_size", CHUNK)
    version = str(about.get("codebase_version", ""))[:2]
    if not (is_whole(fps, 1, MOST_FPS) and is_whole(chunk, 1, 10**6) and version in ("v2", "v3")):
        raise DamagedFileError(f"{INFO} is of no version of LeRobot's from 2 to 3, or without fps")
    films = kinds[chosen] == "video"
    return Info(fps, chosen, films, _shape(features[chosen]), int(version[1]), chunk)


def _shape(feature: dict[str, Any]) -> list[int]:
    """(H, W, 3) of a camera, which says it in this order or with the channels first."""
    found = feature.get("shape")
    if not isinstance(found, list) or not are(found, int) or len(found) != 3 or min(found) < 1:
        raise DamagedFileError(f"{INFO} gives a camera the shape {found!r:.60}")
    return [*found[1:], found[0]] if found[0] == 3 and found[2] != 3 else list(found)


def film_places(files: Files, info: Info, lengths: Sequence[int]) -> list[Place]:
    """Where the frames of each game are; `lengths` are their frames. Raises DamagedFileError where
    a film is missing, where games overlap in one, and where one is too short: of the Hub as far as
    version 3 says so, before a film is fetched, and of a folder as far as it is decoded.
    """
    if info.version == 2:
        places = [
            Place(
                f"videos/chunk-{game // info.chunk:03d}/{info.camera}/episode_{game:06d}.mp4", 0, n
            )
            for game, n in enumerate(lengths)
        ]
    else:
        places = _places_of_3(files, info, lengths)
    known = set(files.names())
    for place in places:
        if place.film not in known:
            raise DamagedFileError(f"the film {place.film} is missing")
    for before, place in itertools.pairwise([Place("", 0, 0), *places]):
        if place.first < (before.first + before.count if place.film == before.film else 0):
            raise DamagedFileError(f"games overlap in the film {place.film}")
    if isinstance(files, Folder):
        _check_lengths(files, places)
    return places


def _places_of_3(files: Files, info: Info, lengths: Sequence[int]) -> list[Place]:
    names = [name for name in files.names() if name.startswith("meta/episodes/")]
    rows = {int(row[0]): row[1:] for name in names for row in _stretches(files, name, info.camera)}
    if missing := [game for game in range(len(lengths)) if game not in rows]:
        raise DamagedFileError(f"meta/episodes does not say where game {missing[0]} is")
    found = []
    for game, length in enumerate(lengths):
        chunk, file, start, end = rows[game]
        film = f"videos/{info.camera}/chunk-{int(chunk):03d}/file-{int(file):03d}.mp4"
        # half a frame for rounding, and one as some writers say when the last frame begins
        if (end - start) * info.fps < length - 1.5:
            raise DamagedFileError(
                f"game {game} has {length} rows, and meta/episodes gives it the seconds {start:g} "
                f"to {end:g} of the film {film}, which are fewer frames"
            )
        found.append(Place(film, round(start * info.fps), length))
    return found


def _stretches(files: Files, name: str, camera: str) -> np.ndarray:
    """What a table of `meta/episodes` says of its games (G, 5): number, chunk and file of the film,
    and from which second to which, without end where it does not say.
    """
    keys = [f"videos/{camera}/{key}" for key in ("chunk_index", "file_index", "from_timestamp")]
    keys, end = ["episode_index", *keys], f"videos/{camera}/to_timestamp"
    with opened(files, name) as file:
        says_end = end in file.schema_arrow.names
        table = read_columns(files, name, file, [*keys, end] if says_end else keys)
    count = table.num_rows
    columns = [as_numbers(table.column(key), count, key, name) for key in table.column_names]
    return np.stack(columns if says_end else [*columns, np.full(count, np.inf)], 1)


def _check_lengths(files: Folder, places: Sequence[Place]) -> None:
    needed: dict[str, int] = {}
    for place in places:
        needed[place.film] = max(needed.get(place.film, 0), place.first + place.count)
    for film, frames in needed.items():
        found = count_frames(files.folder / film)
        if found < frames:
            raise DamagedFileError(f"the film {film} has {found} frames, its games {frames}")


def film_frames(files: Files, places: Sequence[Place]) -> Iterator[np.ndarray]:
    """The frames of all games in turn; a film is fetched when it is read, and then let go. Raises
    DamagedFileError for a film that is too short.
    """
    for film, games in itertools.groupby(places, lambda place: place.film):
        with files.path(film) as path:
            frames, at = read_film(path), 0
            for place in games:
                chosen = itertools.islice(frames, place.first - at, place.first - at + place.count)
                count = 0
                for frame in chosen:
                    yield frame
                    count += 1
                if count < place.count:
                    raise DamagedFileError(f"the film {film} is too short")
                at = place.first + place.count
