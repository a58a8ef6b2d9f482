"""The visual comparison of super-resolution papers: what several models make of a detail."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hnas_nni.data import ImagePair, bicubic_upsample
from hnas_nni.data.resize import ImageArray
from hnas_nni.files import replacing
from hnas_nni.metrics import psnr_y, ssim_y
from hnas_nni.report.palette import CELL_COLOURS, INK

DEFAULT_CROP = 64
"""Side of the detail that is looked for, in HR pixels."""

_PANEL = 190
"""About how many pixels a detail measures in the picture."""

_GAP, _LINE, _FONT_SIZE = 12, 19, 14
_MARK = CELL_COLOURS["upsampling"]
_WIDEST_OVERVIEW = 1.6


class Crop(NamedTuple):
    """A detail of an image, in HR pixels from the upper left corner."""

    x: int
    y: int
    width: int
    height: int

    def of(self, image: ImageArray) -> ImageArray:
        """Return the detail."""
        return image[self.y : self.y + self.height, self.x : self.x + self.width]


class _Panel(NamedTuple):
    name: str
    image: ImageArray
    score: tuple[float, float] | None


def draw_comparison(
    pair: ImagePair,
    results: Mapping[str, ImageArray],
    path: str | os.PathLike[str] | None = None,
    *,
    crop: Crop | None = None,
    crop_size: int = DEFAULT_CROP,
) -> Image.Image:
    """Draw an image with a detail marked, and beside it the detail in LR, by bicubic, by the models, and in HR.

    Every pixel of a detail is drawn as a square, LR pixels as squares so many times larger. Below stand PSNR and SSIM
    on Y of the whole image, the best ones in colour.

    Parameters
    ----------
    pair
        The image.
    results
        What the models made of it, by their names: uint8, of the size of HR. Bicubic is added if it is not there.
    path
        PNG file to write, whole or not at all.
    crop
        The detail; by default the square of `crop_size` in which the models differ the most
        (:func:`largest_difference`).
    crop_size
        Side of that square in HR pixels; smaller where the image is.

    Returns
    -------
    PIL.Image.Image
        The picture, RGB.

    Raises
    ------
    ValueError
        If a result is of another size than HR, or the detail does not lie within it.
    FileNotFoundError
        If the folder of `path` does not exist.
    """
    scale = pair.hr.shape[0] // pair.lr.shape[0]
    by_name = {"bicubic": bicubic_upsample(pair.lr, scale), **results}
    for name, image in by_name.items():
        if image.shape != pair.hr.shape:
            raise ValueError(f"{name}: its result has shape {image.shape}, but HR of {pair.name} has {pair.hr.shape}")
    if crop is None:
        crop = largest_difference(list(by_name.values()), crop_size)
    _check(crop, pair)
    panels = [
        _Panel("LR", pair.lr.repeat(scale, axis=0).repeat(scale, axis=1), None),
        *(
            _Panel(name, image, (psnr_y(image, pair.hr, scale), ssim_y(image, pair.hr, scale)))
            for name, image in by_name.items()
        ),
        _Panel("HR", pair.hr, None),
    ]
    picture = _compose(pair, panels, crop, scale)
    if path is not None:
        write_png(picture, path)
    return picture


def largest_difference(images: Sequence[ImageArray], size: int = DEFAULT_CROP) -> Crop:
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


def stack(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures below each other, on white."""
    result = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        result.paste(picture, (0, top))
        top += picture.height
    return result


def write_png(picture: Image.Image, path: str | os.PathLike[str]) -> None:
    """Write a PNG file, whole or not at all."""
    with replacing(path) as temporary:
        picture.save(temporary, "PNG", optimize=True)


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


def _compose(pair: ImagePair, panels: Sequence[_Panel], crop: Crop, scale: int) -> Image.Image:
    zoom = max(1, round(_PANEL / max(crop.width, crop.height)))
    panel_width, panel_height = max(crop.width * zoom, 110), crop.height * zoom
    rows = 1 if len(panels) <= 3 else 2
    columns = -(-len(panels) // rows)
    cell_width, cell_height = panel_width + _GAP, panel_height + 2 * _LINE + _GAP
    overview = _overview(pair, crop, rows * cell_height - _GAP - 2 * _LINE)
    picture = Image.new("RGB", (overview.width + 2 * _GAP + columns * cell_width, rows * cell_height + _GAP), "white")
    picture.paste(overview, (_GAP, _GAP))
    caption = (
        f"{Path(pair.name).name} (x{scale})",
        f"{crop.width}x{crop.height} at {crop.x},{crop.y}, enlarged {zoom} times; PSNR (dB) / SSIM of the image",
    )
    for number, line in enumerate(caption):
        _write(picture, line, _GAP, _GAP + overview.height + number * _LINE, overview.width, centred=False)
    best = max((panel.score[0] for panel in panels if panel.score), default=0.0)
    for number, panel in enumerate(panels):
        left = overview.width + 2 * _GAP + number % columns * cell_width
        top = _GAP + number // columns * cell_height
        detail = Image.fromarray(crop.of(panel.image))
        detail = detail.resize((crop.width * zoom, crop.height * zoom), Image.Resampling.NEAREST)
        picture.paste(detail, (left + (panel_width - detail.width) // 2, top))
        _write(picture, panel.name, left, top + panel_height, panel_width)
        if panel.score is not None:
            colour = _MARK if panel.score[0] == best else INK
            figures = f"{panel.score[0]:.2f} / {panel.score[1]:.4f}"
            _write(picture, figures, left, top + panel_height + _LINE, panel_width, colour=colour)
    return picture


def _overview(pair: ImagePair, crop: Crop, height: int) -> Image.Image:
    """The HR image at about a height, with the detail framed."""
    image = Image.fromarray(pair.hr)
    factor = min(height / image.height, _WIDEST_OVERVIEW * height / image.width)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    frame = [round(side * factor) for side in (crop.x, crop.y, crop.x + crop.width, crop.y + crop.height)]
    ImageDraw.Draw(image).rectangle((frame[0] - 1, frame[1] - 1, frame[2], frame[3]), outline=_MARK, width=2)
    return image


def _write(
    picture: Image.Image, text: str, left: int, top: int, width: int, *, colour: str = INK, centred: bool = True
) -> None:
    """Write a line, made smaller or cut where it is too long."""
    draw = ImageDraw.Draw(picture)
    size = _FONT_SIZE
    font = ImageFont.load_default(size)
    while draw.textlength(text, font) > width and size > 9:
        size -= 1
        font = ImageFont.load_default(size)
    shown = text
    while draw.textlength(shown, font) > width and len(shown) > 4:
        text = text[:-1]
        shown = text + "..."
    indent = (width - draw.textlength(shown, font)) / 2 if centred else 0
    draw.text((left + indent, top + 3), shown, fill=colour, font=font)
