"""Comparisons in reports: the very pixels, in a real browser, in light and dark, on desktop and phone."""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from report_browser import WIDTHS, ReportPage
from report_runs import write_run

from hnas_nni.data import ImagePair, bicubic_upsample, load_pairs
from hnas_nni.inference.comparison import Comparison, Crop, compare
from hnas_nni.metrics import psnr_y, ssim_y
from hnas_nni.report.page import write_report
from hnas_nni.searches import open_search

_CROP = Crop(30, 46, 64, 48)
_NAMES = ["LR", "bicubic", "<b>net</b>", "blurred", "HR"]


def _comparison(pair: ImagePair) -> Comparison:
    """Bicubic beside one result that is better and one that is worse."""
    plain = bicubic_upsample(pair.lr, 2)
    better = ((plain.astype(int) + pair.hr) // 2).astype(np.uint8)
    blurred = bicubic_upsample(pair.lr[::2, ::2], 4)[: pair.hr.shape[0], : pair.hr.shape[1]]
    return compare(pair, {"<b>net</b>": better, "blurred": blurred}, crop=_CROP)


@pytest.fixture(scope="module")
def pairs() -> list[ImagePair]:
    """A wide and a tall part of photographs."""
    first, second = load_pairs("embedded:photos", 2, limit=2)
    return [
        ImagePair("wide", first.lr[:60, :100], first.hr[:120, :200]),
        ImagePair("in/tall", second.lr[:100, :60], second.hr[:200, :120]),
    ]


@pytest.fixture(scope="module")
def report(pairs: list[ImagePair], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    history = open_search(write_run(folder / "x2").path).history()
    write_report(history, folder / "without.html")
    write_report(history, folder / "it.html", comparisons=[_comparison(pair) for pair in pairs])
    return folder / "it.html"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_details_are_shown_and_fit(page: ReportPage, report: Path, width: int, theme: str) -> None:
    page.open(report, width=width, theme=theme)
    boxes = page.script(
        "return [...document.querySelectorAll('#comparison img')].map(image => { const box ="
        "image.getBoundingClientRect(); return [image.complete && image.naturalWidth, image.naturalHeight,"
        "box.left, box.right, box.width, box.height, image.alt] })"
    )
    assert len(boxes) == 2 * (1 + len(_NAMES))
    for natural_width, natural_height, left, right, shown_width, shown_height, words in boxes:
        assert natural_width and words
        assert 0 < left < right < width
        assert shown_width / shown_height == pytest.approx(natural_width / natural_height, rel=0.02)
        assert shown_width >= 100
    details = [box for box in boxes if (box[0], box[1]) == (_CROP.width, _CROP.height)]
    assert len({round(box[4]) for box in details}) == 1  # all enlarged alike
    assert page.script("return document.documentElement.scrollWidth") <= width
    assert page.problems() == []
    assert {re.match(r"\w+", url)[0] for url in page.requests()} <= {"file", "data", "blob"}
    page.script("document.getElementById('comparison').scrollIntoView({behavior: 'instant'})")
    page.browser.save_screenshot(str(report.with_name(f"comparison_{width}_{theme}.png")))


def test_pixels_are_those_of_the_images(page: ReportPage, report: Path, pairs: list[ImagePair]) -> None:
    page.open(report)
    sources = page.script("return [...document.querySelectorAll('#comparison .crops img')].map(image => image.src)")
    found = [np.asarray(Image.open(BytesIO(b64decode(source.split(",")[1])))) for source in sources]
    for index, pair in enumerate(pairs):
        low, bicubic, *_, true = found[index * len(_NAMES) : (index + 1) * len(_NAMES)]
        np.testing.assert_array_equal(true, pair.hr[46:94, 30:94])
        np.testing.assert_array_equal(bicubic, bicubic_upsample(pair.lr, 2)[46:94, 30:94])
        np.testing.assert_array_equal(low[::2, ::2], pair.lr[23:47, 15:47])
        np.testing.assert_array_equal(low[1::2, 1::2], pair.lr[23:47, 15:47])


def test_names_figures_and_the_best(page: ReportPage, report: Path, pairs: list[ImagePair]) -> None:
    page.open(report)
    assert "Comparison" in page.texts("nav a")
    assert [text.split()[0] for text in page.texts("#comparison h3")] == ["wide", "tall"]
    assert page.texts("#comparison .model") == _NAMES * 2
    scores = page.texts("#comparison .score")
    assert len(scores) == 2 * 3
    for index, pair in enumerate(pairs):
        bicubic = bicubic_upsample(pair.lr, 2)
        assert scores[3 * index] == f"{psnr_y(bicubic, pair.hr, 2):.2f} / {ssim_y(bicubic, pair.hr, 2):.4f}"
    assert page.texts("#comparison .best .model") == ["<b>net</b>"] * 2


@pytest.mark.slow
def test_a_report_without_has_no_such_section_and_with_grows_little(report: Path) -> None:
    without = report.with_name("without.html").read_text()
    assert 'id="comparison"' not in without and 'href="#comparison"' not in without
    assert report.stat().st_size - len(without.encode()) < 500_000
