"""Tables of images come back as they went, foreign ones are read, and wrong ones are a sentence."""

import io
import json
import re

import numpy as np
import pytest
from gymnasium import spaces
from PIL import Image

from collectors.action_space import ActionSpace
from collectors.dataset.dataset import Dataset
from collectors.interchange import repositories
from collectors.interchange.export_command import main as export_main
from collectors.interchange.import_command import main as import_main
from collectors.recording.collect import collect
from tests.collectors import counting_env

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
SIDE = 16


def png(level: int, side: int = SIDE) -> dict:
    stream = io.BytesIO()
    Image.new("RGB", (side, side), (level, level, level)).save(stream, "PNG")
    return {"bytes": stream.getvalue(), "path": "/etc/passwd"}


def write(folder, name="data/train-0.parquet", **columns) -> None:
    """A table of 6 rows, of games of 4 and 2 frames, with columns changed, or None for without."""
    own = {
        "episode_index": [0, 0, 0, 0, 1, 1],
        "frame_index": [0, 1, 2, 3, 0, 1],
        "observation.image": [png(40 * row) for row in range(6)],
        "action": [1, 0, 2, 0, 1, 1],
        "next.reward": [0.0, 1.0, 0.0, 5.0, 0.0, 0.0],
        "next.done": [False, False, False, True, False, False],
        **columns,
    }
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({key: v for key, v in own.items() if v is not None}), file)


def imported(folder, *words) -> Dataset:
    out = folder.parent / "out"
    assert import_main([str(folder), str(out), *words]) == 0
    return Dataset(out, verify=True)


def refused(folder, capsys, *words) -> str:
    before = sorted(folder.parent.iterdir())
    assert import_main([str(folder), str(folder.parent / "out"), *words]) == 1
    assert sorted(folder.parent.iterdir()) == before
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_a_dataset_comes_back_byte_by_byte(tmp_path, capsys):
    counting_env.register()
    before = collect("Counting-v0", tmp_path / "before", 150, "mix", seed=3, shard_steps=60)
    tables = str(tmp_path / "tables")
    assert export_main([str(tmp_path / "before"), "--tables", tables]) == 0
    assert import_main([tables, str(tmp_path / "after")]) == 0
    assert before.fingerprint[:16] in capsys.readouterr().out
    for file in (tmp_path / "before").iterdir():
        assert file.read_bytes() == (tmp_path / "after" / file.name).read_bytes(), file.name
    card = (tmp_path / "tables" / "README.md").read_text()
    assert "150" in card or str(before.steps) in card
    schema = pq.read_schema(next((tmp_path / "tables" / "data").iterdir()))
    about = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
    assert about["image"] == {"_type": "Image"} and set(about) == set(schema.names)


@pytest.mark.parametrize("game", ["CarRacing-v3", "MultiBinary"])
def test_actions_of_other_kinds_and_gray_frames_come_back_too(tmp_path, game):
    from collectors.dataset.dataset import DatasetWriter, write_shard
    from collectors.dataset.episode import Episode

    space = {"type": "Box", "low": [-1.0, 0.0], "high": [1.0, 2.0]}
    actions = np.array([[0.5, 0.25], [-1.0, 2.0]], np.float32)
    if game == "MultiBinary":
        space, actions = {"type": "MultiBinary", "n": 2}, np.array([[0, 1], [1, 1]])
    spec = {
        **counting_env.SPEC,
        "frame_shape": [8, 12, 1],
        "action_names": ["steer", "gas"],
        "action_space": space,
    }
    frames = np.arange(3 * 8 * 12, dtype=np.uint8).reshape(3, 8, 12, 1)
    flags = np.array([False, True])
    episode = Episode(frames, actions, np.zeros(2, "f4"), flags, ~flags & False, 7, "me", "test:a")
    writer = DatasetWriter(
        tmp_path / "a", {"spec": spec, "env_spec": "", "policy": "me", "seed": 0}
    )
    writer.add(write_shard(tmp_path / "a", 0, 2, [episode]))
    assert export_main([str(tmp_path / "a"), "--tables", str(tmp_path / "tables")]) == 0
    assert import_main([str(tmp_path / "tables"), str(tmp_path / "b")]) == 0
    assert Dataset(tmp_path / "b").fingerprint == Dataset(tmp_path / "a").fingerprint


