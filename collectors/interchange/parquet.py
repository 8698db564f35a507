"""Parquet files that anybody may have made: sizes are checked before columns are read, and every
error of the library is a sentence.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any

from collectors.dataset.dataset import DatasetError
from collectors.extras import optional
from collectors.interchange.repositories import Files
from collectors.untrusted_files import PARSE_ERRORS, DamagedFileError, check_size, reason_of

MOST_COLUMN_BYTES = 2**30  # of all columns but the images of a table, unpacked
MOST_ROW_BYTES = 2**16  # of these columns in a row, on average
MOST_CHUNK_BYTES = 2**31  # of the images of a group of rows
ROWS_AT_ONCE, IMAGES_AT_ONCE = 4096, 64
BATCH_BYTES, MOST_BATCH_BYTES = 2**26, 2**30
WORDS = ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY")  # physical types of cells of any length


class opened:
    """A Parquet file of `files`, closed at the end of a `with`. What its library raises in there is
    raised as DamagedFileError.
    """

    def __init__(self, files: Files, name: str):
        self.files, self.name = files, name
        self.stream: Any = io.BytesIO()

    def __enter__(self) -> Any:
        parquet = optional("pyarrow.parquet")
        try:
            self.stream = self.files.open(self.name)
            return parquet.ParquetFile(self.stream)
        except PARSE_ERRORS as error:
            self.__exit__(type(error), error, None)

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        self.stream.close()
        if isinstance(error, PARSE_ERRORS) and not isinstance(
            error, DatasetError | DamagedFileError
        ):
            raise DamagedFileError(f"{self.name} cannot be read ({reason_of(error)})") from None


def read_columns(files: Files, name: str, table: Any, columns: Sequence[str]) -> Any:
    """Some columns of an opened file as a table of Arrow. Raises DamagedFileError where they are
    not there, or too large.
    """
    pa, schema = optional("pyarrow"), table.schema_arrow
    if missing := [column for column in columns if column not in schema.names]:
        raise DamagedFileError(f"{name} has no columns {missing}")
    place, chunks = f"{files.name}/{name}", _chunks(table, columns)
    check_size(place, sum(map(_unpacked_bytes, chunks)), MOST_COLUMN_BYTES)
    batches, total = [], 0
    for batch in table.iter_batches(_rows_at_once(chunks, ROWS_AT_ONCE), columns=list(columns)):
        check_size(f"a row of {place}", batch.nbytes / max(1, batch.num_rows), MOST_ROW_BYTES)
        total += batch.nbytes
        check_size(place, total, MOST_COLUMN_BYTES)
        batches.append(batch)
    kept = pa.schema([schema.field(column) for column in columns])
    return pa.Table.from_batches(batches, kept).select(list(columns))


def read_cells(files: Files, name: str, column: str) -> Iterator[Any]:
    """The cells of one column in turn, of which a few are in memory. Raises DamagedFileError."""
    place = f"{files.name}/{name}"
    with opened(files, name) as table:
        chunks = _chunks(table, [column])
        largest = max(map(_unpacked_bytes, chunks), default=0)
        check_size(f"a group of rows of {place}", largest, MOST_CHUNK_BYTES)
        for batch in table.iter_batches(_rows_at_once(chunks, IMAGES_AT_ONCE), columns=[column]):
            check_size(place, batch.nbytes, MOST_BATCH_BYTES)
            yield from batch.column(0).to_pylist()


def _chunks(table: Any, columns: Sequence[str]) -> list[Any]:
    """What the file says of the parts of columns, and of what is in them, in each group of rows.
    Raises DamagedFileError for lists of words, which can be any number of long ones.
    """
    about, numbers = table.metadata, []
    for number, leaf in enumerate(map(table.schema.column, range(about.num_columns))):
        if any(f"{leaf.path}.".startswith(f"{column}.") for column in columns):
            if leaf.max_repetition_level and leaf.physical_type in WORDS:
                raise DamagedFileError(f"its column {leaf.path:.60} has lists of words")
            numbers.append(number)
    groups = map(about.row_group, range(about.num_row_groups))
    return [group.column(number) for group in groups for number in numbers]


def _unpacked_bytes(chunk: Any) -> int:
    """What a part of a column takes: numbers that are alike are few bytes of a file."""
    number = 0 if chunk.physical_type in WORDS else 8
    return max(chunk.total_uncompressed_size, number * chunk.num_values)


def _rows_at_once(chunks: Sequence[Any], most: int) -> int:
    """So many rows that a batch is small where every cell is the longest one that a dictionary of
    the file can have: each cell that is alike takes a bit there, and its length in memory.
    """
    sizes = [c.total_uncompressed_size for c in chunks if c.physical_type in WORDS]
    return max(1, min(most, BATCH_BYTES // max([1, *sizes])))
