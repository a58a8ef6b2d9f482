"""What every layout of folders is read with: the list of a folder's image files, and the errors."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hnas_nni.data.opening import is_image

_LOGGER = logging.getLogger(__name__)
_MOST_NAMED = 5


class DataError(ValueError):
    """Images that cannot be used as asked; the message names the file or folder and the remedy."""


class ImageFiles(NamedTuple):
    """Where one image is; without an LR file, LR is made from HR."""

    name: str
    hr: Path
    lr: Path | None = None


def images_below(folder: Path) -> list[Path]:
    """Return the image files in a folder and its subfolders; hidden ones and links to folders are left out.

    The log names what is no image.
    """
    images: list[Path] = []
    others: list[Path] = []
    for root, children, _ in os.walk(folder):
        children[:] = sorted(child for child in children if not child.startswith("."))
        for path in files_in(Path(root)):
            (images if is_image(path) else others).append(path)
    name_left_out(folder, others)
    return images


def files_in(folder: Path) -> list[Path]:
    """Return the files directly in a folder, without hidden ones, sorted."""
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and not path.is_dir())


def name_left_out(folder: Path, files: Sequence[Path]) -> None:
    """Name files of a folder that are not taken in the log, in one line, the first ones if there are many."""
    if files:
        named = ", ".join(path.relative_to(folder).as_posix() for path in files[:_MOST_NAMED])
        more = f" and {len(files) - _MOST_NAMED} more" if len(files) > _MOST_NAMED else ""
        _LOGGER.warning("%s: left out, as no picture that can be taken: %s%s", folder, named, more)
