"""The verb video: from a bundle, a .dream file and an episode, and what it says where it cannot."""

from __future__ import annotations

import imageio_ffmpeg
import numpy as np
import pytest
from PIL import Image

from collectors.video_writers import open_video, write_film
from neural_envs.commands.video import VideoConfig, main, open_source
from neural_envs.env import NeuralEnv
from neural_envs.play.config import PlayConfig
from neural_envs.replays.recorder import DreamRecorder
from tests.oracles import shown


def test_a_bundle_is_played_dream_after_dream(counting):
    frames = np.stack(list(open_source(VideoConfig(counting, steps=12)).frames))
    counts = shown(frames, 0)
    assert len(frames) == 13 and counts[0] == 0
    assert all(after in (0, before + 1) for before, after in zip(counts, counts[1:], strict=False))
    assert (counts == 0).sum() > 1  # a dream ended and another began


def test_another_seed_is_another_film_and_the_same_seed_the_same(counting):
    films = [
        np.stack(list(open_source(VideoConfig(counting, steps=9, seed=seed)).frames))
        for seed in (1, 1, 2)
    ]
    assert (films[0] == films[1]).all() and (films[0] != films[2]).any()


def test_a_dream_file_is_dreamed_up_to_the_steps_asked_for(counting, tmp_path):
    env, recorder = NeuralEnv(counting), DreamRecorder()
    env.reset(seed=0)
    recorder.start(env, 0)
    for _ in range(2):
        frame, *outcome, _ = env.step(1)
        recorder.add(1, frame, *outcome)
    path = recorder.file().save(tmp_path / "a.dream")
    assert main([str(path), "--out", str(tmp_path / "a.png"), "--scale", "1", "--steps", "1"]) == 0
    assert main([str(path), "--out", str(tmp_path / "b.gif"), "--scale", "1", "--steps", "0"]) == 0
    assert main([str(path), "--out", str(tmp_path / "c.png"), "--scale", "1", "--steps", "0"]) == 0
    with Image.open(tmp_path / "a.png") as strip, Image.open(tmp_path / "b.gif") as film:
        assert film.n_frames == 3
        with Image.open(tmp_path / "c.png") as longer:
            assert longer.width == strip.width + film.width + 4  # by one frame


def test_an_episode_of_a_dataset_becomes_a_film(tmp_path, capsys):
    from collectors.recording.collect import main as collect

    data = str(tmp_path / "data")
    assert collect(["snake", "--frames", "60", "--policy", "random", "--out", data]) == 0
    assert main([data, "--out", str(tmp_path / "e.gif"), "--scale", "1", "--steps", "4"]) == 0
    assert "episode 0, recorded in snake" in capsys.readouterr().out
    assert main([data, "--episode", "999", "--out", str(tmp_path / "no.gif")]) == 1
    assert "has the episodes 0 to" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["nosuch"], "no bundle 'nosuch'"),
        (["none.dream"], "cannot read none.dream"),
        (["snake", "--out", "film.avi"], "a name ends in .mp4, .gif or .png"),
        (["snake", "--policy", "nobody"], "unknown policy 'nobody'"),
        (["snake", "--steps", "0"], "has no end of its own"),
    ],
)
def test_what_cannot_be_filmed_is_one_sentence(words, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    assert sentence in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_written_is_named(counting, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert main([counting, "--steps", "2", "--out", str(tmp_path / "file" / "film.gif")]) == 1
    assert f"cannot write or read {tmp_path / 'file'}" in capsys.readouterr().err


def test_without_ffmpeg_a_gif_is_offered_before_anything_is_dreamed(tmp_path, monkeypatch, capsys):
    def gone():
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", gone)
    with pytest.raises(ImportError, match=r"MP4 files need ffmpeg: .* or write a \.gif instead"):
        open_video(tmp_path / "film.mp4", 10)
    assert main(["snake", "--out", str(tmp_path / "film.mp4"), "--steps", "2"]) == 1
    assert "write a .gif instead" in capsys.readouterr().err


def test_a_strip_takes_frames_from_start_to_end_in_rows_of_eight(tmp_path):
    film = (
        np.arange(30, dtype=np.uint8)[:, None, None, None].repeat(4, 1).repeat(4, 2).repeat(3, 3)
        * 8
    )
    image = np.asarray(Image.open(write_film(tmp_path / "s.png", iter(film), scale=1, images=10)))
    assert image.shape[1] > 4 + 8 * 4 + 7 * 4 + 4  # the number of a row's first frame is beside it
    assert (image == 0).all(-1).sum() == 16 and (image == 29 * 8).all(-1).sum() == 16


def test_play_refuses_a_dream_file_of_another_name():
    with pytest.raises(ValueError, match=r"a file name ending in \.dream, got 'a\.txt'"):
        PlayConfig("snake", dream_file="a.txt")
