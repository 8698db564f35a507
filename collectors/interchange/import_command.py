"""`neural-envs import SOURCE --out DIR`: what was recorded elsewhere, as a dataset."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from collectors.dataset.dataset import Dataset, DatasetError
from collectors.interchange.films import FilmOptions, read_films
from collectors.interchange.repositories import Folder, hub_dataset
from collectors.interchange.tables import TableOptions, holds_tables, read_tables
from collectors.interchange.writing import FRAMES_PER_SECOND, check_empty, write_dataset
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command
from collectors.spec_checks import MOST_FPS
from collectors.worlds.any_game_images import height_and_width

MINARI = re.compile(r"[\w/-]+-v\d+")  # the names of its sets end in a version


@dataclass(frozen=True)
class ImportSettings:
    """Writes what was recorded elsewhere as a dataset: a folder of films (NAME.mp4 beside NAME.csv
    with a column `action`), a Minari set, or tables of images (Parquet) in a folder or on the
    Hugging Face Hub, those of LeRobot too, of which no copy is kept."""

    source: str = setting(
        help="a folder; the id of a set that Minari has on this machine, as pong/mix-v0; or a data "
        "set of the Hub, organization/name or hf:organization/name@revision"
    )
    out: str = setting(help="directory to write")
    size: str = setting("", "resize frames to a side or HEIGHTxWIDTH; none: as they are")
    world: str = setting("", "name of the game; the source's if empty")
    actions: tuple[str, ...] = setting((), "names of the actions, as noop,left,right")
    bounds: tuple[float, ...] = setting((), "of actions that are numbers, as -1,1; none: found")
    fps: int = setting(
        0, "steps per second; 0: what the source says, or 30", least=0, most=MOST_FPS
    )
    cut: int = setting(0, "cut games of films into episodes of so many steps; 0: do not", least=0)
    image_column: str = setting("", "the images of a table; found by its name if empty")
    action_column: str = setting("", "the actions of a table; found by its name if empty")

    def __post_init__(self):
        check_settings(self)
        if self.size:
            height_and_width(self.size)
        if len(self.bounds) not in (0, 2):
            raise ValueError("bounds are the lowest and the highest number, as --bounds -1,1")


def import_dataset(settings: ImportSettings) -> Dataset:
    """The dataset of what the settings name. Raises DatasetError, and ImportError where a package
    is missing that reads it.
    """
    source, folder = settings.source, Path(settings.source)
    if not folder.is_dir() and MINARI.fullmatch(source):
        from collectors.dataset import minari

        return minari.import_dataset(source, settings.out, settings.size)
    check_empty(settings.out)
    if folder.is_dir() and not holds_tables(Folder(folder)):
        return write_dataset(read_films(folder, _film_options(settings)), settings.out, source)
    files = Folder(folder) if folder.is_dir() else hub_dataset(source)
    if not holds_tables(files):
        raise DatasetError(f"{files.name} holds no Parquet files")
    options = TableOptions(
        settings.world,
        settings.actions,
        settings.fps,
        settings.size,
        settings.bounds,
        settings.image_column,
        settings.action_column,
    )
    return write_dataset(read_tables(files, options), settings.out, files.name)


def _film_options(settings: ImportSettings) -> FilmOptions:
    fps = settings.fps or FRAMES_PER_SECOND
    return FilmOptions(
        settings.world, settings.actions, fps, settings.size, settings.bounds, settings.cut
    )


def run(settings: ImportSettings) -> str:
    """Import what the settings name; return a line about it."""
    dataset = import_dataset(settings)
    return (
        f"{settings.out}: {dataset.steps} steps, {len(dataset.episodes)} episodes, "
        f"{dataset.fingerprint[:16]}"
    )


def main(argv: list[str] | None = None) -> int:
    """The verb `import`; returns the exit code."""
    return command(ImportSettings, run, argv, "neural-envs import", ("source", "out"))
