"""`neural-envs import SOURCE --out DIR`: what was recorded elsewhere, as a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collectors.dataset.dataset import Dataset, DatasetError
from collectors.interchange.films import FilmOptions, holds_films, read_films
from collectors.interchange.writing import FRAMES_PER_SECOND, PATCH, check_empty, write_dataset
from collectors.settings.parse import check_settings, setting
from collectors.settings.run_command import command


@dataclass(frozen=True)
class ImportSettings:
    """Writes what was recorded elsewhere as a dataset: a folder of films (NAME.mp4 beside NAME.csv
    with a column `action`), or a Minari set."""

    source: str = setting(help="a folder, or the id of a set that Minari has on this machine")
    out: str = setting(help="directory to write")
    size: int = setting(0, "resize the frames to this side; 0 takes them as they are", least=0)
    world: str = setting("", "name of the game in films; the folder's if empty")
    actions: tuple[str, ...] = setting((), "names of the actions in films, as noop,left,right")
    fps: int = setting(FRAMES_PER_SECOND, "steps per second of films", least=1)
    cut: int = setting(0, "cut games of films into episodes of so many steps; 0: do not", least=0)

    def __post_init__(self):
        check_settings(self)
        if self.size % PATCH:
            raise ValueError(f"size is 0 or a multiple of {PATCH}, got {self.size}")


def import_dataset(settings: ImportSettings) -> Dataset:
    """The dataset of what the settings name. Raises DatasetError, and ImportError where a package
    is missing that reads it.
    """
    folder = Path(settings.source)
    if not folder.is_dir():
        from collectors.dataset import minari

        return minari.import_dataset(settings.source, settings.out, settings.size)
    check_empty(settings.out)
    if not holds_films(folder):
        raise DatasetError(f"{folder} holds no films; see neural-envs import --help")
    options = FilmOptions(
        settings.world, settings.actions, settings.fps, settings.size, settings.cut
    )
    return write_dataset(read_films(folder, options), settings.out, str(folder))


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
