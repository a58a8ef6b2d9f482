"""Fonts for the texts of pictures: DejaVu, which comes with matplotlib, and installed ones for what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

_PLACEHOLDERS = "Last Resort"
"""Fonts of this name have a box for every character."""


def font_for(text: str, size: float, *, bold: bool = False) -> tuple[str, ImageFont.FreeTypeFont]:
    """Return a text as it can be drawn, and a font that has all of its characters.

    Characters that neither DejaVu nor a font installed on this machine has are written as escapes, ``\\u65e5``.
    """
    own = Path(matplotlib.get_data_path(), "fonts", "ttf", f"DejaVuSans{'-Bold' if bold else ''}.ttf")
    for file in (own, *_installed(set(text) - _characters(own))):
        if _characters(file).issuperset(text):
            return text, ImageFont.truetype(file, size)
    known = _characters(own)
    shown = "".join(letter if letter in known else letter.encode("unicode_escape").decode() for letter in text)
    return shown, ImageFont.truetype(own, size)


@cache
def _characters(file: Path) -> frozenset[str]:
    return frozenset(map(chr, FT2Font(str(file)).get_charmap()))


def _installed(lacking: set[str]) -> Iterator[Path]:
    """Yield the fonts of this machine, if characters are lacking; the list takes a while to make."""
    if not lacking or not all(letter.isprintable() for letter in lacking):
        return
    from matplotlib.font_manager import fontManager

    for entry in sorted(fontManager.ttflist, key=lambda entry: (entry.weight != 400, entry.style != "normal")):
        if not entry.name.startswith(_PLACEHOLDERS):
            yield Path(entry.fname)
