"""Memory that a process frees stays with it, for the next step.

A step of a training or of a dream takes as much memory as the step before. The C library gives it
back to the system in between, which then clears every page again: a fifth of the time of PPO.
"""

import ctypes

TRIM_THRESHOLD, TOP_PAD, MMAP_THRESHOLD = -1, -2, -3  # of mallopt, as malloc.h has them
BLOCK, OLD_BLOCK = 2**30, 2**25  # bytes up to which one is kept; some versions of glibc allow 32 MB
NEVER, PAD = 2**31 - 1, 2**25  # bytes


def keep_freed_memory() -> None:
    """Set it, where the C library is glibc; elsewhere nothing happens."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # macOS and musl have no mallopt, Windows no None
        return
    if not mallopt(MMAP_THRESHOLD, BLOCK):
        mallopt(MMAP_THRESHOLD, OLD_BLOCK)
    mallopt(TRIM_THRESHOLD, NEVER)
    mallopt(TOP_PAD, PAD)
