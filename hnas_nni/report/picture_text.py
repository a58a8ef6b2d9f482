"""Texts of pictures, broken into lines that fit."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from hnas_nni.report.fonts import font_for
from hnas_nni.report.palette import INK

LINE = 19
"""Height of a line in pixels."""

_SIZE = 13
_MOST_LINES = 4
_LEFT_OUT = "..."


class Text:
    """A text of a certain width.

    Parameters
    ----------
    text
        What is written; if it is too long for four lines, its middle is left out.
    width
        Room for it in pixels.
    colour, bold, centred
        How it is written.

    Attributes
    ----------
    lines
        What is written in each line.
    """

    def __init__(self, text: str, width: int, *, colour: str = INK, bold: bool = False, centred: bool = True) -> None:
        shown, self._font = font_for(text, _SIZE, bold=bold)
        self._width, self._colour, self._centred = width, colour, centred
        self.lines = _broken(shown, self._font, width)
        kept = len(shown) // 2
        while len(self.lines) > _MOST_LINES:
            kept -= 1
            self.lines = _broken(shown[:kept] + _LEFT_OUT + shown[-kept:], self._font, width)

    @property
    def height(self) -> int:
        """Of all lines, in pixels."""
        return LINE * len(self.lines)

    def draw(self, picture: Image.Image, left: int, top: int) -> None:
        """Write it into a picture."""
        draw = ImageDraw.Draw(picture)
        for number, line in enumerate(self.lines):
            indent = round((self._width - self._font.getlength(line)) / 2) if self._centred else 0
            draw.text((left + indent, top + number * LINE + 2), line, fill=self._colour, font=self._font)


def _broken(text: str, font: ImageFont.FreeTypeFont, width: int) -> list[str]:
    """Break a text between words, or within one that is too long for a line."""
    lines = []
    while text:
        fitting = len(text)
        while fitting > 1 and font.getlength(text[:fitting]) > width:
            fitting -= 1
        if fitting < len(text):
            fitting = max(text.rfind(" ", 0, fitting + 1), 0) or fitting
        lines.append(text[:fitting].rstrip())
        text = text[fitting:].lstrip()
    return lines or [""]
