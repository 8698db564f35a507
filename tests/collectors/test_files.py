"""Files appear whole or not at all."""

import numpy as np
import pytest

from collectors.files import write_atomically


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
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        write_atomically(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
