"""The dataset: what is written is read, in the contract's alignment, and damage is refused with a
sentence.
"""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from collectors.dataset.dataset import Dataset, DatasetError, DatasetWriter, write_shard
from collectors.dataset.episode import Episode
from collectors.dataset.stats import contact_sheet, statistics, table
from collectors.dataset.stats import main as stats_main
from collectors.media import to_rgb
from collectors.recording.collect import collect
from collectors.worlds.snake.env import RealSnake
from tests.collectors.parts_games import register


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "snake"
    collect("RealSnake-v0", path, 700, "mix", seed=3, shard_steps=300)
    return path


@pytest.fixture
def copy(original, tmp_path):
    return shutil.copytree(original, tmp_path / "copy")


def test_every_episode_has_one_frame_more_than_actions_and_ends_only_at_its_end(original):
    dataset = Dataset(original)
    assert dataset.steps >= 700 and [row.id for row in dataset.episodes] == list(
        range(len(dataset.episodes))
    )
    for row in dataset.episodes:
        episode = dataset.episode(row.id)
        assert len(episode.frames) == row.length + 1 == len(episode.actions) + 1
        over = episode.terminations | episode.truncations
        assert over[-1] and not over[:-1].any()
        assert (row.terminated, row.truncated) == (
            episode.terminations[-1],
            episode.truncations[-1],
        )
        assert row.return_ == episode.rewards.sum() and row.seed == episode.seed


def test_actions_and_rewards_stand_beside_the_frames_that_they_led_to(original):
    """Replaying an episode's actions from its seed gives its frames and rewards."""
    dataset = Dataset(original)
    env = RealSnake()
    for row in dataset.episodes[:5]:
        episode = dataset.episode(row.id)
        np.testing.assert_array_equal(env.reset(seed=row.seed)[0], episode.frames[0])
        for step, action in enumerate(episode.actions):
            frame, reward, terminated, _, _ = env.step(action)
            np.testing.assert_array_equal(frame, episode.frames[step + 1])
            assert (reward, terminated) == (episode.rewards[step], episode.terminations[step])


def test_shards_index_their_episodes(original):
    dataset = Dataset(original)
    for shard in dataset.shards:
        assert isinstance(shard.frames, np.memmap) and not shard.frames.flags.writeable
        assert len(shard.frames) == len(shard.actions) + len(
            shard.lengths
        ) and shard.lengths.sum() == len(shard.rewards)
        for place, (frame, step, length) in enumerate(
            zip(shard.frame_starts, shard.step_starts, shard.lengths, strict=True)
        ):
            episode = dataset.episode(shard.first_episode + place)
            np.testing.assert_array_equal(shard.frames[frame : frame + length + 1], episode.frames)
            np.testing.assert_array_equal(shard.actions[step : step + length], episode.actions)


def test_the_split_is_whole_disjoint_and_stable_when_data_are_added(original, tmp_path):
    dataset = Dataset(original)
    parts = dataset.split(0.2, 0.2)
    assert sorted(sum(parts.values(), [])) == list(range(len(dataset.episodes)))
    more = collect("RealSnake-v0", tmp_path / "more", 900, "mix", seed=3, shard_steps=300)
    seeds = {
        name: {more.episodes[i].seed for i in ids} for name, ids in more.split(0.2, 0.2).items()
    }
    for name, ids in parts.items():
        assert all(
            dataset.episodes[i].seed in seeds[name] for i in ids if dataset.episodes[i].shard < 2
        )


def test_the_fingerprint_tells_data_apart(original, copy, tmp_path):
    other = collect("RealSnake-v0", tmp_path / "other", 700, "mix", seed=4, shard_steps=300)
    assert Dataset(original).fingerprint == Dataset(copy).fingerprint != other.fingerprint


@pytest.mark.parametrize("name", ["frames", "actions", "rewards", "terminated", "truncated"])
def test_a_truncated_shard_is_refused(copy, name):
    file = copy / f"shard_000001_{name}.npy"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DatasetError, match=rf"shard_000001_{name}.npy has \d+ bytes"):
        Dataset(copy)


def test_a_missing_shard_is_refused(copy):
    (copy / "shard_000000_frames.npy").unlink()
    with pytest.raises(DatasetError, match=r"shard_000000_frames.npy is missing; .*--resume"):
        Dataset(copy)


def test_an_altered_shard_is_refused_when_verified(copy):
    file = copy / "shard_000000_frames.npy"
    content = bytearray(file.read_bytes())
    content[5000] ^= 1
    file.write_bytes(content)
    Dataset(copy)
    with pytest.raises(DatasetError, match=r"shard_000000_frames.npy is altered"):
        Dataset(copy, verify=True)


