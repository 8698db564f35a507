"""What a process frees is not cleared again by the system."""

import platform
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
import numpy as np
from collectors.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(100_000_000, np.uint8)
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_memory_that_was_freed_is_there_for_the_next_step():
    run = [sys.executable, "-c", PROGRAM]
    faults = [
        int(subprocess.run([*run, word], capture_output=True, text=True, check=True).stdout)
        for word in ("keep", "none")
    ]
    assert 10 * faults[0] < faults[1]
