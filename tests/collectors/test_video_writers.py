"""Films and strips: what is written can be read back, and what cannot be written leaves nothing
behind.
"""

import resource
import sys

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from collectors import video_writers
from collectors.files import WriteError
from collectors.media import side_by_side, write_strip
from collectors.video_writers import is_whole_mp4, open_video, write_both, write_video

COLORS = np.array([(230, 60, 70), (60, 180, 90), (250, 210, 60), (12, 14, 28)], np.uint8)


def film(length=4, height=16, width=16):
    """(T, H, W, 3): one flat colour a frame."""
    return np.broadcast_to(
        COLORS[np.arange(length) % 4, None, None], (length, height, width, 3)
    ).copy()


def read_mp4(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    facts = next(reader)
    width, height = facts["size"]
    return facts, np.stack(
        [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in reader]
    )


def test_an_mp4_can_be_read_back_with_its_size_pace_and_colours(tmp_path):
    path = write_video(tmp_path / "deep" / "film.mp4", film(), fps=10, scale=4)
    facts, frames = read_mp4(path)
    assert facts["fps"] == 10 and frames.shape == (4, 64, 64, 3)
    assert np.abs(frames.mean((1, 2)) - COLORS).max() < 8


def test_an_mp4_of_odd_sides_is_padded_to_even_ones(tmp_path):
    _, frames = read_mp4(write_video(tmp_path / "odd.mp4", film(3, 15, 17), scale=1))
    assert frames.shape == (3, 16, 18, 3)


def test_a_gif_can_be_read_back_frame_by_frame(tmp_path):
    with Image.open(write_video(tmp_path / "film.gif", film(), fps=10, scale=2)) as image:
        assert image.n_frames == 4 and image.size == (32, 32) and image.info["duration"] == 100
        for index, color in enumerate(COLORS):
            image.seek(index)
            assert np.abs(np.asarray(image.convert("RGB"), int) - color).max() < 4


def test_frames_may_come_from_a_generator(tmp_path):
    _, frames = read_mp4(write_video(tmp_path / "film.mp4", (frame for frame in film(5)), scale=1))
    assert len(frames) == 5


def noisy(length=60):
    """A film that cannot be packed well, (T, 64, 64, 3)."""
    return np.random.default_rng(0).integers(0, 256, (length, 64, 64, 3), np.uint8)


def test_without_ffmpeg_there_is_a_gif_and_no_mp4(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    write_both(tmp_path / "film", np.zeros((2, 8, 8, 3), np.uint8), 10)
    assert [file.name for file in tmp_path.iterdir()] == ["film.gif"]


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
@pytest.mark.parametrize("length", [2, 60])
def test_a_film_that_the_disk_does_not_take_is_a_sentence_and_leaves_no_file(
    tmp_path, monkeypatch, capfd, name, length
):
    monkeypatch.setattr(video_writers, "ROOM", 1 << 60)  # the disk seems full
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, limits[1]))  # of ffmpeg too
    try:
        with pytest.raises(WriteError, match=f"{name} cannot be written "):
            write_video(tmp_path / name, noisy(length), scale=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [] and capfd.readouterr().err == ""


def test_an_mp4_that_ffmpeg_gives_up_where_there_is_room_names_the_gif(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, limits[1]))
    try:
        with pytest.raises(WriteError, match=r"write a \.gif, which needs no ffmpeg$"):
            write_video(tmp_path / "film.mp4", noisy(2), scale=4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def test_an_mp4_without_its_last_box_is_not_whole(tmp_path):
    path = write_video(tmp_path / "film.mp4", film(), scale=2)
    assert is_whole_mp4(path)
    for size in (0, 7, 30, path.stat().st_size - 1):
        (tmp_path / "cut.mp4").write_bytes(path.read_bytes()[:size])
        assert not is_whole_mp4(tmp_path / "cut.mp4")


@pytest.mark.parametrize("name", ["film.mp4", "film.gif"])
def test_a_broken_film_leaves_no_file_and_the_old_one_stays(tmp_path, name):
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(ValueError, match="the first one"):
        write_video(tmp_path / name, [film()[0], film(1, 8, 8)[0]])
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / name, [])
    assert [path.name for path in tmp_path.iterdir()] == [name] and (
        tmp_path / name
    ).read_bytes() == b"old"


def test_a_film_appears_only_when_it_is_closed(tmp_path):
    writer = open_video(tmp_path / "film.mp4", 10)
    writer.add(film()[0])
    assert not (tmp_path / "film.mp4").exists()
    writer.close()
    assert (tmp_path / "film.mp4").exists()


@pytest.mark.parametrize(
    "frame, name, words",
    [
        (np.zeros((8, 8, 3)), "a.mp4", "uint8"),
        (np.zeros((8, 8), np.uint8), "a.mp4", "shape"),
        (film()[0], "a.avi", r"\.mp4 or \.gif"),
    ],
)
def test_what_is_no_frame_or_no_known_suffix_is_refused_with_a_sentence(
    tmp_path, frame, name, words
):
    with pytest.raises(ValueError, match=words):
        write_video(tmp_path / name, [frame])


def test_side_by_side_puts_frames_in_a_row_and_lets_the_shorter_film_wait():
    both = side_by_side(film(2), film(4), gap=3)
    assert both.shape == (4, 16, 35, 3)
    assert (both[3, :, :16] == COLORS[1]).all() and (both[3, :, 19:] == COLORS[3]).all()
    assert side_by_side(film()[0], film(1, 20, 8)[0], gap=0).shape == (20, 24, 3)
    with pytest.raises(ValueError, match="frames or films"):
        side_by_side(film(), film()[0])


def test_a_strip_shows_every_row_enlarged_and_named(tmp_path):
    path = write_strip(
        tmp_path / "strip.png", [film(3), film(4)], scale=2, gap=4, labels=["real", "dream"]
    )
    image = np.asarray(Image.open(path))
    assert image.shape[0] == 4 + 32 + 4 + 32 + 4 and image.shape[1] > 4 + 4 * 32 + 3 * 4 + 4
    for color in COLORS:
        assert (image == color).all(-1).sum() >= 32 * 32
    plain = np.asarray(Image.open(write_strip(tmp_path / "plain.png", [film(3)], scale=1, gap=0)))
    assert (plain == np.concatenate(film(3), axis=1)).all()


def test_a_strip_without_pictures_or_with_too_few_labels_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one"):
        write_strip(tmp_path / "strip.png", [film(2), film(0)])
    with pytest.raises(ValueError, match="1 labels for 2 rows"):
        write_strip(tmp_path / "strip.png", [film(2), film(2)], labels=["real"])
