"""LR/HR pairs of images: read from a benchmark, or made from HR by the papers' bicubic."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat

from hnas_nni.data.images import read_image
from hnas_nni.data.layouts import find_images
from hnas_nni.data.listing import DataError, ImageFiles
from hnas_nni.data.opening import ImageError
from hnas_nni.data.resize import ImageArray, bicubic_downsample, modcrop

_LOGGER = logging.getLogger(__name__)
_THREADS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, eq=False)
class ImagePair:
    """An image at low and at high resolution.

    Parameters
    ----------
    name
        File name without the ending, with the subfolder where there is one.
    lr
        uint8, (h, w, 3).
    hr
        uint8, (s * h, s * w, 3): exactly the scale s times LR.
    """

    name: str
    lr: ImageArray
    hr: ImageArray


def load_pairs(
    source: str | os.PathLike[str] = "embedded:photos",
    scale: int = 2,
    *,
    minimum_size: int | None = None,
    limit: int | None = None,
    strict: bool = False,
) -> list[ImagePair]:
    """Load the images of a source as LR/HR pairs, in the order of their names (the photographs in their own).

    A source is one of

    - ``"embedded:photos"``: seven colour photographs that are part of the installed scikit-image and scikit-learn;
    - a folder of HR images, subfolders included (hidden ones and links to folders not): LR is made by
      :func:`bicubic_downsample`;
    - a folder in EDSR's layout, ``HR/a.png`` with ``LR_bicubic/X2/ax2.png``, also with DIV2K's names,
      ``DIV2K_train_HR`` and ``DIV2K_train_LR_bicubic/X2`` (given itself, an HR folder is a plain folder);
    - a folder in BasicSR's layout, ``GTmod12/a.png`` with ``LRbicx2/a.png``, or ``HR/a.png`` (``GT``) with ``LR/a.png``
      (``LQ``, ``LR_x2``, ``LR/X2``);
    - a folder in SelfExSR's layout, ``image_SRF_2/a_SRF_2_HR.png`` with ``a_SRF_2_LR.png``, or such an
      ``image_SRF_2``.

    Images are told by their ending or else by their content; what is none is named in the log. HR images are cropped
    to multiples of the scale. An image that cannot be read or is too small is left out with one line of warning in the
    log.

    Parameters
    ----------
    source
        ``"embedded:photos"`` or a folder.
    scale
        Factor between LR and HR, at least 1.
    minimum_size
        Least width and height of the cropped HR image in pixels; by default ``2 * scale + 11``, below
        which SSIM is not defined.
    limit
        Take only so many images, the first ones.
    strict
        Refuse a file that cannot be read or is too small with :class:`UnusableImageError`, instead of leaving it out.

    Returns
    -------
    list of ImagePair
        At least one.

    Raises
    ------
    DataError
        If the folder is missing or empty, an LR image is missing or has another size than HR asks for, there
        are no images at this scale, none can be used, or LR images would be taken for HR ones.
    """
    check_scale(scale)
    return load_files(find_images(source, scale), scale, minimum_size=minimum_size, limit=limit, strict=strict)


class UnusableImageError(DataError):
    """One of a source's images can't be read or is too small; the message names it."""


@contextmanager
def hint_at_skipping() -> Iterator[None]:
    """Let errors on single images tell of the option to leave these out, which commands for long work have."""
    try:
        yield
    except UnusableImageError as error:
        raise UnusableImageError(f"{error}; mend or remove it, or give --skip-unusable") from None


def load_files(
    files: Sequence[ImageFiles],
    scale: int,
    *,
    minimum_size: int | None = None,
    limit: int | None = None,
    strict: bool = False,
) -> list[ImagePair]:
    """Load the listed files in the given order, several at a time; see :func:`load_pairs`.

    Parameters
    ----------
    files
        At least one.
    scale, minimum_size, limit, strict
        As for :func:`load_pairs`; `limit` counts usable images.

    Returns
    -------
    list of ImagePair
        At least one.

    Raises
    ------
    DataError
        As for :func:`load_pairs`.
    """
    if limit is not None and limit < 1:
        raise DataError(f"limit is {limit}; at least 1 image must be loaded")
    minimum_size = max(2 * scale + 11 if minimum_size is None else minimum_size, scale)
    pairs: list[ImagePair] = []
    rest = list(files)
    with ThreadPoolExecutor(_THREADS) as threads:
        while rest and (limit is None or len(pairs) < limit):
            wanted = len(rest) if limit is None else limit - len(pairs)
            batch, rest = rest[:wanted], rest[wanted:]
            for pair in threads.map(_load, batch, repeat(scale), repeat(minimum_size)):
                if isinstance(pair, ImagePair):
                    pairs.append(pair)
                elif strict:
                    raise UnusableImageError(str(pair))
                else:
                    _LOGGER.warning("left out %s", pair)
    if not pairs:
        raise DataError(
            f"{os.path.commonpath([file.hr.parent for file in files])}: none of the {len(files)} images "
            f"can be used; readable images of at least {minimum_size}x{minimum_size} pixels are needed"
        )
    return pairs


def check_scale(scale: int) -> None:
    """Raise DataError unless the scale is a whole number of at least 1."""
    if isinstance(scale, bool) or not isinstance(scale, int) or scale < 1:
        raise DataError(f"the scale must be a whole number of at least 1, not {scale!r}")


def _load(files: ImageFiles, scale: int, minimum_size: int) -> ImagePair | str:
    """The pair, or one line on why it cannot be used."""
    try:
        full = read_image(files.hr)
        lr = None if files.lr is None else read_image(files.lr)
    except ImageError as error:
        return str(error)
    hr = modcrop(full, scale)
    height, width = hr.shape[0] // scale, hr.shape[1] // scale
    if lr is not None:
        # Where HR is no multiple of the scale, MATLAB's LR has one more row or column.
        largest = (-(-full.shape[0] // scale), -(-full.shape[1] // scale))
        if not (height <= lr.shape[0] <= largest[0] and width <= lr.shape[1] <= largest[1]):
            raise DataError(
                f"{files.lr}: is {_size(lr)} pixels, but {files.hr} is {_size(full)}, "
                f"which asks for {width}x{height} at x{scale}; replace one of the two"
            )
    if min(hr.shape[:2]) < minimum_size:
        return f"{files.hr}: {_size(full)} pixels are too few; at least {minimum_size}x{minimum_size} are needed"
    lr = bicubic_downsample(hr, scale) if lr is None else lr[:height, :width]
    return ImagePair(files.name, lr, hr)


def _size(image: ImageArray) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"
