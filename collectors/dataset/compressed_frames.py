"""Frames of a shard, compressed without loss: chunks of 16 frames by Zstandard, read as an array.

Games repeat themselves, so that frames of neighboring steps are most of each other: a shard takes a
seventh to a hundredth of its room, and a clip costs one chunk or two. A file is a magic number, the
number of chunks, the place of each and of the end (64 bits each, little-endian), and the chunks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from collectors.extras import optional
from collectors.untrusted_files import DamagedFileError, check_regular

SUFFIX = ".zst"
MAGIC = b"frames01"
CHUNK = 16  # frames
LEVEL = 3


def write_frames(file: Path, frames: Iterator[np.ndarray]) -> None:
    """Write arrays of frames (T, H, W, C) uint8, one after the other, as one file. Raises
    MissingExtra without zstandard.
    """
    compress = optional("zstandard").ZstdCompressor(level=LEVEL).compress
    chunks = [compress(np.ascontiguousarray(chunk)) for chunk in _chunks(frames)]
    places = 16 + 8 * (len(chunks) + 1) + np.cumsum([0, *map(len, chunks)])
    with file.open("wb") as stream:
        stream.write(MAGIC + np.array([len(chunks), *places], "<u8").tobytes())
        stream.writelines(chunks)


def _chunks(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    rest: list[np.ndarray] = []
    for part in frames:
        for frame in part:
            rest.append(frame)
            if len(rest) == CHUNK:
                yield np.stack(rest)
                rest = []
    if rest:
        yield np.stack(rest)


class CompressedFrames:
    """The frames (T, H, W, C) uint8 of such a file, which are unpacked as they are asked for: by a
    number, a slice, or an array of numbers of any shape. Reads as a memory map does; nothing is
    kept in memory, so that threads and processes may share it.

    Raises DamagedFileError, also where a chunk holds other frames than the shape says, and
    MissingExtra without zstandard.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, file: Path, shape: tuple[int, ...]):
        optional("zstandard")
        self.file, self.shape, self.ndim = file, shape, len(shape)
        count = -(-shape[0] // CHUNK)
        size = check_regular(file)
        if size < 16 + 8 * (count + 1):
            raise DamagedFileError(f"{file} is cut short")
        self._bytes = np.memmap(file, np.uint8, "r")
        head = self._bytes[8:16].view("<u8")
        if self._bytes[:8].tobytes() != MAGIC or int(head[0]) != count:
            raise DamagedFileError(f"{file} holds other frames than {shape}")
        places = self._bytes[16 : 16 + 8 * (count + 1)].view("<u8").astype(np.int64)
        if places[0] != 16 + 8 * (count + 1) or places[-1] != size or (np.diff(places) < 1).any():
            raise DamagedFileError(f"{file} has chunks that do not follow each other")
        self._places = places

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> np.ndarray:
        if isinstance(key, slice):
            rows = np.arange(*key.indices(len(self)))
        else:
            rows = np.asarray(key)
            rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        if rows.size and not (-len(self) <= rows.min() and rows.max() < len(self)):
            raise IndexError(f"{self.file} has {len(self)} frames")
        flat = np.where(rows < 0, rows + len(self), rows).reshape(-1)
        found = np.empty((len(flat), *self.shape[1:]), np.uint8)
        chunks = flat // CHUNK
        for number in np.unique(chunks):
            chosen = chunks == number
            found[chosen] = self._chunk(int(number))[flat[chosen] % CHUNK]
        return found.reshape(*rows.shape, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:].astype(dtype or np.uint8, copy=False)

    def _chunk(self, number: int) -> np.ndarray:
        count = min(CHUNK, len(self) - number * CHUNK)
        expected = count * math.prod(self.shape[1:])
        packed = self._bytes[self._places[number] : self._places[number + 1]].tobytes()
        library = optional("zstandard")
        try:  # the size is known before anything is unpacked
            if library.get_frame_parameters(packed).content_size == expected:
                content = library.ZstdDecompressor().decompress(packed)
                return np.frombuffer(content, np.uint8).reshape(count, *self.shape[1:])
        except (library.ZstdError, ValueError):
            pass
        raise DamagedFileError(f"chunk {number} of {self.file} is damaged")
