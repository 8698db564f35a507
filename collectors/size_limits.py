"""The word of the user that lets in files beyond the limits of sizes: a switch, or a variable."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

ALLOW_LARGE = "NEURAL_ENVS_ALLOW_LARGE"  # environment variable; 1 lifts the limits of sizes
ALLOW_LARGE_SWITCH = "--allow-large"  # of every verb of `neural-envs`
REMEDY = (
    f"if you trust it, give {ALLOW_LARGE_SWITCH} (in Python: set the environment variable "
    f"{ALLOW_LARGE}=1)"
)


def allow_large() -> bool:
    """Whether the user lifted the limits of sizes."""
    return os.environ.get(ALLOW_LARGE, "") not in ("", "0")


@contextmanager
def limits_lifted() -> Iterator[None]:
    """No limits inside; by the variable, so that worker processes have none either."""
    before = os.environ.get(ALLOW_LARGE)
    os.environ[ALLOW_LARGE] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ALLOW_LARGE]
        else:
            os.environ[ALLOW_LARGE] = before
