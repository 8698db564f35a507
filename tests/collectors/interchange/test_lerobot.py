"""Data sets of LeRobot are read from their films, and such that do not fit are a sentence."""

import json
from contextlib import nullcontext

import numpy as np
import pytest

from collectors.dataset.dataset import DatasetError
from collectors.interchange.import_command import ImportSettings, import_dataset
from collectors.interchange.options import SourceOptions
from collectors.interchange.repositories import Folder
from collectors.interchange.tables import read_tables
from collectors.video_writers import write_video

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pytest.importorskip("imageio_ffmpeg")


def lerobot(folder, version: str, lengths=(4, 3), **columns) -> None:
    """A data set as LeRobot writes it, its frames in films, numbered by their gray; of where
    games are in films, columns are changed, or None for without.
    """
    camera = "observation.images.front"
    feature = {"dtype": "video", "shape": [3, 32, 32], "names": ["channels", "height", "width"]}
    about = {"codebase_version": version, "fps": 5, "features": {camera: feature}}
    (folder / "meta").mkdir(parents=True)
    (folder / "meta" / "info.json").write_text(json.dumps(about))
    grays = np.arange(sum(lengths), dtype=np.uint8) * 10
    frames = np.broadcast_to(grays[:, None, None, None], (len(grays), 32, 32, 3))
    starts = np.cumsum((0, *lengths))
    games = list(zip(starts[:-1], starts[1:], strict=True))
    rows = {
        "episode_index": np.repeat(np.arange(len(lengths)), lengths),
        "frame_index": np.concatenate([np.arange(n) for n in lengths]),
        "action": [[float(n), -float(n)] for n in range(len(grays))],
    }
    table = folder / "data" / "chunk-000" / "file-000.parquet"
    table.parent.mkdir(parents=True)
    pq.write_table(pa.table(rows), table)
    if version == "v3.0":
        write_video(folder / f"videos/{camera}/chunk-000/file-000.mp4", frames, 5, 1)
        places = {
            "episode_index": list(range(len(lengths))),
            f"videos/{camera}/chunk_index": [0] * len(lengths),
            f"videos/{camera}/file_index": [0] * len(lengths),
            f"videos/{camera}/from_timestamp": [float(first) / 5 for first, _ in games],
            f"videos/{camera}/to_timestamp": [float(end) / 5 for _, end in games],
            **{f"videos/{camera}/{name}": column for name, column in columns.items()},
        }
        file = folder / "meta/episodes/chunk-000/file-000.parquet"
        file.parent.mkdir(parents=True)
        given = {name: column for name, column in places.items() if column is not None}
        pq.write_table(pa.table(given), file)
    else:
        for number, (first, end) in enumerate(games):
            film = folder / f"videos/chunk-000/{camera}/episode_{number:06d}.mp4"
            write_video(film, frames[first:end], 5, 1)


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_data_set_of_lerobot_is_read_from_its_films(tmp_path, version):
    lerobot(tmp_path / "in", version)
    data = import_dataset(ImportSettings(str(tmp_path / "in"), str(tmp_path / "out")))
    assert data.spec["fps"] == 5 and data.spec["frame_shape"] == [32, 32, 3]
    assert [row.length for row in data.episodes] == [3, 2]
    levels = [data.episode(n).frames.mean((1, 2, 3)) for n in (0, 1)]
    assert np.abs(levels[0] - [0, 10, 20, 30]).max() < 3
    assert np.abs(levels[1] - [40, 50, 60]).max() < 3
    assert data.episode(1).actions.tolist() == [[4, -4], [5, -5]]


@pytest.mark.parametrize("version", ["v2.1", "v3.0"])
def test_a_film_of_a_folder_that_is_too_short_or_missing_is_a_sentence(tmp_path, version):
    lerobot(tmp_path / "in", version)
    settings = ImportSettings(str(tmp_path / "in"), str(tmp_path / "out"))
    film = next((tmp_path / "in").rglob("*.mp4"))
    write_video(film, np.zeros((2, 32, 32, 3), np.uint8), 5, 1)
    with pytest.raises(DatasetError, match="has 2 frames, its games"):
        import_dataset(settings)
    film.unlink()
    with pytest.raises(DatasetError, match="is missing"):
        import_dataset(settings)
    assert not (tmp_path / "out").exists()


class Remote:
    """Files that are elsewhere: tables are opened, and no film is to be fetched."""

    def __init__(self, folder):
        here = Folder(folder)
        self.name, self.names, self.open = here.name, here.names, here.open

    def path(self, name):
        raise AssertionError(f"{name} was fetched")


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"to_timestamp": [0.8, 0.9]}, "game 1 has 3 rows, .* the seconds 0.8 to 0.9 of the film"),
        ({"from_timestamp": [0.0, 0.6]}, "games overlap in the film"),
        ({"from_timestamp": [-0.2, 0.8]}, "games overlap in the film"),
        ({"to_timestamp": [0.6, 1.2]}, ""),  # when the last frame begins, as some write
        ({"to_timestamp": [0.9, 2.4]}, ""),
        ({"to_timestamp": None}, ""),
    ],
)
def test_films_that_do_not_fit_their_rows_are_refused_before_one_is_fetched(
    tmp_path, columns, words
):
    lerobot(tmp_path / "in", "v3.0", **columns)
    with pytest.raises(DatasetError, match=words) if words else nullcontext():
        read_tables(Remote(tmp_path / "in"), SourceOptions())