def test_an_altered_header_of_a_shard_is_refused(copy):
    file = copy / "shard_000000_actions.npy"
    file.write_bytes(file.read_bytes().replace(b"<i8", b"<f8"))
    with pytest.raises(DatasetError, match="float64"):
        Dataset(copy)
    file.write_bytes(b"\0" * file.stat().st_size)
    with pytest.raises(DatasetError, match="not a readable array"):
        Dataset(copy)


def test_an_altered_or_missing_episode_table_is_refused(copy):
    table_file = copy / "episodes.csv"
    lines = table_file.read_text().splitlines()
    table_file.write_text("\n".join(lines[:-1]) + "\n")
    with pytest.raises(DatasetError, match="episodes.csv does not fit shard"):
        Dataset(copy)
    table_file.write_text("a,b\n1,2\n")
    with pytest.raises(DatasetError, match="episodes.csv is missing or damaged"):
        Dataset(copy)
    table_file.unlink()
    with pytest.raises(DatasetError, match="episodes.csv is missing or damaged"):
        Dataset(copy)


def test_a_newer_format_a_broken_manifest_and_no_dataset_are_refused(copy, tmp_path):
    manifest = json.loads((copy / "manifest.json").read_text())
    (copy / "manifest.json").write_text(json.dumps({**manifest, "format_version": 99}))
    with pytest.raises(DatasetError, match="format version 99"):
        Dataset(copy)
    del manifest["spec"]
    for text in ("{", "[]", json.dumps(manifest)):
        (copy / "manifest.json").write_text(text)
        with pytest.raises(DatasetError, match=r"manifest.json is damaged"):
            Dataset(copy)
    with pytest.raises(DatasetError, match="is not a dataset"):
        Dataset(tmp_path / "nothing")


def test_statistics_count_what_is_there_and_the_sheet_is_a_png(original, tmp_path, capsys):
    dataset = Dataset(original)
    found = statistics(dataset)
    assert found["episodes"] == len(dataset.episodes) and found["steps"] == dataset.steps
    assert sum(found["actions"].values()) == pytest.approx(1) == sum(found["rewards"].values())
    assert sum(row["share"] for row in found["policies"].values()) == pytest.approx(1)
    assert f"{dataset.steps} steps" in table(found)
    assert contact_sheet(dataset, 3, 4).shape == (2 * (3 * 66 + 2), 2 * (4 * 66 + 2), 3)
    assert stats_main([str(original), "--sheet", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "contact sheet" in capsys.readouterr().out


def test_gray_frames_have_a_contact_sheet(tmp_path):
    register()
    options = {"env": "Dot-v0", "color": "gray", "size": "16x24"}
    collect("AnyGame-v0", tmp_path, 30, "random", env_options=options)
    assert stats_main([str(tmp_path)]) == 0
    assert (tmp_path / "contact_sheet.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("channels", [4, 12])
def test_the_contact_sheet_shows_the_newest_of_stacked_frames(channels):
    frames = np.random.default_rng(0).integers(0, 256, (2, 8, 8, channels), np.uint8)
    stacked, newest = (
        SimpleNamespace(episodes=[0], episode=lambda _, of=of: SimpleNamespace(frames=of))
        for of in (frames, to_rgb(frames))
    )
    assert (contact_sheet(stacked, 1, 2) == contact_sheet(newest, 1, 2)).all()


def test_episodes_of_one_key_fall_into_one_split_and_a_key_may_name_its_part(original, tmp_path):
    recorded = Dataset(original)
    episodes = [recorded.episode(n % len(recorded.episodes)) for n in range(8)]
    keys = ["7", "7", "7", "test:1", "validation:1", "train:1", "", "test"]
    writer = DatasetWriter(tmp_path / "d", Dataset(original).manifest | {"shards": []})
    keyed = [Episode(*episode[:7], key) for episode, key in zip(episodes, keys, strict=True)]
    writer.add(write_shard(tmp_path / "d", 0, 1, keyed))
    dataset = Dataset(tmp_path / "d", verify=True)
    assert [row.key for row in dataset.episodes] == keys and dataset.episode(3).key == "test:1"
    parts = dataset.split(0.3, 0.3)
    part_of = {number: name for name, numbers in parts.items() for number in numbers}
    assert part_of[0] == part_of[1] == part_of[2]
    assert [part_of[number] for number in (3, 4, 5)] == ["test", "validation", "train"]


def test_a_table_without_the_key_column_opens_with_the_same_fingerprint_and_split(original, copy):
    lines = (copy / "episodes.csv").read_text().splitlines()
    assert lines[0].endswith(",seed,key") and all(line.endswith(",") for line in lines[1:])
    (copy / "episodes.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines) + "\n")
    assert Dataset(copy).fingerprint == Dataset(original).fingerprint
    assert Dataset(copy).split() == Dataset(original).split()
