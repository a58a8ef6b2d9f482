"""Comparisons as pictures: the image with the detail marked, and beside it the detail by each model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from hnas_nni.data import ImagePair
from hnas_nni.data.resize import ImageArray
from hnas_nni.files import replacing
from hnas_nni.inference.comparison import Comparison, Crop, compare
from hnas_nni.report.palette import CELL_COLOURS, INK
from hnas_nni.report.picture_text import LINE, Text
from hnas_nni.settings import CROP_SIZE

_PANEL = 190
"""About how many pixels a detail measures in the picture."""

_NARROWEST = 160
"""Room for the figures of the best, in pixels."""

_GAP = 12
_MARK = CELL_COLOURS["upsampling"]
_BEST = "\N{BLACK STAR}"
_LOWEST_OVERVIEW, _WIDEST_OVERVIEW = 200, 1.6


def draw_comparison(
    pair: ImagePair,
    results: Mapping[str, ImageArray],
    path: str | os.PathLike[str] | None = None,
    *,
    crop: Crop | None = None,
    crop_size: int = CROP_SIZE,
) -> Image.Image:
    """Draw an image with a detail marked, and beside it the detail in LR, by bicubic, by the models, and in HR.

    Every pixel of a detail is drawn as a square, LR pixels as squares so many times larger. Below stand PSNR and SSIM
    on Y of the whole image, the best ones with a star.

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
    picture = draw(compare(pair, results, crop=crop, crop_size=crop_size))
    if path is not None:
        write_png(picture, path)
    return picture


def draw(comparison: Comparison) -> Image.Image:
    """Draw a comparison; see :func:`draw_comparison`."""
    crop, details = comparison.crop, comparison.details
    zoom = max(1, round(_PANEL / max(crop.width, crop.height)))
    panel_width, panel_height = max(crop.width * zoom, _NARROWEST), crop.height * zoom
    names = [Text(detail.name, panel_width) for detail in details]
    name_height = max(name.height for name in names)
    rows = 1 if len(details) <= 3 else 2
    columns = -(-len(details) // rows)
    cell_width, cell_height = panel_width + _GAP, panel_height + name_height + LINE + _GAP
    # As high as cells of one line each, whatever the names are, less two lines of caption.
    whole = overview(comparison, max(rows * (panel_height + 2 * LINE + _GAP) - _GAP - 2 * LINE, _LOWEST_OVERVIEW))
    about = [
        f"{Path(comparison.name).name} (x{comparison.scale})",
        f"{crop.width}x{crop.height} at {crop.x},{crop.y}, enlarged {zoom} times; "
        f"PSNR (dB) / SSIM of the image, {_BEST} the best",
    ]
    captions = [Text(line, whole.width, centred=False) for line in about]
    height = max(rows * cell_height, whole.height + sum(caption.height for caption in captions))
    picture = Image.new("RGB", (whole.width + 2 * _GAP + columns * cell_width, height + _GAP), "white")
    picture.paste(whole, (_GAP, _GAP))
    below = _GAP + whole.height
    for caption in captions:
        caption.draw(picture, _GAP, below)
        below += caption.height
    for number, (detail, name) in enumerate(zip(details, names, strict=True)):
        left = whole.width + 2 * _GAP + number % columns * cell_width
        top = _GAP + number // columns * cell_height
        enlarged = Image.fromarray(detail.image)
        enlarged = enlarged.resize((crop.width * zoom, crop.height * zoom), Image.Resampling.NEAREST)
        picture.paste(enlarged, (left + (panel_width - enlarged.width) // 2, top))
        name.draw(picture, left, top + panel_height)
        if detail.score is not None:
            best = comparison.is_best(detail)
            figures = f"{_BEST if best else ''} {detail.score[0]:.2f} / {detail.score[1]:.4f}".strip()
            text = Text(figures, panel_width, colour=_MARK if best else INK, bold=best)
            text.draw(picture, left, top + panel_height + name_height)
    return picture


def overview(comparison: Comparison, height: int) -> Image.Image:
    """Return the true image at about a height in pixels, less where it is wide, with the detail framed."""
    image, crop = Image.fromarray(comparison.hr), comparison.crop
    factor = min(height / image.height, _WIDEST_OVERVIEW * height / image.width)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    image = image.resize(size, Image.Resampling.LANCZOS)
    left, top, right, bottom = (
        round(side * factor) for side in (crop.x, crop.y, crop.x + crop.width, crop.y + crop.height)
    )
    frame = ImageDraw.Draw(image)
    frame.rectangle((left - 2, top - 2, right + 1, bottom + 1), outline="white", width=4)  # seen on any image
    frame.rectangle((left - 1, top - 1, right, bottom), outline=_MARK, width=2)
    return image


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
