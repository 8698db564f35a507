"""Films with tables of actions become datasets, or are refused by a sentence before anything is
decoded.
"""

import re

import numpy as np
import pytest

from collectors.dataset.dataset import Dataset
from collectors.dataset.splits import PARTS, split_keys, split_part
from collectors.interchange import films
from collectors.interchange.import_command import main
from collectors.video_reader import count_frames, read_film
from collectors.video_writers import write_video

pytest.importorskip("imageio_ffmpeg")
SIDE = 32


def images(count: int, first: int = 0) -> np.ndarray:
    """Frames whose grey says their number."""
    levels = 10 * (np.arange(count) + first)
    return np.broadcast_to(levels[:, None, None, None], (count, SIDE, SIDE, 3)).astype(np.uint8)


def film(folder, name, count, rows, first=0):
    """A film of `count` frames beside a table of these rows."""
    folder.mkdir(exist_ok=True)
    if count:
        write_video(folder / f"{name}.mp4", images(count, first), fps=7, scale=1)
    if rows is not None:
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")


def imported(folder, *words) -> Dataset:
    assert main([str(folder), str(folder.parent / "out"), *words]) == 0
    return Dataset(folder.parent / "out", verify=True)


def refused(folder, capsys, *words) -> str:
    assert main([str(folder), str(folder.parent / "out"), *words]) == 1
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
    sentence = capsys.readouterr().err
    assert sentence.count("\n") == 1
    return sentence


def test_a_film_keeps_every_frame_once_and_in_order(tmp_path):
    film(tmp_path, "a", 24, None)
    found = np.stack(list(read_film(tmp_path / "a.mp4")))
    assert count_frames(tmp_path / "a.mp4") == len(found) == 24
    assert np.abs(found.mean((1, 2, 3)) - 10 * np.arange(24)).max() < 3


def test_films_become_episodes_with_their_actions_rewards_and_ends(tmp_path):
    rows = ["action,reward,terminated", "left,0,0", "right,1,0", "left,0.5,1", ",,"]
    film(tmp_path / "in", "b", 4, rows, first=4)
    film(tmp_path / "in", "a", 3, ["t,action", "0,right", "1,stay"])  # one row less than frames
    data = imported(tmp_path / "in", "--world", "mine", "--fps", "12")
    assert data.spec["action_names"] == ["left", "right", "stay"]
    assert (data.spec["world"], data.spec["fps"]) == ("mine", 12)
    assert data.spec["reward_values"] == [0.0, 0.5, 1.0]
    first, second = data.episode(0), data.episode(1)
    assert first.actions.tolist() == [1, 2] and second.actions.tolist() == [0, 1, 0]
    assert second.rewards.tolist() == [0.0, 1.0, 0.5]
    assert first.truncations.tolist() == [False, True] and not first.terminations.any()
    assert second.terminations.tolist() == [False, False, True] and not second.truncations.any()
    levels = second.frames.mean((1, 2, 3))
    assert np.abs(levels - [40, 50, 60, 70]).max() < 3


def test_a_film_may_hold_several_games_and_long_ones_are_cut(tmp_path):
    rows = ["action,truncated", *["0,0"] * 4, "1,1", ",", *["2,0"] * 4, ","]
    film(tmp_path / "in", "a", 11, rows)
    data = imported(tmp_path / "in", "--cut", "2", "--size", "16")
    assert [row.length for row in data.episodes] == [2, 2, 1, 2, 2]
    assert data.spec["frame_shape"] == [16, 16, 3]
    levels = [data.episode(row.id).frames.mean((1, 2, 3)) for row in data.episodes]
    expected = [[0, 10, 20], [20, 30, 40], [40, 50], [60, 70, 80], [80, 90, 100]]
    assert all(np.abs(a - b).max() < 3 for a, b in zip(levels, expected, strict=True))
    assert [bool(data.episode(n).truncations[-1]) for n in range(5)] == [True] * 5


def test_an_action_whose_outcome_was_not_filmed_is_left_out(tmp_path):
    film(tmp_path / "in", "a", 4, ["action", "0", "1", "0", "1"])
    rows = ["action,reward,terminated", "0,0,0", "1,0,0", "0,5,1"]  # as a loop of steps records it
    film(tmp_path / "in", "b", 3, rows)
    data = imported(tmp_path / "in")
    assert data.episode(0).actions.tolist() == [0, 1, 0]
    ended = data.episode(1)
    assert ended.actions.tolist() == [0, 1] and ended.rewards.tolist() == [0, 5]
    assert ended.terminations.tolist() == [False, True] and not ended.truncations.any()


