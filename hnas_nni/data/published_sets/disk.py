"""Whether the disk has room, asked before the work starts."""

from __future__ import annotations

import shutil
from pathlib import Path


class DiskFullError(OSError):
    """Too little space on the disk; the message names the folder, and what is needed."""


def check_free_space(folder: Path, needed: float, purpose: str) -> None:
    """Check that a folder's disk has room.

    Parameters
    ----------
    folder
        A folder that exists.
    needed
        Bytes.
    purpose
        What for, for the message.

    Raises
    ------
    DiskFullError
        If it has less.
    """
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DiskFullError(
            f"{folder}: {purpose} needs {readable_size(needed)} of free disk, but there are {readable_size(free)}; "
            "free some and run this again, or give another folder"
        )


def readable_size(size: float) -> str:
    """Return a number of bytes for people, e.g. ``3.53 GB`` or ``17.2 MB``."""
    return f"{size / 1e9:,.2f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