def test_a_foreign_table_is_read_and_paths_in_it_are_not_opened(tmp_path):
    write(tmp_path / "in")
    data = imported(tmp_path / "in", "--fps", "12")
    assert data.spec["world"] == "in" and data.spec["fps"] == 12
    assert data.spec["action_names"] == ["0", "1", "2"]
    first, second = data.episode(0), data.episode(1)
    assert first.actions.tolist() == [1, 0, 2] and second.actions.tolist() == [1]
    assert first.rewards.tolist() == [0, 1, 5]  # what the last action gave, whose frame is missing
    assert first.terminations.tolist() == [False, False, True]
    assert second.truncations.tolist() == [True]
    assert first.frames[:, 0, 0, 0].tolist() == [0, 40, 80, 120]
    assert second.frames[:, 0, 0, 0].tolist() == [160, 200]


def test_games_may_span_tables_and_actions_may_be_words_or_numbers_in_parts(tmp_path):
    folder, going = tmp_path / "in", {"next.done": [False] * 6}
    write(folder, "a.parquet", action=["left"] * 3 + [None, "stay", "left"], **going)
    rest = {"frame_index": [2, 3, 4, 5, 6, 7], "episode_index": [1] * 6, **going}
    write(folder, "b.parquet", action=["left"] * 5 + [None], **rest)
    data = imported(folder, "--size", "8x12", "--actions", "stay,left,jump")
    assert [row.length for row in data.episodes] == [3, 7]
    assert data.spec["frame_shape"] == [8, 12, 3]
    assert data.episode(0).actions.tolist() == [1, 1, 1]
    (tmp_path / "box").mkdir()
    write(tmp_path / "box" / "in", action=[[0.5, 1.0]] * 5 + [[-1.5, 1.0]])
    data = imported(tmp_path / "box" / "in")
    assert data.spec["action_space"] == {"type": "Box", "low": [0.5, 1.0], "high": [1.5, 2.0]}
    assert data.episode(0).actions.dtype == np.float32


