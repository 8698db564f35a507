"""`make torture`: kill, disk, lock and load campaigns, and their table as Markdown.

    python -m tests.torture --minutes 10 --tries 20 --out build/torture.md kill disk lock load

The exit code is 1 where a promise was broken; what broke it is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from collectors.files import write_atomically
from tests.torture import disks, kills, load, rivals
from tests.torture.runs import Budget, Row

CAMPAIGNS: dict[str, Callable[[Budget], Iterator[Row]]] = {
    "kill": kills.campaign,
    "disk": disks.campaign,
    "lock": rivals.campaign,
    "load": load.campaign,
}


def table(rows: list[Row]) -> str:
    """The table of `docs/security.md`."""
    lines = ["| promise | tries | result |", "|---|---|---|"]
    return "\n".join(lines + [f"| {row.promise} | {row.tries} | {row.result} |" for row in rows])


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser("make torture", description=__doc__)
    parser.add_argument("campaigns", nargs="*", help=", ".join(CAMPAIGNS))
    parser.add_argument("--minutes", type=float, default=10.0, help="of all campaigns together")
    parser.add_argument("--tries", type=int, default=20, help="of each promise, at most")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", default="build/torture.md", help="the table")
    settings = parser.parse_args(argv)
    names = settings.campaigns or list(CAMPAIGNS)
    if unknown := set(names) - set(CAMPAIGNS):
        parser.error(f"no campaign {', '.join(unknown)}; there are {', '.join(CAMPAIGNS)}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            seconds = 60 * settings.minutes / len(names)
            for row in CAMPAIGNS[name](
                Budget(Path(folder) / name, settings.tries, seconds, settings.seed)
            ):
                rows.append(row)
                print(f"{name}: {row.promise}: {row.result} (tried: {row.tries})", flush=True)
                for broken in row.broken:
                    print(f"  {broken}", file=sys.stderr, flush=True)
    write_atomically(settings.out, f"{table(rows)}\n\nMade at {kills.commit()}.\n")
    print(f"written: {settings.out}")
    return int(any(row.broken for row in rows))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
