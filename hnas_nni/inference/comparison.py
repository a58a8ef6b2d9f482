"""The visual comparison of super-resolution papers: what several models make of a detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hnas_nni.data import ImagePair, bicubic_upsample
from hnas_nni.data.resize import ImageArray
from hnas_nni.metrics import psnr_y, ssim_y
from hnas_nni.settings import CROP_SIZE


class Crop(NamedTuple):
    """A detail of an image, in HR pixels from the upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def of(self, image: ImageArray) -> ImageArray:
        """Return the detail."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


class Detail(NamedTuple):
    """What one model makes of the detail.

    Parameters
    ----------
    name
        The model, or ``"LR"`` or ``"HR"``.
    image
        uint8, (height, width, 3) of the crop; LR pixels are repeated `scale` times.
    score
        PSNR in dB and SSIM on Y of the whole image; None of LR and HR.
    """

    name: str
    image: ImageArray
    score: tuple[float, float] | None = None


@dataclass(frozen=True)
class Comparison:
    """An image, and a detail of it as several models make it.

    Parameters
    ----------
    name
        The image's.
    scale
        Upscaling factor.
    crop
        Where the detail lies.
    hr
        The true image, uint8 (h, w, 3).
    details
        LR, bicubic, the models, HR.
    """

    name: str
    scale: int
    crop: Crop
    hr: ImageArray
    details: tuple[Detail, ...]

    def is_best(self, detail: Detail) -> bool:
        """Whether no other result has a higher PSNR."""
        if detail.score is None:
            return False
        return detail.score[0] == max(other.score[0] for other in self.details if other.score)


def compare(
    pair: ImagePair,
    results: Mapping[str, ImageArray],
    *,
    crop: Crop | None = None,
    crop_size: int = CROP_SIZE,
) -> Comparison:
    """Cut a detail out of what models made of an image, and measure each result.

    Parameters
    ----------
    pair
        The image.
    results
        What the models made of it, by their names: uint8, of the size of HR. Bicubic is added if it is not there.
    crop
        The detail; by default the square of `crop_size` in which the models differ the most
        (:func:`largest_difference`).
    crop_size
        Side of that square in HR pixels; smaller where the image is.

    Raises
    ------
    ValueError
        If a result is of another size than HR, or the detail does not lie within it.
    """
    scale = pair.hr.shape[0] // pair.lr.shape[0]
    by_name = {"bicubic": bicubic_upsample(pair.lr, scale), **results}
    for name, image in by_name.items():
        if image.shape != pair.hr.shape:
            raise ValueError(f"{name}: its result has shape {image.shape}, but HR of {pair.name} has {pair.hr.shape}")
    if crop is None:
        crop = largest_difference(list(by_name.values()), crop_size)
    _check(crop, pair)
    details = [
        Detail("LR", crop.of(pair.lr.repeat(scale, axis=0).repeat(scale, axis=1)).copy()),
        *(
            Detail(name, crop.of(image).copy(), (psnr_y(image, pair.hr, scale), ssim_y(image, pair.hr, scale)))
            for name, image in by_name.items()
        ),
        Detail("HR", crop.of(pair.hr)),
    ]
    return Comparison(pair.name, scale, crop, pair.hr, tuple(details))


def largest_difference(images: Sequence[ImageArray], size: int = CROP_SIZE) -> Crop:
    """Return the square in which images of one thing differ the most: of the largest variance between them.

    Parameters
    ----------
    images
        At least two, uint8 (h, w, 3), of one size. If they all agree, it is the upper left square.
    size
        Side of the square in pixels; it is cut to the image's sides.

    Raises
    ------
    ValueError
        If the size is below 1.
    """
    if size < 1:
        raise ValueError(f"crop size: {size} is not valid; give at least 1 pixel")
    count = len(images)
    first, second = np.zeros(images[0].shape[:2]), np.zeros(images[0].shape[:2])
    for image in images:
        grey = image.mean(axis=2)
        first += grey
        second += grey**2
    variance = np.maximum(second / count - (first / count) ** 2, 0)
    height, width = (min(size, side) for side in variance.shape)
    # Sums over all windows, from sums over all upper left rectangles.
    sums = np.pad(variance.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    windows = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    y, x = np.unravel_index(windows.round(6).argmax(), windows.shape)
    return Crop(int(x), int(y), width, height)


def _check(crop: Crop, pair: ImagePair) -> None:
    height, width = pair.hr.shape[:2]
    if (
        min(crop.width, crop.height) < 1
        or min(crop.x, crop.y) < 0
        or crop.x + crop.width > width
        or crop.y + crop.height > height
    ):
        detail = ",".join(map(str, crop))
        raise ValueError(f"{pair.name}: crop {detail} (x,y,width,height) does not lie within {width}x{height} pixels")