def test_columns_of_parts_are_read_by_their_numbers_in_whatever_order_they_are(tmp_path):
    names = [f"action_{part}" for part in (1, 10, *range(2, 10), 0)]
    rows = [",".join(names), ",".join(name[7:] for name in names), ",".join(["0"] * 11)]
    film(tmp_path / "in", "a", 3, rows)
    data = imported(tmp_path / "in")
    assert data.episode(0).actions.tolist() == [[*range(11)], [0] * 11]
    assert data.actions.counts == tuple(range(1, 12))


def test_words_may_begin_like_numbers_where_no_action_is_one(tmp_path):
    film(tmp_path / "in", "a", 5, ["action", "up", "2x", ".", "nan"])
    assert imported(tmp_path / "in").spec["action_names"] == [".", "2x", "nan", "up"]


BAD = {
    "no film": (0, ["action", "0"], "holds no film"),
    "no table": (3, None, "a.csv, with a column 'action'"),
    "no column": (3, ["key", "0", "1"], "column 'action'"),
    "no rows": (3, ["action"], "no rows"),
    "ragged": (3, ["action,reward", "0,1", "1"], "row 3: 1 cells, not 2"),
    "too few rows": (5, ["action", "0", "1"], "has 5 frames and .* has 2 rows"),
    "too many rows": (3, ["action", *"0000"], "has 3 frames and .* has 4 rows"),
    "a reward": (3, ["action,reward", "0,1", "1,much"], "row 3: the reward 'much'"),
    "infinite": (3, ["action,reward", "0,1", "1,inf"], "is no number"),
    "a flag": (3, ["action,terminated", "0,0", "1,maybe"], "'maybe' is neither"),
    "an early end": (4, ["action,terminated", "0,1", "1,0", "1,0"], "row 2, says that the game"),
    "an empty game": (4, ["action", "0", "", "", "1"], "row 4: a game without"),
    "a misspelt column": (3, ["action,rewards", "0,1", "1,1"], "'rewards', .* mean 'reward'"),
    "another name of the end": (3, ["action,done", "0,0", "1,1"], "'done', .* mean 'terminated'"),
    "a part that is missing": (3, ["action_0,action_2", "0,1", "1,0"], "action_0, action_1$"),
    "a part twice": (3, ["action_0,action_00", "0,1", "1,0"], "count from 0: action_0, action_1$"),
    "parts from 1": (3, ["action_1", "0", "1"], "has the columns action_1; .* from 0: action_0$"),
    "a nan": (
        4,
        ["action", "0.5", "nan", "1.5"],
        "row 3: .* 'nan' is no number, as '0.5' in row 2",
    ),
    "an infinite action": (4, ["action", "0.5", "", "inf"], "row 4: the action 'inf' is no number"),
    "a number of C": (4, ["action", "1.0f", "1.0", "2"], "row 2: .* '1.0f' is .* '1.0' in row 3"),
    "a number among words": (4, ["action", "up", "2", "2x"], "row 2: .* all numbers or all words"),
    "a part that is a word": (3, ["action_0", "0.5", "nan"], "row 3: the action_0 'nan'"),
    "a huge action": (3, ["action", "0", "900"], "name all actions"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_a_sentence(tmp_path, capsys, name, monkeypatch):
    count, rows, words = BAD[name]
    film(tmp_path / "in", "a", count, rows)

    def decoded(path):
        raise AssertionError("decoded before all was checked")

    monkeypatch.setattr(films, "read_film", decoded)
    assert re.search(words, refused(tmp_path / "in", capsys))


def test_actions_that_are_none_of_the_given_names_are_refused(tmp_path, capsys):
    film(tmp_path / "in", "a", 3, ["action", "left", "jump"])
    assert "'jump' is none of left, right" in refused(
        tmp_path / "in", capsys, "--actions", "left,right"
    )


def test_a_film_of_odd_sides_is_refused_unless_it_is_resized(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in" / "a.mp4", np.zeros((3, 20, 34, 3), np.uint8), 5, 1)
    (tmp_path / "in" / "a.csv").write_text("action\n0\n1\n")
    error = refused(tmp_path / "in", capsys)
    assert "--size 64" in error and "--color" not in error  # gray ones have these sides too


def test_a_play_list_under_the_name_of_a_film_reads_nothing_else(tmp_path, capsys):
    """ffmpeg, left to guess, would open the files and addresses that a play list names."""
    film(tmp_path, "secret", 3, None)
    folder = tmp_path / "in"
    film(folder, "a", 0, ["action", "0", "1"])
    for text in (
        f"#EXTM3U\n#EXTINF:1,\n{tmp_path / 'secret.mp4'}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile '{tmp_path / 'secret.mp4'}'\n",
    ):
        (folder / "a.mp4").write_text(text)
        assert main([str(folder), str(tmp_path / "out")]) == 1
        assert "no film that ffmpeg can read" in capsys.readouterr().err


def test_few_recordings_have_a_part_for_every_split():
    assert split_keys(2) == ["", ""]
    for count in (3, 4, 8, 40):
        keys = split_keys(count)
        parts = [split_part(key or str(seed)) for seed, key in enumerate(keys)]
        assert {*parts} == {*PARTS} and parts.count("train") >= count - 2 - count // 2


def test_films_of_several_sizes_are_refused_before_one_is_decoded(tmp_path, capsys, monkeypatch):
    film(tmp_path / "in", "a", 3, ["action", "0", "1"])
    write_video(tmp_path / "in" / "b.mp4", np.zeros((3, 64, 48, 3), np.uint8), 7, 1)
    (tmp_path / "in" / "b.csv").write_text("action\n0\n1\n")
    monkeypatch.setattr(films, "read_film", lambda path: 1 / 0)
    sentence = refused(tmp_path / "in", capsys)
    assert "b.mp4 has frames of 64x48 pixels" in sentence and "of 32x32" in sentence
    monkeypatch.undo()
    assert imported(tmp_path / "in", "--size", "16").spec["frame_shape"] == [16, 16, 3]


def test_a_dataset_has_the_rate_of_its_films_and_of_several_rates_one_is_to_be_said(
    tmp_path, capsys, monkeypatch
):
    one, two = (tmp_path / name / "in" for name in ("one", "two"))
    for folder in (one, two):
        folder.parent.mkdir()
        film(folder, "a", 3, ["action", "0", "1"])
    assert imported(one).spec["fps"] == 7
    write_video(two / "b.mp4", images(3), 12, 1)
    (two / "b.csv").write_text("action\n0\n1\n")
    monkeypatch.setattr(films, "read_film", lambda path: 1 / 0)
    sentence = refused(two, capsys)
    assert "b.mp4 has 12 frames per second" in sentence and "--fps 7" in sentence


def test_actions_that_count_from_below_0_are_imported_as_the_message_says(tmp_path, capsys):
    film(tmp_path / "in", "a", 4, ["action", "-1", "0", "1"])
    sentence = refused(tmp_path / "in", capsys)
    remedy = re.search("--action-space '(.*)'", sentence)
    assert remedy
    space = imported(tmp_path / "in", "--action-space", remedy[1]).spec["action_space"]
    assert space == {"type": "Discrete", "n": 3, "start": -1}


def test_films_become_gray_and_their_rewards_signs(tmp_path):
    film(tmp_path / "in", "a", 4, ["action,reward", "0,2.5", "1,-7", "0,0"])
    data = imported(tmp_path / "in", "--color", "gray", "--reward", "sign")
    assert data.spec["frame_shape"] == [32, 32, 1]
    assert data.spec["reward_values"] == [-1, 0, 1]
    assert data.episode(0).rewards.tolist() == [1, -1, 0]


def test_too_many_rewards_are_found_before_a_film_is_decoded(tmp_path, capsys, monkeypatch):
    film(tmp_path / "in", "a", 300, ["action,reward", *(f"0,{n / 8}" for n in range(300))])
    monkeypatch.setattr(films, "read_film", lambda path: 1 / 0)
    assert "different rewards" in (sentence := refused(tmp_path / "in", capsys))
    assert "--reward sign" in sentence


@pytest.mark.parametrize("words", [("--key", "pov"), ("--image-column", "a")])
def test_what_films_do_not_have_is_refused_with_the_sources_that_have_it(tmp_path, capsys, words):
    film(tmp_path / "in", "a", 3, ["action", "0", "1"])
    assert re.search(f"{words[0]} is for (tables|Minari)", refused(tmp_path / "in", capsys, *words))
