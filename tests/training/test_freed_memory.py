"""Memory that a training frees stays with it."""

from __future__ import annotations

import subprocess
import sys

import pytest

_ALLOCATES = """
import resource, sys
import numpy as np
from hnas_nni.training.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
np.ones(1 << 25, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1 << 25, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what Linux and glibc do")
def test_freed_memory_is_not_asked_for_again() -> None:
    """32 MiB, 20 times: 16 pages of 2 MiB each time at the least, if Linux hands them out again."""
    faults = {
        what: int(subprocess.run([sys.executable, "-c", _ALLOCATES, what], stdout=subprocess.PIPE, check=True).stdout)
        for what in ("given back", "kept")
    }
    assert faults["given back"] >= 20 * 16
    assert faults["kept"] <= 20
