"""The table of promises, tries and results in docs/security.md."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "security.md"
HEAD = "| promise | tries | result |\n|---|---|---|\n"


class Row(NamedTuple):
    """What one attack on a promise came to."""

    promise: str
    tries: str
    result: str
    kept: bool = True


def write_rows(campaign: str, rows: Sequence[Row]) -> None:
    """Put the rows between the marks of the campaign, `<!-- NAME -->` and `<!-- /NAME -->`."""
    begin, end = f"<!-- {campaign} -->\n", f"<!-- /{campaign} -->"
    text = PAGE.read_text()
    before, rest = text.split(begin)
    lines = [
        f"| {row.promise} | {row.tries} | {'' if row.kept else '**broken**: '}{row.result} |\n"
        for row in rows
    ]
    PAGE.write_text(before + begin + HEAD + "".join(lines) + end + rest.split(end)[1])
