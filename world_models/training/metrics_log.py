"""metrics.csv and metrics.jsonl: one row per validation, and none twice,
however often a run was resumed.
"""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from collectors.files import write_atomically


class MetricsWriter:
    """The figures of a run directory, up to the update that the run goes on from."""

    def __init__(self, out: Path, update: int = 0):
        """Drops the rows of updates after `update`: they will be done again. 0 begins anew."""
        self.table, self.lines = out / "metrics.csv", out / "metrics.jsonl"
        rows = [row for row in read_table(self.table) if int(row["update"]) <= update]
        self.names = list(rows[0]) if rows else []
        records = [record for record in read_lines(self.lines) if record["update"] <= update]
        if rows and not records:  # a run of a version that wrote only the table
            records = [{name: number(text) for name, text in row.items()} for row in rows]
        self._write_table(rows)
        write_atomically(self.lines, "".join(json.dumps(record) + "\n" for record in records))

    def write(self, row: dict) -> None:
        """Appends a row; a name that is new becomes a column of all rows."""
        new = [name for name in row if name not in self.names]
        if new:
            before = read_table(self.table)
            self.names += new
            self._write_table(before)
        with open(self.table, "a", newline="") as file:
            csv.DictWriter(file, self.names).writerow(row)
        with open(self.lines, "a") as file:
            file.write(json.dumps(row) + "\n")

    def _write_table(self, rows: list[dict]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.names)
        if self.names:
            writer.writeheader()
        writer.writerows(rows)
        write_atomically(self.table, text.getvalue().encode())


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file that are whole; none where there is no file."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        rows = [{k: v for k, v in row.items() if k is not None} for row in csv.DictReader(file)]
    return [row for row in rows if (row.get("update") or "").isdigit() and None not in row.values()]


def read_lines(path: Path) -> list[dict]:
    """The records of a JSONL file; a line that a killed run left half written is left out."""
    records = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return records


def number(text: str) -> int | float | str:
    """A cell of a CSV file as what it was."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
