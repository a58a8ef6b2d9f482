"""Finding LR images among those that are taken for HR: a picture and the same one at a fraction of its size."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from hnas_nni.data.opening import open_image
from hnas_nni.data.quiet_decoders import quiet_decoding

_Seen = TypeVar("_Seen")

_KINDS = "HR|GT|LR[2348]?|LQ|bic(?:ubic)?"
_MARKS = re.compile(rf"(?:[_-]?(?:{_KINDS}|x[2348]|[2348]x))*", re.IGNORECASE)
_MARK_BEFORE = re.compile(rf"^(?:{_KINDS})[_-](?=.)", re.IGNORECASE)
"""What the names of a picture at two sizes differ by, at most: ``_LR``, ``_LR4``, ``x2``, ``_x2_bicubic``; ``lr_``."""

_FRACTIONS = (2, 3, 4, 8)
_MOST_OPENED = 2000
_MOST_COMPARED = 50
"""Where names repeat from folder to folder, so many images are opened for their size, and so many pairs compared."""

_THUMBNAIL = (16, 16)
_ALIKE = 4.0
"""Mean difference of thumbnails, in grey levels, up to which two pictures are the same. Of a picture and its bicubic
half it is below 2, of two pictures mostly above 20."""


def smaller_copy(paths: Iterable[Path]) -> tuple[Path, Path, int] | None:
    """Return an image that another one shows at a half, a third, a quarter or an eighth of its size.

    Only images whose names differ by the folder and marks as ``_LR`` or ``x2`` are compared, and only the first.

    Returns
    -------
    tuple or None
        The smaller image, the larger one, and how many times as large that is; None if there are no such two.
    """
    by_name: defaultdict[str, list[Path]] = defaultdict(list)
    for path in paths:
        by_name[_unmarked(path.stem)].append(path)
    for small, large, times in islice(_of_fitting_sizes(by_name.values()), _MOST_COMPARED):
        one, other = _thumbnail(small), _thumbnail(large)
        if one is not None and other is not None and np.abs(one - other).mean() <= _ALIKE:
            return small, large, times
    return None


def _unmarked(stem: str) -> str:
    """The name without its marks: ``baby`` of ``babyx2``, ``baby_LR``, ``baby_HR_x2`` and ``lr_baby``."""
    stem = _MARK_BEFORE.sub("", stem)
    for start in range(1, len(stem)):
        if _MARKS.fullmatch(stem, start):
            return stem[:start]
    return stem


def _of_fitting_sizes(groups: Iterable[list[Path]]) -> Iterator[tuple[Path, Path, int]]:
    opened = 0
    for group in groups:
        if len(group) == 1:
            continue
        opened += len(group)
        if opened > _MOST_OPENED:
            return
        sizes = {path: size for path in group if (size := _looked_at(path, lambda image: image.size))}
        for times in _FRACTIONS:
            larger: defaultdict[tuple[int, int], list[Path]] = defaultdict(list)
            for path, (width, height) in sizes.items():
                # Of an HR image that is no multiple of the scale, LR is cut or rounded up.
                for fraction in {(width // times, height // times), (-(-width // times), -(-height // times))}:
                    larger[fraction].append(path)
            yield from ((small, large, times) for small, size in sizes.items() for large in larger[size])


def _thumbnail(path: Path) -> npt.NDArray[np.float64] | None:
    box = Image.Resampling.BOX
    return _looked_at(path, lambda image: np.asarray(image.convert("L").resize(_THUMBNAIL, box), float))


@quiet_decoding
def _looked_at(path: Path, look: Callable[[Image.Image], _Seen]) -> _Seen | None:
    """What is seen in an image; None if it is damaged, which is said when it is read."""
    try:
        with open_image(path) as image:
            return look(image)
    except Exception:  # as for hnas_nni.data.read_image
        return None
