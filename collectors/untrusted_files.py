"""Reading what somebody else wrote: sizes and kinds are checked before anything is unpacked.

Every reader of a file format (bundle, dataset, `.dream`, policy) begins here, so that a file can
neither run code, nor fill the memory, nor end in an error of a library.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickle
import stat
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from collectors.size_limits import REMEDY, allow_large

MOST_JSON_BYTES = 16 * 2**20
MOST_MEMBERS = 4096  # of a zip
# what the standard library, numpy, torch and safetensors raise for damaged content
PARSE_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ArithmeticError,
    EOFError,
    MemoryError,
    RuntimeError,  # RecursionError and NotImplementedError too; torch; encrypted members of a zip
    AssertionError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
    pickle.UnpicklingError,  # torch refuses what is no plain tensor
    struct.error,
)


class DamagedFileError(ValueError):
    """Content that is not what its format says. A reader turns it into its own error."""


def check_size(what: str, found: float, most: float, unit: str = "bytes") -> None:
    """Raises DamagedFileError above the limit, unless the user lifted the limits."""
    if found > most and not allow_large():
        raise DamagedFileError(f"{what} has {found:.4g} {unit}, more than {most:.4g}; {REMEDY}")


def check_regular(path: str | Path, most: float = math.inf) -> int:
    """The size of a regular file in bytes.

    Raises FileNotFoundError, and DamagedFileError for what is no regular file (a pipe would be
    waited for without end) and for one that is too large.
    """
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise DamagedFileError(f"{path} is not a regular file")
    check_size(str(path), found.st_size, most)
    return found.st_size


def read_regular_file(path: str | Path, most: float = math.inf) -> bytes:
    """The content of a regular file of at most `most` bytes. Raises as `check_regular`."""
    check_regular(path, most)
    return Path(path).read_bytes()


def checked_json(content: bytes | str, most: float = MOST_JSON_BYTES, finite: bool = True) -> Any:
    """The value of a JSON text. Raises DamagedFileError, also for deep nesting and, where `finite`,
    for NaN and infinities.
    """
    check_size("this JSON", len(content), most)
    try:
        return json.loads(content, parse_constant=_no_number if finite else float)
    except RecursionError:
        raise DamagedFileError("it is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"it is no JSON: {error}") from None


def _no_number(text: str) -> Any:
    raise DamagedFileError(f"{text} is no finite number")


def read_arrays(
    file: str | Path | io.BytesIO, most: float, names: Collection[str] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name, without pickle; with `names`, those.

    Nothing is unpacked before the headers of all were read: together they may hold `most` bytes.
    Raises FileNotFoundError, and DamagedFileError for anything else that is wrong.
    """
    if not isinstance(file, io.BytesIO):
        check_regular(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return _arrays(archive, most, names)
    except (FileNotFoundError, DamagedFileError):
        raise
    except PARSE_ERRORS as error:
        raise DamagedFileError(reason_of(error)) from None


def reason_of(error: BaseException) -> str:
    """The first line of an error, without advice of a library to read unsafely."""
    text = next(iter(str(error).strip().splitlines()), "")
    unsafe = not text or "allow_pickle" in text or "weights_only" in text or "eights only" in text
    return f"its content is refused ({type(error).__name__})" if unsafe else text


def _arrays(
    archive: zipfile.ZipFile, most: float, names: Collection[str] | None
) -> dict[str, np.ndarray]:
    check_size("this file", len(archive.infolist()), MOST_MEMBERS, "members")
    members = {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }
    if names is not None and (missing := sorted(set(names) - set(members))):
        raise DamagedFileError(f"the arrays {missing} are missing")
    chosen = {name: info for name, info in members.items() if names is None or name in names}
    total = 0
    for name, info in chosen.items():
        with archive.open(info) as member:
            array = read_array_header(member, name)
        if array.header + array.bytes != info.file_size:
            raise DamagedFileError(f"array {name} of shape {array.shape} does not fill its member")
        total += info.file_size
        check_size("this file, unpacked,", total, most)
    found = {}
    for name, info in chosen.items():
        content = io.BytesIO(archive.read(info))
        found[name] = np.lib.format.read_array(content, allow_pickle=False)
    return found


class ArrayHeader(NamedTuple):
    """What the header of a .npy says."""

    shape: tuple[int, ...]
    dtype: np.dtype
    header: int  # bytes before the values
    bytes: int  # of the values


def read_array_header(stream: Any, name: str) -> ArrayHeader:
    """The header of a .npy, of which nothing more is read.

    Raises DamagedFileError for an array of objects, and what numpy raises for damaged ones.
    """
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise DamagedFileError(f"array {name} is of version {version}")
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject or dtype.names is not None or dtype.subdtype is not None:
        raise DamagedFileError(f"array {name} holds objects, not numbers")
    if any(type(side) is not int or side < 0 for side in shape):
        raise DamagedFileError(f"array {name} has the shape {shape}")
    return ArrayHeader(shape, dtype, stream.tell(), math.prod(shape) * dtype.itemsize)
