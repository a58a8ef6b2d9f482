"""What trained networks make of images, as a report shows it: details as images inside the page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from hnas_nni.inference.comparison import Comparison, Detail
from hnas_nni.report.comparison_picture import overview

_OVERVIEW_HEIGHT = 480
_OVERVIEW_QUALITY = 88


class Shown(NamedTuple):
    """An image of the page: its address (a data URI), sides in pixels and what a screen reader says."""

    source: str
    width: int
    height: int
    words: str


class ShownDetail(NamedTuple):
    """A detail by one model, its figures as text."""

    name: str
    image: Shown
    figures: str
    best: bool


class ShownComparison(NamedTuple):
    """An image with its details."""

    name: str
    about: str
    overview: Shown
    details: list[ShownDetail]


def shown_comparisons(comparisons: Sequence[Comparison]) -> list[ShownComparison]:
    """Return comparisons as the page's template takes them.

    Details stay as they are, pixel by pixel (PNG); the overview is a small JPEG.
    """
    return [_shown(comparison) for comparison in comparisons]


def _shown(comparison: Comparison) -> ShownComparison:
    name, crop = Path(comparison.name).name, comparison.crop
    about = f"x{comparison.scale}, {crop.width}x{crop.height} pixels at {crop.x},{crop.y}"
    whole = overview(comparison, _OVERVIEW_HEIGHT)
    return ShownComparison(
        name,
        about,
        _image(whole, f"{name}, with the detail framed", "JPEG", quality=_OVERVIEW_QUALITY),
        [_detail(comparison, detail, name) for detail in comparison.details],
    )


def _detail(comparison: Comparison, detail: Detail, name: str) -> ShownDetail:
    figures = "" if detail.score is None else f"{detail.score[0]:.2f} / {detail.score[1]:.4f}"
    words = f"The detail of {name}: {detail.name}"
    return ShownDetail(
        detail.name,
        _image(Image.fromarray(detail.image), words, "PNG", optimize=True),
        figures,
        comparison.is_best(detail),
    )


def _image(image: Image.Image, words: str, format: str, **options: object) -> Shown:
    data = BytesIO()
    image.save(data, format, **options)
    source = f"data:image/{format.lower()};base64,{b64encode(data.getvalue()).decode('ascii')}"
    return Shown(source, image.width, image.height, words)
