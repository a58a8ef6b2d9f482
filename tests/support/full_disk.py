"""A disk that is full."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

SMALL = 3000
"""Bytes, less than each of the files that the tests write."""


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file grow beyond a few bytes, as on a disk that is full.

    Python would cut what it compiles short as well, and keep it: every later process that imports such a module dies.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, before[1]))
    compiles, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        yield
    finally:
        sys.dont_write_bytecode = compiles
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
