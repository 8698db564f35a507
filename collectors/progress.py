"""One progress bar for all long work: rate and time left on a terminal,
silence in pipes and logs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tqdm import tqdm


def progress(
    iterable: Iterable | None = None, total: int | None = None, desc: str = "", unit: str = "it"
) -> tqdm:
    """A tqdm bar over `iterable`, or a manual one
    of `total` units (``bar.update(n)``); silent off a terminal.
    """
    silent = not (hasattr(sys.stderr, "isatty") and sys.stderr.isatty())
    options = {"dynamic_ncols": True, "smoothing": 0.1, "file": sys.stderr, "disable": silent}
    return tqdm(iterable, total=total, desc=desc, unit=unit, **options)
