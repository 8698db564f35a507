"""Compressed frames read as a memory map does, take less room, and are refused where damaged."""

import numpy as np
import pytest

from collectors.dataset.dataset import Dataset, DatasetError
from collectors.interchange.export_command import main as export_main
from collectors.recording.collect import collect
from tests.collectors import counting_env
from world_models.training.clips import ClipReader, read_frames

pytest.importorskip("zstandard")
from collectors.dataset.compressed_frames import CHUNK, CompressedFrames, write_frames
from collectors.untrusted_files import DamagedFileError

FRAMES = np.random.default_rng(0).integers(0, 4, (2 * CHUNK + 5, 8, 12, 3), dtype=np.uint8)


@pytest.fixture
def packed(tmp_path):
    file = tmp_path / "frames.zst"
    write_frames(file, iter([FRAMES[:7], FRAMES[7:]]))
    return file


@pytest.mark.parametrize(
    "key",
    [
        0,
        -1,
        slice(None),
        slice(3, 30, 4),
        slice(30, 2, -1),
        slice(5, 5),
        np.array([[36, 0], [17, 15]]),
        np.array([], int),
        np.arange(37) % 3 == 0,
    ],
)
def test_every_way_to_ask_gives_what_the_array_gives(packed, key):
    found = CompressedFrames(packed, FRAMES.shape)
    np.testing.assert_array_equal(found[key], FRAMES[key])
    assert found[key].shape == FRAMES[key].shape and found[key].dtype == np.uint8
    assert len(found) == len(FRAMES) and np.asarray(found).shape == FRAMES.shape


def test_frames_beyond_the_end_are_an_error(packed):
    with pytest.raises(IndexError):
        CompressedFrames(packed, FRAMES.shape)[[0, len(FRAMES)]]


def test_a_compressed_dataset_gives_the_same_clips_and_is_smaller(tmp_path, capsys):
    counting_env.register()
    plain = collect("Counting-v0", tmp_path / "plain", 400, "mix", seed=3, shard_steps=150)
    words = {"seed": 3, "shard_steps": 150, "compress": True}
    small = collect("Counting-v0", tmp_path / "small", 400, "mix", **words)
    assert export_main([str(tmp_path / "plain"), "--compressed", str(tmp_path / "again")]) == 0
    again = Dataset(tmp_path / "again", verify=True)
    assert again.fingerprint == small.fingerprint != plain.fingerprint
    assert (plain.manifest["format_version"], small.manifest["format_version"]) == (1, 3)
    sizes = [
        sum(file.stat().st_size for file in data.path.glob("*frames*")) for data in (plain, small)
    ]
    assert sizes[1] < sizes[0] / 2
    everybody = list(range(len(plain.episodes)))
    draws = [
        ClipReader(data, everybody, 4, 3).draw(16, np.random.default_rng(1))
        for data in (plain, small)
    ]
    assert (draws[0].frames == draws[1].frames).all()
    parts = [np.concatenate(list(read_frames(data, everybody[3:5]))) for data in (plain, small)]
    np.testing.assert_array_equal(*parts)
    np.testing.assert_array_equal(plain.episode(2).frames, small.episode(2).frames)


def test_compressed_collections_resume_to_the_same_result(tmp_path):
    counting_env.register()
    words = {"seed": 3, "shard_steps": 60, "compress": True}
    at_once = collect("Counting-v0", tmp_path / "a", 180, "mix", **words)
    collect("Counting-v0", tmp_path / "b", 120, "mix", **words)
    assert at_once.fingerprint == (
        collect("Counting-v0", tmp_path / "b", 180, "mix", resume=True, **words).fingerprint
    )


def damaged(content: bytes, what: str) -> bytes:
    if what == "cut":
        return content[:-1]
    if what == "magic":
        return b"x" + content[1:]
    if what == "places":
        return content[:24] + content[24:32][::-1] + content[32:]
    return content[:20] if what == "short" else content[:60] + b"\xff" * 20 + content[80:]


@pytest.mark.parametrize("what", ["cut", "magic", "places", "short", "chunk"])
def test_a_damaged_file_is_a_sentence(packed, what):
    packed.write_bytes(damaged(packed.read_bytes(), what))
    with pytest.raises(DamagedFileError):
        CompressedFrames(packed, FRAMES.shape)[:]


def test_a_chunk_that_would_unpack_to_more_than_its_frames_is_not_unpacked(tmp_path, monkeypatch):
    file = tmp_path / "bomb.zst"
    write_frames(file, iter([np.zeros((CHUNK, 64, 64, 3), np.uint8)]))
    with pytest.raises(DamagedFileError, match="chunk 0"):
        CompressedFrames(file, (CHUNK, 8, 8, 3))[0]


def test_a_dataset_with_a_damaged_compressed_file_is_refused(tmp_path):
    counting_env.register()
    collect("Counting-v0", tmp_path / "d", 50, "mix", compress=True)
    file = next((tmp_path / "d").glob("*.zst"))
    file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(DatasetError, match="not a readable array"):
        Dataset(tmp_path / "d")
