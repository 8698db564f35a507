"""`python -m tests.torture [CAMPAIGN ...]`: runs campaigns (default: all) and writes their rows.

A campaign is a module here with a function `rows`. Ends with 1 where a promise was broken.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from tests.torture.table import write_rows

PARTS = ("__init__", "__main__", "table")


def main(names: list[str]) -> int:
    """Run the campaigns; the exit code."""
    found = sorted(path.stem for path in Path(__file__).parent.glob("*.py"))
    broken = 0
    for name in names or [stem for stem in found if stem not in PARTS]:
        begin = time.monotonic()
        rows = importlib.import_module(f"tests.torture.{name}").rows()
        write_rows(name, rows)
        broken += sum(not row.kept for row in rows)
        for row in rows:
            print(f"{'kept  ' if row.kept else 'BROKEN'}  {row.promise}: {row.tries}; {row.result}")
        print(f"{name}: {time.monotonic() - begin:.0f} s", flush=True)
    return min(broken, 1)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
