"""What every layout of folders is read with: the list of a folder's image files, and the errors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hnas_nni.data.images import IMAGE_SUFFIXES


class DataError(ValueError):
    """Images that cannot be used as asked; the message names the file or folder and the remedy."""


class ImageFiles(NamedTuple):
    """Where one image is; without an LR file, LR is made from HR."""

    name: str
    hr: Path
    lr: Path | None = None


def images_in(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, without hidden ones, sorted."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def images_below(folder: Path) -> Iterator[Path]:
    """Yield the image files in a folder and its subfolders, hidden ones and links to folders left out."""
    for root, children, _ in os.walk(folder):
        children[:] = sorted(child for child in children if not child.startswith("."))
        yield from images_in(Path(root))
