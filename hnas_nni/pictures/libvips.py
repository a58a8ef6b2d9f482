"""libvips, which decodes and encodes picture files: set up when it is first asked for."""

from __future__ import annotations

import logging
import os
from functools import cache
from typing import Any


def libvips() -> Any:
    """Return the module ``pyvips``, for reading or writing a picture.

    Raises
    ------
    RuntimeError
        If this process was forked from one that had used libvips: without its threads it would wait for ever.
    """
    pyvips, process = _set_up()
    if process != os.getpid():
        raise RuntimeError(
            "libvips was used before this process was forked, and its threads did not come along; start processes "
            "that read or write picture files by multiprocessing's 'spawn'"
        )
    pyvips.vips_lib.vips_error_clear()  # of what it remarked on the picture before
    return pyvips


def use_vips_threads(threads: int) -> None:
    """Let libvips use so many threads; 0 leaves it as it is, at first one for each processor."""
    if threads:
        libvips().concurrency_set(threads)


def reason(error: Any) -> str:
    """Return why libvips gave up: the first line of its ``pyvips.Error``, without the name of one of its parts."""
    first = error.detail.strip().partition("\n")[0]
    part, _, why = first.partition(": ")
    return (why if why and " " not in part else first) or "for a reason that libvips does not state"


@cache
def _set_up() -> tuple[Any, int]:
    import pyvips

    # No picture is used twice, and what is remembered is memory, and files that stay open.
    pyvips.cache_set_max(0)
    # What is wrong with a file comes back as an error; its remarks are for developers.
    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    return pyvips, os.getpid()
