"""Strategies that damage files: JSON values, arrays, zips and raw bytes."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

# the same 300 cases each time
FUZZ = settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
DEEP = "[" * 100_000
# values that stand where another one is expected
ODD: list[Any] = [
    None, True, -1, 0, 1, 2, 7, 10**6, 10**9, 2**63, 10**30, 0.0, -1.5, 1e308, float("nan"),
    float("inf"), "", "x", "../../x", "evilmod:Game-v0", "A" * 100_000, [], {}, [[]], [1, "x"],
    [None], {"a": {"b": []}}, {"type": "grid"}, [64, 64, 3], [10**9, 10**9, 3],
]  # fmt: skip
HEADERS = [
    b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
    b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
    b"{'descr': '<i8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
    b"{'descr': '<i8', 'fortran_order': False, 'shape': (-1,), }",
    b"{'descr': '<i8', 'fortran_order': False, 'shape': ('x',), }",
    b"{'descr': [('a', '<i8')], 'fortran_order': False, 'shape': (1,), }",
    b"{'descr': 'nonsense', 'fortran_order': False, 'shape': (), }",
    b"((((((((((((((((((((",
    b"",
]


class Files(dict[str, bytes | None]):
    """Files by name, None for one that is absent; a short repr, for the report of a failure."""

    def __repr__(self) -> str:
        sizes = {name: None if content is None else len(content) for name, content in self.items()}
        return f"Files({sizes})"


def paths_of(value: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value inside a JSON value, the value itself first."""
    yield path
    rows = value.items() if isinstance(value, Mapping) else ()
    rows = enumerate(value) if isinstance(value, list) else rows
    for key, part in rows:
        yield from paths_of(part, (*path, key))


def replaced(value: Any, path: tuple, change: Callable[[Any], None]) -> Any:
    """A copy whose container at a path was changed in place."""
    fresh = copy.deepcopy(value)
    part = fresh
    for key in path:
        part = part[key]
    change(part)
    return fresh


@st.composite
def damaged_json(draw: st.DrawFn, value: Any) -> bytes:
    """The text of a JSON value in which one to three parts are other ones, absent, or new; or
    which is no JSON any more.
    """
    for _ in range(draw(st.integers(1, 3))):
        places = [path for path in paths_of(value) if path]
        if not places:
            break
        *above, last = draw(st.sampled_from(places))
        what = draw(st.sampled_from(["replace", "replace", "replace", "remove", "add"]))
        odd = draw(st.sampled_from(ODD))

        def change(part: Any, what: str = what, last: Any = last, odd: Any = odd) -> None:
            if what == "remove":
                del part[last]
            elif what == "add" and isinstance(part, dict):
                part["surprise"] = odd
            else:
                part[last] = copy.deepcopy(odd)

        value = replaced(value, tuple(above), change)
    text = json.dumps(value).encode()
    return draw(st.one_of(st.just(text), st.just(text), st.just(text), damaged_bytes(text)))


@st.composite
def damaged_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes that are cut, flipped, exchanged, or something else altogether."""
    if not content or draw(st.integers(0, 7)) == 0:
        return draw(st.sampled_from([b"", b"\0" * 64, b"{", b"null", b"\xff\xfe", DEEP.encode()]))
    place = draw(st.integers(0, len(content) - 1))
    what = draw(st.sampled_from(["cut", "flip", "drop", "insert"]))
    if what == "cut":
        return content[:place]
    if what == "flip":
        return (
            content[:place]
            + bytes([content[place] ^ draw(st.integers(1, 255))])
            + content[place + 1 :]
        )
    if what == "drop":
        return content[:place] + content[place + draw(st.integers(1, 64)) :]
    return content[:place] + draw(st.binary(min_size=1, max_size=16)) + content[place:]


def npy(array: np.ndarray) -> bytes:
    """An array as a .npy."""
    target = io.BytesIO()
    np.lib.format.write_array(target, array)
    return target.getvalue()


@st.composite
def damaged_array(draw: st.DrawFn, array: np.ndarray) -> bytes:
    """A .npy of another type, shape or values than expected, or with a header that lies."""
    what = draw(st.sampled_from(["dtype", "shape", "values", "header", "bytes"]))
    if what == "dtype":
        kinds = ["u1", "i1", "i8", "f4", "f8", "?", "c8", "U4", "M8[s]"]
        return npy(np.zeros(array.shape, draw(st.sampled_from(kinds))))
    if what == "shape":
        shape = draw(st.lists(st.integers(0, 4), max_size=5))
        return npy(np.zeros(shape, array.dtype))
    if what == "values" and array.size:
        fresh = array.copy().reshape(-1)
        odd = [0, 1, 200] if array.dtype.itemsize == 1 else [-1, 10**9, 2**31]
        odd = [np.nan, np.inf, -1e30] if array.dtype.kind == "f" else odd
        fresh[draw(st.integers(0, len(fresh) - 1))] = np.array(draw(st.sampled_from(odd))).astype(
            array.dtype
        )
        return npy(fresh.reshape(array.shape))
    if what == "header":
        text = draw(st.sampled_from(HEADERS)).ljust(117) + b"\n"
        return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 64
    return draw(damaged_bytes(npy(array)))


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip of members."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


@st.composite
def damaged_npz(draw: st.DrawFn, arrays: Mapping[str, np.ndarray]) -> bytes:
    """An .npz with one array damaged, absent or new, or the zip itself damaged."""
    members = {f"{name}.npy": npy(array) for name, array in arrays.items()}
    name = draw(st.sampled_from(sorted(arrays)))
    what = draw(st.sampled_from(["array", "array", "array", "remove", "add", "zip"]))
    if what == "array":
        members[f"{name}.npy"] = draw(damaged_array(arrays[name]))
    if what == "remove":
        del members[f"{name}.npy"]
    if what == "add":
        members["../x.npy"] = npy(np.zeros(3))
    content = zipped(members)
    return draw(damaged_bytes(content)) if what == "zip" else content
