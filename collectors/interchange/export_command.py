"""`neural-envs export DATASET`: as a Minari set, as tables of images, or onto the Hub."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from collectors import network_access
from collectors.dataset.dataset import DatasetError, recorded_dataset
from collectors.extras import optional
from collectors.interchange.repositories import first_line
from collectors.interchange.writing import Recorded, header_of, write_dataset
from collectors.settings.parse import setting
from collectors.settings.run_command import command


@dataclass(frozen=True)
class ExportSettings:
    """Writes a dataset, without loss, for others: as a Minari set, as Parquet files with images, or
    as a data set of the Hugging Face Hub (log in first with `hf auth login`)."""

    data: str = setting(help="the dataset's directory")
    minari: str = setting("", "id of a new Minari set, as pong/mix-v0")
    compressed: str = setting("", "new directory for the same dataset with compressed frames")
    tables: str = setting("", "new folder for Parquet files, which `datasets` loads")
    hub: str = setting("", "organization/name of a data set of the Hub; made if it is not there")
    author: str = setting("", "to be named in the Minari set")
    private: bool = setting(False, "make a new data set of the Hub private")

    def __post_init__(self):
        if sum(map(bool, (self.minari, self.compressed, self.tables, self.hub))) != 1:
            raise ValueError(
                "say one place to export to: --minari ID, --tables FOLDER, --hub ORG/NAME or "
                "--compressed FOLDER"
            )


def push_tables(data: str | Path, repository: str, private: bool = False) -> str:
    """Uploads a dataset as a data set of the Hub; its address. Raises DatasetError with the reason
    of the Hub.
    """
    from collectors.interchange.table_writing import export_tables

    recorded_dataset(data)
    hub = optional("huggingface_hub")
    if reason := network_access.offline():
        raise DatasetError(f"{repository} could not be pushed: {reason}")
    with tempfile.TemporaryDirectory(prefix="neural-envs-") as folder:
        tables = export_tables(data, Path(folder) / "tables", repository)
        try:
            api = hub.HfApi()
            api.create_repo(repository, repo_type="dataset", private=private or None, exist_ok=True)
            return str(
                api.upload_folder(repo_id=repository, repo_type="dataset", folder_path=tables)
            )
        except Exception as error:  # the Hub raises many kinds: no login, a wrong name
            raise DatasetError(
                f"{repository} could not be pushed ({first_line(error)}); is `hf auth login` done?"
            ) from error


def compress_dataset(data: str | Path, out: str | Path) -> int:
    """Writes a dataset with compressed frames into the new directory `out`; its bytes. Raises
    DatasetError, and MissingExtra without zstandard.
    """
    optional("zstandard")
    dataset = recorded_dataset(data, verify=True)
    shards = [
        {key: entry[key] for key in ("index", "quota", "episodes")}
        for entry in dataset.manifest["shards"]
    ]
    episodes = (dataset.episode(row.id) for row in dataset.episodes)
    recorded = Recorded(header_of(dataset), episodes, shards)
    written = write_dataset(recorded, out, str(data), compress=True)
    return sum(file.stat().st_size for file in written.path.iterdir())


def run(settings: ExportSettings) -> str:
    """Export a dataset; return a line about it."""
    if settings.hub:
        return push_tables(settings.data, settings.hub, settings.private)
    if settings.tables:
        from collectors.interchange.table_writing import export_tables

        return f"{settings.data} is in {export_tables(settings.data, settings.tables)}"
    if settings.compressed:
        found = compress_dataset(settings.data, settings.compressed)
        return f"{settings.compressed}: {found} bytes, without loss"
    from collectors.dataset.minari import export_dataset

    export_dataset(settings.data, settings.minari, settings.author)
    return f"{settings.data} is in Minari as {settings.minari}"


def main(argv: list[str] | None = None) -> int:
    """The verb `export`; returns the exit code."""
    return command(ExportSettings, run, argv, "neural-envs export", ("data", "minari"))
