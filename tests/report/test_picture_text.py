"""Texts in pictures: the fonts that have their characters, and lines that fit."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import pytest
from matplotlib.ft2font import FT2Font

from hnas_nni.report.fonts import font_for
from hnas_nni.report.picture_text import Text

_FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")


def _characters(name: str) -> set[int]:
    return set(FT2Font(_FONTS / name).get_charmap())


@pytest.mark.parametrize("text", ["mini", "ünï ÅØß", "Привет, κόσμε", "★ 33.67 / 0.9303"])
@pytest.mark.parametrize("bold", [False, True])
def test_most_texts_are_drawn_as_they_are(text: str, bold: bool) -> None:
    shown, font = font_for(text, 13, bold=bold)
    assert shown == text
    assert font.getname() == ("DejaVu Sans", "Bold" if bold else "Book")


def test_what_no_font_has_is_an_escape_and_not_a_box() -> None:
    """A character of no script, one of a script of which no font is likely here, a line break, bytes of no encoding."""
    text = "a\U0010fffe\n\udcff b"
    shown, font = font_for(text, 13)
    assert shown == "a\\U0010fffe\\n\\udcff b"
    assert font.getname()[0] == "DejaVu Sans"


def test_installed_fonts_help_out() -> None:
    """One of another font that matplotlib brings along, as those of this machine are not known."""
    lacking = sorted(_characters("STIXGeneral.ttf") - _characters("DejaVuSans.ttf"))
    letter = next(chr(code) for code in lacking if chr(code).isprintable() and chr(code).isalpha())
    shown, font = font_for(f"a{letter}", 13)
    assert shown == f"a{letter}"
    assert ord(letter) in FT2Font(font.path).get_charmap() and ord("a") in FT2Font(font.path).get_charmap()
    assert "Last Resort" not in font.getname()[0]


@pytest.mark.parametrize("width", [60, 150, 400])
def test_lines_fit_and_nothing_is_lost(width: int) -> None:
    for words in ("PSNR (dB) / SSIM", "a_name_without_spaces", "runs/first/best and more"):
        text = Text(words, width)
        _, font = font_for(words, 13)
        assert all(font.getlength(line) <= width for line in text.lines)
        assert "".join(text.lines).replace(" ", "") == words.replace(" ", "")
        assert text.height == 19 * len(text.lines)


def test_words_stay_whole_where_they_fit() -> None:
    assert Text("one two three", 60).lines == ["one two", "three"]


def test_the_middle_of_what_is_far_too_long_is_left_out() -> None:
    lines = Text("first" + "m" * 300 + "last", 100).lines
    assert len(lines) <= 4
    shown = "".join(lines)
    assert shown.startswith("first") and shown.endswith("last") and "..." in shown