BAD = {
    "no image": ({"observation.image": None}, "has no images in any column"),
    "no action": ({"action": None}, "has no column 'action'"),
    "no games": ({"episode_index": None, "next.done": None}, "does not say where its games begin"),
    "a gap": ({"frame_index": [0, 1, 3, 4, 0, 1]}, "does not follow the one before it"),
    "not together": (
        {"episode_index": [0, 0, 1, 1, 0, 0], "frame_index": None},
        "rows of a game are not together",
    ),
    "ragged actions": ({"action": [[0.0], [0.0, 1.0]] * 3}, "actions of [1, 2] parts"),
    "a negative action": ({"action": [0, 1, -1, 0, 1, 1]}, "row 2: the action -1 is none of"),
    "an end in a game": ({"next.done": [True] + [False] * 5}, "says that the game ended"),
    "no number": ({"next.reward": [float("nan")] * 6}, "is not finite"),
    "no bytes": (
        {"observation.image": [{"bytes": b"GIF89a", "path": None}] * 6},
        "has an image that is none",
    ),
    "two sizes": (
        {"observation.image": [png(0)] * 3 + [png(0, 32)] * 3},
        "not uint8(16, 16, 3) as the first",
    ),
    "odd sides": ({"observation.image": [png(0, 18)] * 6}, "--size 64"),
    "a game of one frame": (
        {"episode_index": [0, 0, 0, 0, 0, 1], "frame_index": [0, 1, 2, 3, 4, 0]},
        "a game without an action",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_table_that_is_wrong_is_a_sentence(tmp_path, capsys, name):
    columns, words = BAD[name]
    if name == "an end in a game":
        columns = {**columns, "next.reward": None}
    write(tmp_path / "in", **columns)
    assert words in refused(tmp_path / "in", capsys)


def test_a_file_that_is_no_table_and_bounds_that_do_not_hold_are_sentences(tmp_path, capsys):
    write(tmp_path / "in", action=[0.5] * 6)
    assert "beyond 0 to 0.25" in refused(tmp_path / "in", capsys, "--bounds", "0,0.25")
    (tmp_path / "in" / "data" / "train-0.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    assert "cannot be read" in refused(tmp_path / "in", capsys)


def test_games_have_the_action_space_that_is_given(tmp_path):
    racing = spaces.Box(np.array([-1, 0, 0], np.float32), np.ones(3, np.float32))
    rows = [[-1.0, 0.5, 0.0]] * 6
    write(tmp_path / "in", action=rows)
    data = imported(tmp_path / "in", "--bounds", "-1,1,0,1,0,1", "--actions", "steer,gas,brake")
    assert data.actions.to_gymnasium() == racing
    assert data.spec["action_names"] == ["steer", "gas", "brake"]
    for number, (actions, space) in enumerate(
        [
            ([5, 6, 5, 6, 5, 5], spaces.Discrete(3, start=5)),
            ([[1, 0], [0, 0]] * 3, spaces.MultiBinary(2)),
            ([[1, 0], [0, 0]] * 3, spaces.MultiDiscrete([4, 3])),
            ([[1, 0], [0, 0]] * 3, spaces.Box(-2, 2, (2,))),
        ]
    ):
        folder = tmp_path / str(number) / "in"
        write(folder, action=actions)
        text = json.dumps(ActionSpace.from_gymnasium(space).as_dict())
        data = imported(folder, "--action-space", text)
        assert data.actions.to_gymnasium() == space
        assert data.episode(0).actions.tolist() == actions[:3]


def test_actions_by_name_have_the_numbers_of_the_space_that_is_given(tmp_path):
    write(tmp_path / "in", action=["go", "stay", "go", "go", "stay", "stay"])
    space = '{"type": "Discrete", "n": 2, "start": 3}'
    data = imported(tmp_path / "in", "--action-space", space, "--actions", "stay,go")
    assert data.episode(0).actions.tolist() == [4, 3, 4]


WRONG_WORDS = {
    "another number of names": (("--actions", "a,b,c"), "has 3 names, and there are 2 parts"),
    "another number of bounds": (("--bounds", "0,1,0,1,0,1"), "has 3 pairs"),
    "bounds of a part": (("--bounds", "0,1,0,0.5"), "is 1 in part 1, beyond 0 to 0.5"),
    "upside down": (("--bounds", "1,0"), "pairs of a lower and an upper bound"),
    "outside": (
        ("--action-space", '{"type": "Box", "low": [0, 0], "high": [1, 0.5]}'),
        r"row 0: the action .* is not in Box",
    ),
    "another kind": (
        ("--action-space", '{"type": "Discrete", "n": 3, "start": 0}'),
        "which are none of Discrete",
    ),
    "a key": (("--key", "pov"), "--key is for Minari sets"),
}


@pytest.mark.parametrize("name", WRONG_WORDS)
def test_what_is_said_wrongly_of_actions_is_a_sentence(tmp_path, capsys, name):
    words, sentence = WRONG_WORDS[name]
    write(tmp_path / "in", action=[[0.5, 1.0]] * 6)
    assert re.search(sentence, refused(tmp_path / "in", capsys, *words))


def test_an_action_space_that_is_none_is_answered_with_examples(tmp_path, capsys):
    write(tmp_path / "in")
    with pytest.raises(SystemExit):
        import_main([str(tmp_path / "in"), str(tmp_path / "out"), "--action-space", "Discrete(3)"])
    assert '"MultiBinary"' in capsys.readouterr().err


def test_gray_tables_are_read_as_gray_of_any_size_and_color_becomes_gray(tmp_path, capsys):
    def gray(level):
        stream = io.BytesIO()
        Image.new("L", (SIDE, SIDE), level).save(stream, "PNG")
        return {"bytes": stream.getvalue(), "path": None}

    write(tmp_path / "a" / "in", **{"observation.image": [gray(40 * row) for row in range(6)]})
    assert "--color gray" in refused(tmp_path / "a" / "in", capsys)
    data = imported(tmp_path / "a" / "in", "--color", "gray")
    assert data.spec["frame_shape"] == [SIDE, SIDE, 1]
    assert data.episode(0).frames[:, 0, 0, 0].tolist() == [0, 40, 80, 120]
    write(tmp_path / "b" / "in")
    data = imported(tmp_path / "b" / "in", "--color", "gray", "--size", "8")
    assert data.spec["frame_shape"] == [8, 8, 1]
    assert data.episode(0).frames[:, 0, 0, 0].tolist() == [0, 40, 80, 120]


def test_games_of_tables_are_cut_and_may_be_compressed(tmp_path):
    pytest.importorskip("zstandard")
    write(tmp_path / "in")
    data = imported(tmp_path / "in", "--cut", "2", "--compress")
    assert [row.length for row in data.episodes] == [2, 1, 1]
    assert data.episode(1).frames[:, 0, 0, 0].tolist() == [80, 120]
    assert list(data.path.glob("*_frames.zst"))


def test_an_export_of_ours_keeps_its_actions_and_players_whatever_is_said_otherwise(
    tmp_path, capsys
):
    counting_env.register()
    before = collect("Counting-v0", tmp_path / "before", 60, "mix", seed=3)
    tables = tmp_path / "tables"
    assert export_main([str(tmp_path / "before"), "--tables", str(tables)]) == 0
    words = ("--world", "mine", "--fps", "7", "--actions", "rest,move", "--size", "16")
    data = imported(tables, *words)
    assert (data.spec["world"], data.spec["fps"]) == ("mine", 7)
    assert data.spec["action_names"] == ["rest", "move"]
    assert data.spec["frame_shape"] == [16, 16, 3] and data.episode(0).frames.shape[1:3] == (16, 16)
    assert [row.seed for row in data.episodes] == [row.seed for row in before.episodes]
    np.testing.assert_array_equal(data.episode(0).actions, before.episode(0).actions)
    (tmp_path / "out").rename(tmp_path / "again")
    assert "--bounds is for films" in refused(tables, capsys, "--bounds", "0,1")


def test_a_data_set_of_the_hub_is_read_at_one_commit_without_a_copy(tmp_path, monkeypatch, capsys):
    """A Hub on this disk, of which only what is opened is fetched."""
    write(tmp_path / "set", "data/a.parquet")
    write(tmp_path / "set", "data/secret.bin.parquet.txt")
    asked, opened = [], []

    class Api:
        def dataset_info(self, repository, revision=None, timeout=None):
            asked.append((repository, revision))
            siblings = [type("File", (), {"rfilename": "data/a.parquet"})]
            return type("Info", (), {"sha": "abcdef0123", "siblings": siblings})

    class Remote:
        def open(self, place, mode):
            opened.append(place)
            return (tmp_path / "set" / place.split("@abcdef0123/")[1]).open(mode)

    hub = type("Hub", (), {"HfApi": Api, "HfFileSystem": Remote})
    real = repositories.optional
    monkeypatch.setattr(
        repositories, "optional", lambda name: hub if name == "huggingface_hub" else real(name)
    )
    monkeypatch.setattr("collectors.network_access.offline", lambda: "")
    assert import_main(["somebody/games@main", str(tmp_path / "out")]) == 0
    assert asked == [("somebody/games", "main")]
    assert {*opened} == {"datasets/somebody/games@abcdef0123/data/a.parquet"}
    assert Dataset(tmp_path / "out").spec["world"] == "games"
    monkeypatch.setattr("collectors.network_access.offline", lambda: "no network: x")
    assert import_main(["somebody/games", str(tmp_path / "other")]) == 1
    assert "no network" in capsys.readouterr().err
