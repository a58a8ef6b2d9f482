"""Pictures of cells in reports: large enough to read, and what does not fit says that it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from report_browser import WIDTHS, ReportPage

from hnas_nni import HNAS_A, HNAS_B, Genotype
from hnas_nni.architecture.cells import Cell, Edge
from hnas_nni.report.page import write_report
from hnas_nni.searches.history import SearchHistory

_LEAST = 10
"""CSS pixels of the smallest text."""

# A node reads the one before it: as wide as cells get. All read the inputs: as narrow.
_CHAIN = [1, 1, 2, 2, 3, 3, 4, 4]
_FLAT = [0, 1] * 4


def _genotype(sources: list[int], position: int = 12) -> Genotype:
    cells = [Cell(tuple(Edge(operation, source) for source in sources)) for operation in ("dil_conv_3x3", "subpixel")]
    return Genotype(*cells, position=position)


@pytest.fixture(scope="module", params=["chain", "flat", "many blocks"])
def pictures(request: pytest.FixtureRequest, history: SearchHistory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report whose winner has cells as wide as they get, as narrow, or stands in a network of many blocks."""
    genotype = {"chain": _genotype(_CHAIN), "flat": _genotype(_FLAT), "many blocks": _genotype(_FLAT, 37)}[
        request.param
    ]
    winner = replace(history.ranking[0], genotype=genotype)
    path = tmp_path_factory.mktemp("pictures") / f"{request.param}.html"
    layers = 40 if request.param == "many blocks" else 12
    write_report(replace(history, ranking=(winner, *history.ranking[1:]), layers=layers), path)
    return path


@pytest.mark.parametrize("width", [*WIDTHS.values(), 800], ids=[*WIDTHS, "tablet"])
def test_no_text_of_a_picture_is_small(page: ReportPage, pictures: Path, width: int) -> None:
    page.open(pictures, width=width)
    sizes = page.script(
        "return [...document.querySelectorAll('.hnas-picture text')].map(text => [text.textContent,"
        "parseFloat(getComputedStyle(text).fontSize) * Math.abs(text.closest('svg').getScreenCTM().a)])"
    )
    assert len(sizes) > 50
    assert [text for text, size in sizes if size < _LEAST] == []
    assert page.script("return document.documentElement.scrollWidth") <= width


def _boxes(page: ReportPage) -> Iterator[tuple[str, bool, str]]:
    """Yield of each picture who shows it, whether it is wider than its box, and where the page says there is more."""
    for section in ("winner", "inspector"):
        yield from page.script(
            "return [...document.querySelectorAll(`#${arguments[0]} .scroll`)].map(box =>"
            "[arguments[0], box.scrollWidth > box.clientWidth + 1, box.dataset.more || ''])",
            section,
        )


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_what_does_not_fit_says_so(page: ReportPage, pictures: Path, width: int) -> None:
    page.open(pictures, width=width)
    page.wait(
        "return [...document.querySelectorAll('.scroll')].every(box =>"
        "(box.scrollWidth > box.clientWidth + 1) === ('more' in box.dataset))"
    )
    boxes = list(_boxes(page))
    assert len(boxes) == 5  # two cells and the network, two cells
    assert all(more == ("right" if wider else "") for _, wider, more in boxes)
    assert any(wider for _, wider, _ in boxes) == (width < 600 or pictures.stem == "many blocks")
    words = "getComputedStyle(document.querySelector('#winner .scroll[data-more]'), '::before').content"
    if width < 600:
        assert "scroll sideways" in page.script(f"return {words}")
        box = "document.querySelector('#winner .scroll')"
        page.script(f"{box}.scrollLeft = 1e6")
        page.wait(f"return {box}.dataset.more === 'left'")
        page.script(f"{box}.scrollLeft = 20")
        page.wait(f"return {box}.dataset.more === 'left right'")


def test_pictures_fit_a_sheet_of_paper(page: ReportPage, pictures: Path) -> None:
    sheet = 794  # A4 at 96 pixels an inch
    page.open(pictures, width=sheet)
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        boxes = page.script(
            "return [...document.querySelectorAll('.hnas-picture')].map(e => { const box = e.getBoundingClientRect();"
            "return [box.left, box.right, e.viewBox.baseVal.width * 1.2] })"
        )
    finally:
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert len(boxes) == 5
    for left, right, width in boxes:
        assert left >= 0 and right <= sheet
        assert right - left >= min(width, 0.8 * sheet) - 1


def test_cells_stand_side_by_side_where_they_fit(page: ReportPage, history: SearchHistory, tmp_path: Path) -> None:
    def tops(genotype: Genotype, width: int) -> list[float]:
        write_report(replace(history, ranking=(replace(history.ranking[0], genotype=genotype),)), tmp_path / "it.html")
        page.open(tmp_path / "it.html", width=width)
        boxes = "return [...document.querySelectorAll('#winner .cells svg')].map(e => e.getBoundingClientRect().top)"
        return page.script(boxes)

    flat = tops(_genotype(_FLAT), WIDTHS["desktop"])
    assert flat[0] == flat[1]
    for genotype, width in ((HNAS_B, WIDTHS["desktop"]), (_genotype(_FLAT), WIDTHS["phone"])):
        upper, lower = tops(genotype, width)
        assert upper < lower


def test_both_cells_are_drawn_to_the_same_scale(page: ReportPage, history: SearchHistory, tmp_path: Path) -> None:
    wide, narrow = _genotype(_CHAIN), _genotype(_FLAT)
    mixed = Genotype(wide.normal, narrow.upsampling, HNAS_A.position)
    write_report(replace(history, ranking=(replace(history.ranking[0], genotype=mixed),)), tmp_path / "it.html")
    page.open(tmp_path / "it.html")
    first, second = page.script(
        "return [...document.querySelectorAll('#winner .cells svg')].map(e => [e.getScreenCTM().a, e.clientWidth])"
    )
    assert first[0] == pytest.approx(second[0], rel=0.01)
    assert first[1] > 1.5 * second[1]
