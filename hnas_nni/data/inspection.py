"""Looking at a source of images before a long run does: what is there, and what would be left out."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import Any

from tqdm import tqdm

from hnas_nni.data.layouts import find_images
from hnas_nni.data.listing import DataError
from hnas_nni.data.sources import check_scale, load_files


@dataclass(frozen=True)
class Inspection:
    """What :func:`hnas_nni.data.load_pairs` finds in a source.

    Parameters
    ----------
    files
        How many images (HR) there are.
    pairs
        Whether LR images are there; otherwise LR is made from HR.
    sizes
        ((height, width), count) of the usable HR images in pixels, cropped to the scale; the most frequent first.
    problems
        A line on each image that can't be used.
    """

    files: int
    pairs: bool
    sizes: tuple[tuple[tuple[int, int], int], ...]
    problems: tuple[str, ...]

    @property
    def usable(self) -> int:
        """How many images can be used."""
        return sum(count for _, count in self.sizes)

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as JSON-ready data."""
        return {
            "files": self.files,
            "usable": self.usable,
            "pairs": self.pairs,
            "sizes": [{"height": height, "width": width, "images": count} for (height, width), count in self.sizes],
            "problems": list(self.problems),
        }


def inspect_images(source: str | os.PathLike[str], scale: int = 2, *, progress: bool = True) -> Inspection:
    """Read all images of a source, one at a time, and note what can't be used.

    Parameters
    ----------
    source, scale
        As for :func:`hnas_nni.data.load_pairs`.
    progress
        Show a bar on standard error if that is a terminal.

    Raises
    ------
    DataError
        If the folder as a whole can't be used: it is missing or empty, or a pair is incomplete.
    """
    check_scale(scale)
    files = find_images(source, scale)
    sizes: Counter[tuple[int, int]] = Counter()
    problems = []
    for file in tqdm(files, desc="reading", unit="image", disable=None if progress else True):
        try:
            (pair,) = load_files([file], scale, strict=True)
        except DataError as error:
            problems.append(str(error))
        else:
            height, width = pair.hr.shape[:2]
            sizes[height, width] += 1
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return Inspection(len(files), any(file.lr is not None for file in files), tuple(ordered), tuple(problems))
