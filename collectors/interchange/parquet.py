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

MOST_COLUMN_BYTES = 2**31  # of all columns but the images of a table, unpacked
ROWS_AT_ONCE, IMAGES_AT_ONCE = 4096, 64
MOST_BATCH_BYTES = 2**30


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
    check_size(f"{files.name}/{name}", _unpacked_bytes(table, columns), MOST_COLUMN_BYTES)
    batches, total = [], 0
    for batch in table.iter_batches(ROWS_AT_ONCE, columns=list(columns)):
        total += batch.nbytes
        check_size(f"{files.name}/{name}", total, MOST_COLUMN_BYTES)
        batches.append(batch)
    kept = pa.schema([schema.field(column) for column in columns])
    return pa.Table.from_batches(batches, kept).select(list(columns))


def read_cells(files: Files, name: str, column: str) -> Iterator[Any]:
    """The cells of one column in turn, of which a few are in memory. Raises DamagedFileError."""
    with opened(files, name) as table:
        for batch in table.iter_batches(IMAGES_AT_ONCE, columns=[column]):
            check_size(f"{files.name}/{name}", batch.nbytes, MOST_BATCH_BYTES)
            yield from batch.column(0).to_pylist()


def _unpacked_bytes(table: Any, columns: Sequence[str]) -> int:
    """What the file says that columns, and what is in them, take when they are unpacked."""
    total, about = 0, table.metadata
    for group in range(about.num_row_groups):
        for number in range(about.num_columns):
            chunk = about.row_group(group).column(number)
            if any(chunk.path_in_schema.split(".list.")[0] == column for column in columns):
                total += chunk.total_uncompressed_size
    return total
