"""Comparisons as pictures: the image with the detail marked, and beside it the detail by each model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, fontManager
from matplotlib.ft2font import FT2Font
from matplotlib.transforms import IdentityTransform
from PIL import Image, ImageDraw

from hnas_nni.data.resize import ImageArray
from hnas_nni.inference.comparison import Comparison
from hnas_nni.report.palette import CELL_COLOURS, INK

_DOTS = 72  # in an inch: a point is a pixel
_PANEL = 190
"""About how many pixels a detail measures in the picture."""

_NARROWEST = 160
"""Room for the figures of the best, in pixels."""

_GAP = 12
_LINE = 19
_LETTERS = 13
_MOST_LINES = 4
_LEFT_OUT = "..."
_MARK = CELL_COLOURS["upsampling"]
_BEST = "\N{BLACK STAR}"
_LOWEST_OVERVIEW, _WIDEST_OVERVIEW = 200, 1.6
_FAMILY = "DejaVu Sans"  # comes with matplotlib


def draw_comparisons(comparisons: Sequence[Comparison]) -> Image.Image:
    """Draw comparisons below each other, each as :func:`draw_comparison` does; RGB."""
    pictures = []
    for comparison in comparisons:
        canvas = FigureCanvasAgg(draw_comparison(comparison))
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba())[..., :3])
    width = max(picture.shape[1] for picture in pictures)
    beside = [((0, 0), (0, width - picture.shape[1]), (0, 0)) for picture in pictures]
    padded = [np.pad(picture, room, constant_values=255) for picture, room in zip(pictures, beside, strict=True)]
    return Image.fromarray(np.concatenate(padded))


def draw_comparison(comparison: Comparison) -> Figure:
    """Draw an image with the detail marked, and beside it the detail in LR, by bicubic, by the models, and in HR.

    Every pixel of a detail is drawn as a square, LR pixels as squares so many times larger. Below stand PSNR and SSIM
    on Y of the whole image, the best ones with a star. At the figure's own 72 dots an inch its points are pixels.
    """
    crop, details = comparison.crop, comparison.details
    zoom = max(1, round(_PANEL / max(crop.width, crop.height)))
    panel_width, panel_height = max(crop.width * zoom, _NARROWEST), crop.height * zoom
    names = [_broken(detail.name, panel_width) for detail in details]
    name_height = _LINE * max(len(lines) for lines, _ in names)
    rows = 1 if len(details) <= 3 else 2
    columns = -(-len(details) // rows)
    cell_width, cell_height = panel_width + _GAP, panel_height + name_height + _LINE + _GAP
    # As high as cells of one line each, whatever the names are, less two lines of caption.
    whole = overview(comparison, max(rows * (panel_height + 2 * _LINE + _GAP) - _GAP - 2 * _LINE, _LOWEST_OVERVIEW))
    about, font = _broken(
        f"{crop.width}x{crop.height} at {crop.x},{crop.y}, enlarged {zoom} times; "
        f"PSNR (dB) / SSIM of the image, {_BEST} the best",
        whole.width,
    )
    title, title_font = _broken(f"{Path(comparison.name).name} (x{comparison.scale})", whole.width)
    height = max(rows * cell_height, whole.height + _LINE * len([*title, *about])) + _GAP
    figure = Figure(((whole.width + 2 * _GAP + columns * cell_width) / _DOTS, height / _DOTS), _DOTS, facecolor="white")
    _place(figure, np.asarray(whole), _GAP, _GAP)
    _write(figure, title, title_font, _GAP, _GAP + whole.height)
    _write(figure, about, font, _GAP, _GAP + whole.height + _LINE * len(title))
    for number, (detail, (lines, font)) in enumerate(zip(details, names, strict=True)):
        middle = whole.width + 2 * _GAP + number % columns * cell_width + panel_width // 2
        top = _GAP + number // columns * cell_height
        enlarged = detail.image.repeat(zoom, axis=0).repeat(zoom, axis=1)
        _place(figure, enlarged, middle - crop.width * zoom // 2, top)
        _write(figure, lines, font, middle, top + panel_height, ha="center")
        if detail.score is not None:
            best = comparison.is_best(detail)
            figures = f"{_BEST} " * best + f"{detail.score[0]:.2f} / {detail.score[1]:.4f}"
            font = FontProperties(family=_FAMILY, size=_LETTERS, weight="bold" if best else "normal")
            top += panel_height + name_height
            _write(figure, [figures], font, middle, top, color=_MARK if best else INK, ha="center")
    return figure


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


def _place(figure: Figure, image: ImageArray, left: int, top: int) -> None:
    """Put an image into a figure, pixel by pixel."""
    figure.figimage(image, left, round(figure.bbox.height) - top - image.shape[0], origin="upper")


def _write(
    figure: Figure, lines: list[str], font: FontProperties, x: int, top: int, *, color: str = INK, ha: str = "left"
) -> None:
    """Write lines into a figure."""
    for number, line in enumerate(lines):
        y = figure.bbox.height - top - (number + 0.75) * _LINE
        text = figure.text(x, y, line, color=color, ha=ha, font=font, transform=IdentityTransform())
        text.set_parse_math(False)


def _broken(text: str, width: int) -> tuple[list[str], FontProperties]:
    """Break a text into lines of a width in pixels, its middle left out if it is too long; return its font too."""
    text, families = drawable(text)
    font = FontProperties(family=families, size=_LETTERS)
    renderer = FigureCanvasAgg(Figure(dpi=_DOTS)).get_renderer()

    def measure(line: str) -> float:
        return max(1.0, renderer.get_text_width_height_descent(line, font, ismath=False)[0])

    fitting = max(1, int(len(text) * width / measure(text)))
    if len(text) > _MOST_LINES * fitting:
        kept = _MOST_LINES * fitting // 2 - len(_LEFT_OUT)
        text = text[:kept] + _LEFT_OUT + text[-kept:]
    lines = wrap(text, fitting, max_lines=_MOST_LINES, placeholder=_LEFT_OUT) or [""]
    font.set_size(_LETTERS * min(1.0, width / max(map(measure, lines))))  # smaller if a line has wide letters
    return lines, font


def drawable(text: str) -> tuple[str, list[str]]:
    """Return a text as it can be drawn, and its fonts: DejaVu Sans, and installed ones that have what it lacks.

    Characters that no font has are written as escapes, ``\\u65e5``.
    """
    known, families = _characters(findfont(_FAMILY)), [_FAMILY]
    wanted = frozenset(filter(str.isprintable, text))
    for font in fontManager.ttflist:
        # "Last Resort" has a box for every character.
        if wanted - known and not font.name.startswith("Last Resort") and (wanted - known) & _characters(font.fname):
            families.append(font.name)
            known |= _characters(font.fname)
    known &= wanted
    return "".join(letter if letter in known else letter.encode("unicode_escape").decode() for letter in text), families


@cache
def _characters(file: str) -> frozenset[str]:
    return frozenset(map(chr, FT2Font(file).get_charmap()))
