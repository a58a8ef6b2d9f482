"""Formats of picture files."""

from __future__ import annotations

import os
from pathlib import Path

FORMATS = ("svg", "png", "pdf")
"""Formats of picture files, by their extension."""


def picture_format(path: str | os.PathLike[str]) -> str:
    """Return the format that a picture file's extension stands for.

    Raises
    ------
    ValueError
        If it is none of :data:`FORMATS`.
    """
    suffix = Path(path).suffix.lower().lstrip(".")
    if suffix not in FORMATS:
        names = ", ".join(f".{name}" for name in FORMATS)
        raise ValueError(f"{path}: can't draw to this kind of file; give a name that ends in one of {names}")
    return suffix
