"""Texts in pictures: the fonts that have their characters, and lines that fit."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font

from hnas_nni.data import ImagePair
from hnas_nni.inference.comparison import Comparison, Crop, compare
from hnas_nni.report.comparison_picture import draw_comparison, drawable

_FONTS = Path(matplotlib.get_data_path(), "fonts", "ttf")


def _characters(name: str) -> set[int]:
    return set(FT2Font(_FONTS / name).get_charmap())


def _named(name: str) -> Comparison:
    image = np.full((64, 64, 3), 90, np.uint8)
    return compare(ImagePair("it", image[::2, ::2], image), {name: image}, crop=Crop(0, 0, 64, 64))


def _lines(name: str) -> list[str]:
    """Return the lines that a model's name takes in a picture."""
    written = [text.get_text() for text in draw_comparison(_named(name)).texts]
    figures = [index for index, text in enumerate(written) if " / 1.0000" in text]  # of bicubic and of the model
    return written[figures[0] + 1 : figures[1]]


@pytest.mark.parametrize("text", ["mini", "ünï ÅØß", "Привет, κόσμε", "★ 33.67 / 0.9303", "$x$ 100 %"])
def test_most_texts_are_drawn_as_they_are(text: str) -> None:
    assert drawable(text) == (text, ["DejaVu Sans"])
    assert _lines(text) == [text]


def test_what_no_font_has_is_an_escape_and_not_a_box() -> None:
    """A character of no script, one of a script of which no font is likely here, a line break, bytes of no encoding."""
    assert drawable("a\U0010fffe\n\udcff b") == ("a\\U0010fffe\\n\\udcff b", ["DejaVu Sans"])


def test_installed_fonts_help_out() -> None:
    """One of another font that matplotlib brings along, as those of this machine are not known."""
    lacking = sorted(_characters("STIXGeneral.ttf") - _characters("DejaVuSans.ttf"))
    letter = next(chr(code) for code in lacking if chr(code).isprintable() and chr(code).isalpha())
    shown, families = drawable(f"a{letter}")
    assert shown == f"a{letter}"
    assert families[0] == "DejaVu Sans" and "Last Resort" not in families[1]
    assert ord(letter) in FT2Font(findfont(families[1])).get_charmap()


@pytest.mark.parametrize("words", ["PSNR (dB) / SSIM", "a_name_without_spaces" * 2, "runs/first/best and more " * 2])
def test_nothing_is_lost(words: str) -> None:
    assert "".join(_lines(words)).replace(" ", "") == words.replace(" ", "")


def test_words_stay_whole_where_they_fit() -> None:
    words = "the first of a few lines of somewhat longwinded words"
    lines = _lines(words)
    assert len(lines) > 1 and " ".join(lines) == words


def test_the_middle_of_what_is_far_too_long_is_left_out() -> None:
    lines = _lines("first" + "m" * 300 + "last")
    assert len(lines) <= 4
    shown = "".join(lines)
    assert shown.startswith("first") and shown.endswith("last") and "..." in shown
