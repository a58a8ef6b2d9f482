"""Measuring models on test sets: PSNR and SSIM on Y, and the time they take."""

from __future__ import annotations

import os
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hnas_nni.data import ImagePair
from hnas_nni.data.resize import ImageArray
from hnas_nni.inference import Model, enlarge, tile_size
from hnas_nni.inference.enlarging import TileSize
from hnas_nni.metrics import psnr_y, ssim_y

_WARM_UP = 32


@dataclass(frozen=True)
class ImageScore:
    """How well and how fast a model reconstructed an image.

    Parameters
    ----------
    image
        Its name.
    psnr
        On Y, in dB; infinite if the images agree.
    ssim
        On Y.
    seconds
        From the LR image in main memory to the SR image in main memory.
    pixels
        Of the HR image.
    tiled
        Whether it was computed in more than one tile.
    """

    image: str
    psnr: float
    ssim: float
    seconds: float
    pixels: int
    tiled: bool


@dataclass(frozen=True)
class SetScore:
    """How a model did on a set of images.

    Parameters
    ----------
    model, dataset
        Their names.
    images
        At least one.
    """

    model: str
    dataset: str
    images: tuple[ImageScore, ...]

    @property
    def psnr(self) -> float:
        """Mean over the images, in dB."""
        return statistics.fmean(score.psnr for score in self.images)

    @property
    def ssim(self) -> float:
        """Mean over the images."""
        return statistics.fmean(score.ssim for score in self.images)

    @property
    def seconds_per_megapixel(self) -> float:
        """Seconds for 10^6 pixels of HR output, over all images together."""
        return seconds_per_megapixel([self])


def evaluate(
    model: Model,
    pairs: Sequence[ImagePair],
    dataset: str = "",
    *,
    tile: TileSize = "auto",
    on_image: Callable[[ImagePair, ImageArray], object] | None = None,
) -> SetScore:
    """Reconstruct the images of a test set and compare with the originals.

    PSNR and SSIM are those of the super-resolution papers (:mod:`hnas_nni.metrics`): on Y, rounded to uint8, without a
    border of `scale` pixels.

    Parameters
    ----------
    model
        What to evaluate.
    pairs
        The set at the model's scale, from :func:`hnas_nni.data.load_pairs`.
    dataset
        Its name.
    tile
        See :func:`hnas_nni.inference.enlarge`.
    on_image
        Called with each pair and its reconstruction, uint8 (s * h, s * w, 3).

    Raises
    ------
    ValueError
        If there is no pair, or a pair is of another scale than the model.
    """
    if not pairs:
        raise ValueError(f"{dataset or 'the set'}: no images to evaluate on")
    for pair in pairs:
        expected = tuple(model.scale * side for side in pair.lr.shape[:2])
        if pair.hr.shape[:2] != expected:
            raise ValueError(
                f"{pair.name}: HR is not {model.scale} times LR, but {model.name} upscales by {model.scale}"
            )
    enlarge(pairs[0].lr[:_WARM_UP, :_WARM_UP], model, tile)  # the first run of all takes longer
    scores = []
    for pair in pairs:
        height, width = pair.lr.shape[:2]
        tiled = tile_size(height, width, model, tile) < max(height, width)
        start = time.perf_counter()
        # The result lies in main memory, so a GPU is done with it.
        sr = enlarge(pair.lr, model, tile)
        seconds = time.perf_counter() - start
        psnr, ssim = psnr_y(sr, pair.hr, model.scale), ssim_y(sr, pair.hr, model.scale)
        scores.append(ImageScore(pair.name, psnr, ssim, seconds, int(np.prod(pair.hr.shape[:2])), tiled))
        if on_image is not None:
            on_image(pair, sr)
    return SetScore(model.name, dataset, tuple(scores))


def seconds_per_megapixel(scores: Sequence[SetScore]) -> float:
    """Return the seconds for 10^6 pixels of HR output, over all images of some sets together."""
    images = [image for score in scores for image in score.images]
    return 1e6 * sum(image.seconds for image in images) / sum(image.pixels for image in images)


def dataset_name(source: str | os.PathLike[str]) -> str:
    """Return what to call a source of images: its folder's name, or the parent's where that only tells the scale."""
    folder = Path(source).resolve() if os.path.exists(source) else Path(source)
    return folder.parent.name if re.fullmatch(r"image_SRF_\d+|HR|GT(mod\d+)?|X\d", folder.name) else folder.name
