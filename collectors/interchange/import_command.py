"""`neural-envs import SOURCE --out DIR`: what was recorded elsewhere, as a dataset."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from pathlib import Path

from collectors.action_space import ActionSpace, ActionSpaceError
from collectors.dataset.dataset import Dataset, DatasetError
from collectors.extras import optional
from collectors.interchange.films import read_films
from collectors.interchange.options import SourceOptions
from collectors.interchange.repositories import Folder, hub_dataset
from collectors.interchange.tables import holds_tables, read_tables
from collectors.interchange.writing import check_empty, write_dataset
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
        "set of the Hub, organization/name or hf:organization/name@revision, with hf: where its "
        "name ends in a version as Minari's do"
    )
    out: str = setting(help="directory to write")
    size: str = setting("", "resize frames to a side or HEIGHTxWIDTH; none: as they are")
    color: str = setting("", "rgb or gray; none: as they are, and rgb where they are resized")
    world: str = setting("", "name of the game; the source's if empty")
    actions: tuple[str, ...] = setting((), "names of the actions, or of their parts")
    bounds: tuple[float, ...] = setting(
        (), "of actions that are numbers, of all parts as -1,1 or of each as -1,1,0,1; none: found"
    )
    action_space: str = setting(
        "", 'the game\'s, as {"type": "Discrete", "n": 3, "start": 0} in a manifest; none: found'
    )
    reward: str = setting("raw", "raw or sign")
    fps: int = setting(
        0, "steps per second; 0: what the source says, or 30", least=0, most=MOST_FPS
    )
    cut: int = setting(
        0, "cut games of films and tables into episodes of so many steps; 0: do not", least=0
    )
    image_column: str = setting("", "the images of a table; found by its name if empty")
    action_column: str = setting("", "the actions of a table; found by its name if empty")
    key: str = setting("", "which of the observations of a Minari set is the image")
    compress: bool = setting(False, "frames without loss in a seventh of the room or less")

    def __post_init__(self):
        check_settings(self)
        if self.size:
            height_and_width(self.size)
        for name, choices in (("color", ("", "rgb", "gray")), ("reward", ("raw", "sign"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is {' or '.join(filter(None, choices))}")
        if self.bounds and self.action_space:
            raise ValueError("an action space has its bounds: give --action-space alone")
        if len(self.bounds) % 2:
            raise ValueError(
                "bounds are the lowest and the highest number, as --bounds -1,1, or those of each "
                "part, as --bounds -1,1,0,1"
            )
        if self.compress:
            optional("zstandard")  # before anything is read
        self.options()

    def options(self) -> SourceOptions:
        """What is said of the source. Raises ValueError for an action space that is none."""
        given = {field.name: getattr(self, field.name) for field in fields(SourceOptions)}
        return SourceOptions(**{**given, "action_space": _space(self.action_space)})


def _space(text: str) -> ActionSpace | None:
    if not text:
        return None
    try:
        return ActionSpace.from_dict(json.loads(text))
    except (ValueError, RecursionError, ActionSpaceError) as error:
        raise ValueError(
            f"--action-space is one as manifests have it ({error}): for example "
            '{"type": "Discrete", "n": 3, "start": 0}, {"type": "MultiDiscrete", "nvec": [3, 2], '
            '"start": [0, 0]}, {"type": "MultiBinary", "n": 4} or {"type": "Box", "low": [-1, 0], '
            '"high": [1, 1]}'
        ) from None


def import_dataset(settings: ImportSettings) -> Dataset:
    """The dataset of what the settings name. Raises DatasetError, and ImportError where a package
    is missing that reads it.
    """
    source, folder, options = settings.source, Path(settings.source), settings.options()
    out, compress = settings.out, settings.compress
    if not folder.is_dir() and MINARI.fullmatch(source):
        from collectors.dataset import minari

        return minari.import_dataset(source, out, options, compress)
    check_empty(out)
    if folder.is_dir() and not holds_tables(Folder(folder)):
        found = options.with_rewards(read_films(folder, options))
        return write_dataset(found, out, source, compress)
    files = Folder(folder) if folder.is_dir() else hub_dataset(source)
    if not holds_tables(files):
        raise DatasetError(f"{files.name} holds no Parquet files")
    found = options.with_rewards(read_tables(files, options))
    return write_dataset(found, out, files.name, compress)


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
