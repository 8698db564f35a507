"""Files appear whole or not at all, and a disk that cannot be written is one sentence."""

import errno
import os

import numpy as np
import pytest

from collectors import files
from collectors.files import WriteError, check_writable, write_atomically


def test_text_bytes_and_what_a_function_writes_replace_the_file(tmp_path):
    path = tmp_path / "new" / "notes.txt"
    assert write_atomically(path, "é\n") == path and path.read_text(encoding="utf-8") == "é\n"
    assert write_atomically(path, b"\x00").read_bytes() == b"\x00"
    arrays = write_atomically(tmp_path / "a.npz", lambda file: np.savez(file, x=np.arange(3)))
    assert np.load(arrays)["x"].tolist() == [0, 1, 2]
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.npz", "new"]


def test_after_an_error_the_old_file_is_whole_and_nothing_is_left(tmp_path):
    path = write_atomically(tmp_path / "notes.txt", "old")

    def half(partial):
        partial.write_text("ne")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(WriteError, match=r"notes.txt cannot be written \(No space.*; make room"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    flushed, path = [], tmp_path / "notes.txt"
    fsync = os.fsync

    def record(number):
        flushed.append((os.fstat(number).st_size, path.exists()))
        fsync(number)

    monkeypatch.setattr(os, "fsync", record)
    write_atomically(path, "hello")
    assert flushed == [(5, False)]


def test_a_disk_that_is_full_only_when_the_file_is_flushed_leaves_the_old_one(
    tmp_path, monkeypatch
):
    path = write_atomically(tmp_path / "notes.txt", "old")

    def full(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(WriteError, match="make room") as caught:
        write_atomically(path, "new")
    assert caught.value.errno == errno.ENOSPC
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_what_torch_makes_of_a_full_disk_is_the_same_sentence(tmp_path):
    def torch_save(partial):
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError:
            raise RuntimeError("[enforce fail at inline_container.cc:664] unexpected pos") from None

    with pytest.raises(WriteError, match=r"No space left on device\); make room"):
        write_atomically(tmp_path / "policy.zip", torch_save)

    def bug(partial):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes") as caught:
        write_atomically(tmp_path / "policy.zip", bug)
    assert not isinstance(caught.value, OSError)


@pytest.mark.parametrize(
    ("number", "remedy"),
    [(errno.EROFS, "on a disk that can be written"), (errno.EACCES, "that you may write")],
)
def test_a_folder_that_cannot_be_written_is_found_before_the_work(
    tmp_path, monkeypatch, number, remedy
):
    check_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files.tempfile, "TemporaryFile", refuse)
    with pytest.raises(WriteError, match=f"new cannot be written .*{remedy}"):
        check_writable(tmp_path / "new")
