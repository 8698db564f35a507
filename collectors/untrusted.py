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
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

ALLOW_LARGE = "NEURAL_ENVS_ALLOW_LARGE"  # environment variable; 1 lifts the limits of sizes
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


class ArrayKind(NamedTuple):
    """What is expected of an array."""

    dtypes: Collection[str]  # names, as "uint8"
    dimensions: int


def allow_large() -> bool:
    """Whether the user lifted the limits of sizes."""
    return os.environ.get(ALLOW_LARGE, "") not in ("", "0")


def check_size(what: str, found: float, most: float, unit: str = "bytes") -> None:
    """Raises DamagedFileError above the limit, unless the user lifted the limits."""
    if found > most and not allow_large():
        raise DamagedFileError(
            f"{what} has {found:.4g} {unit}, more than {most:.4g}; if you trust it, set the "
            f"environment variable {ALLOW_LARGE}=1"
        )


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


def checked_json(content: bytes | str, most: float = MOST_JSON_BYTES) -> Any:
    """The value of a JSON text. Raises DamagedFileError, also for NaN and for deep nesting."""
    check_size("this JSON", len(content), most)
    try:
        return json.loads(content, parse_constant=_no_number)
    except RecursionError:
        raise DamagedFileError("it is nested too deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise DamagedFileError(f"it is no JSON: {error}") from None


def _no_number(text: str) -> Any:
    raise DamagedFileError(f"{text} is no finite number")


def read_arrays(
    file: str | Path | io.BytesIO, most: float, kinds: Mapping[str, ArrayKind] | None = None
) -> dict[str, np.ndarray]:
    """The arrays of an .npz by name, without pickle. Nothing is unpacked before the headers of all
    members were read: together they may hold `most` bytes. With `kinds`, exactly those of its names
    are read. Raises DamagedFileError, FileNotFoundError.
    """
    if not isinstance(file, io.BytesIO):
        check_regular(file)
    try:
        with zipfile.ZipFile(file) as archive:
            return _arrays(archive, most, kinds)
    except (FileNotFoundError, DamagedFileError):
        raise
    except PARSE_ERRORS as error:
        raise DamagedFileError(
            str(error).split("allow_pickle")[0] or type(error).__name__
        ) from None


def _arrays(
    archive: zipfile.ZipFile, most: float, kinds: Mapping[str, ArrayKind] | None
) -> dict[str, np.ndarray]:
    check_size("this file", len(archive.infolist()), MOST_MEMBERS, "members")
    members = {
        info.filename.removesuffix(".npy"): info
        for info in archive.infolist()
        if info.filename.endswith(".npy")
    }
    if kinds is not None and (missing := sorted(set(kinds) - set(members))):
        raise DamagedFileError(f"the arrays {missing} are missing")
    chosen = {name: info for name, info in members.items() if kinds is None or name in kinds}
    total = 0
    for name, info in chosen.items():
        with archive.open(info) as member:
            total += check_array_header(member, info.file_size, name, (kinds or {}).get(name))
        check_size("this file, unpacked,", total, most)
    found = {}
    for name, info in chosen.items():
        content = io.BytesIO(archive.read(info))
        found[name] = np.lib.format.read_array(content, allow_pickle=False)
    return found


def check_array_header(stream: Any, size: int, name: str, kind: ArrayKind | None = None) -> int:
    """The bytes of the array in a .npy of `size` bytes, from its header alone.

    Raises DamagedFileError where header and size do not fit, for an array of objects, and for
    another kind than expected.
    """
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise DamagedFileError(f"array {name} is of version {version}")
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }[version]
    shape, _, dtype = read(stream)
    if dtype.hasobject or dtype.names is not None or dtype.subdtype is not None:
        raise DamagedFileError(f"array {name} holds objects, not numbers")
    if any(type(side) is not int or side < 0 for side in shape):
        raise DamagedFileError(f"array {name} has the shape {shape}")
    size_in_memory = math.prod(shape) * dtype.itemsize
    if stream.tell() + size_in_memory != size:
        raise DamagedFileError(f"array {name} of shape {shape} does not fit its {size} bytes")
    if kind is not None and (dtype.name not in kind.dtypes or len(shape) != kind.dimensions):
        raise DamagedFileError(
            f"array {name} is {dtype.name}{shape}, not {' or '.join(kind.dtypes)} of "
            f"{kind.dimensions} dimensions"
        )
    return size_in_memory
