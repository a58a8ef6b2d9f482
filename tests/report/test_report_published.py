"""Published networks beside a search: only what can be compared stands on one axis, and names can be read."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from report_browser import WIDTHS, ReportPage
from report_runs import SIZES

from hnas_nni import HNAS_A, HNAS_B, HNAS_C
from hnas_nni.cost import count
from hnas_nni.report.page import write_report
from hnas_nni.report.page.trade_off import trade_off_figure
from hnas_nni.report.published_results import PUBLISHED_RESULTS, TODAYS_REFERENCES
from hnas_nni.searches.history import SearchHistory


def _figure(page: ReportPage, name: str) -> tuple[dict[str, Any], dict[str, float], str]:
    """Return a figure's traces by their roles, its marks on the cost axis (G) by name, and the axis' type."""
    traces, marks, kind = page.script(
        "const {data, layout} = document.querySelector(`[data-figure=${arguments[0]}]`);"
        "return [Object.fromEntries(data.map(t => [t.meta.role, {x: t.x, y: t.y, text: t.text, hover: t.hovertext}])),"
        "(layout.annotations || []).map(a => [a.text, a.x]), layout.xaxis.type]",
        name,
    )
    return traces, {text: 10**x if kind == "log" else x for text, x in marks}, kind


def test_published_figures_keep_off_the_axis_of_the_search(
    page: ReportPage, report: Path, history: SearchHistory
) -> None:
    page.open(report)
    traces, marks, _ = _figure(page, "trade-off")
    assert "published" not in traces and marks == {}
    traces, costs, kind = _figure(page, "published")
    assert (list(traces), kind) == (["published"], "log")
    # The table of costs in the README, counted on the networks themselves.
    assert costs["HNAS-A"] == pytest.approx(306.3 + 51.0, abs=0.2)
    assert costs["HNAS-C"] == pytest.approx(558.8 + 67.9, abs=0.2)
    assert costs["winner at C = 64"] == pytest.approx(count(history.winner.genotype).gmacs)
    (note,) = [text for text in page.texts("#published p") if "no place on that axis" in text]
    assert "Set5" in note


def test_the_papers_cells_are_marked_where_the_search_measured_them(
    page: ReportPage, report: Path, history: SearchHistory
) -> None:
    page.open(report)
    paper = _figure(page, "trade-off")[0]["paper"]
    assert paper["text"] == ["A", "B", "C"]
    assert paper["hover"] == ["HNAS-A", "HNAS-B", "HNAS-C"]
    assert paper["y"] == [entry.psnr for entry in history.published]
    assert paper["x"] == [count(genotype, **SIZES).gmacs for genotype in (HNAS_A, HNAS_B, HNAS_C)]
    assert f"L = {SIZES['layers']}" in page.texts("#published p")[0]
    assert "here" not in page.texts("#published p")[0]  # none was moved
    assert page.texts("#table tbody td:first-child")[-1] == str(len(history.ranking))


def test_without_being_asked_for_they_are_not_there(page: ReportPage, history: SearchHistory, tmp_path: Path) -> None:
    write_report(history, tmp_path / "it.html")
    page.open(tmp_path / "it.html")
    assert "paper" not in _figure(page, "trade-off")[0]
    assert "HNAS-A" not in (tmp_path / "it.html").read_text().split('id="data"')[0]


@pytest.mark.parametrize("layers", [12, 11, 6])
def test_where_no_psnr_was_measured_their_costs_are_marked(
    page: ReportPage, history: SearchHistory, tmp_path: Path, layers: int
) -> None:
    """As of an experiment of NNI. In smaller networks the position is moved, and said."""
    ranking = tuple(entry for entry in history.ranking if entry.genotype.position <= layers)
    write_report(
        replace(history, ranking=ranking, layers=layers, measured=(), published=()),
        tmp_path / "it.html",
        published=True,
    )
    page.open(tmp_path / "it.html")
    costs = _figure(page, "trade-off")[1]
    expected = {}
    for name, genotype in (("HNAS-A", HNAS_A), ("HNAS-B", HNAS_B), ("HNAS-C", HNAS_C)):
        position = min(genotype.position, layers)
        title = name if position == genotype.position else f"{name} at position {position}"
        expected[title] = count(replace(genotype, position=position), **{**SIZES, "layers": layers}).gmacs
    assert costs == pytest.approx(expected)
    note = page.texts("#published p")[0]
    assert ("at the last of 11 blocks" in note, "at the last of 6 blocks" in note) == (layers == 11, layers == 6)
    assert ("HNAS-A, HNAS-B, HNAS-C do" in note, "here HNAS-B, HNAS-C do" in note) == (layers == 6, layers == 11)


def test_the_table_says_what_the_numbers_are(page: ReportPage, report: Path) -> None:
    page.open(report)
    marks = _figure(page, "published")[0]["published"]
    rows = page.script(
        "return [...document.querySelectorAll('#networks tbody tr')].map(row => [...row.cells].map(c => c.textContent))"
    )
    by_method = {result.method: result for result in PUBLISHED_RESULTS}
    numbered = [row for row in rows if row[0].isdigit()]
    assert [row[0] for row in numbered] == marks["text"]
    for row, x, y, hover in zip(numbered, marks["x"], marks["y"], marks["hover"], strict=True):
        result = by_method.pop(row[1])
        assert (x, y, hover) == (result.gmacs, result.scores["Set5"][0], result.method)
        assert (row[2], row[3]) == (f"{result.gmacs:,.1f}", f"{result.kilo_params:,}K")
        psnr, ssim = result.scores["Set5"]
        assert (row[4], row[5]) == (f"{psnr:.2f}", f"{ssim:.4f}")
    todays = {result.method: f"{result.scores['Set5'][0]:.2f}" for result in TODAYS_REFERENCES}
    assert set(by_method) == {"Bicubic", *todays}  # interpolation costs nothing, and today's have no mark
    rows = rows[len(numbered) :]
    assert {row[1]: row[4] for row in rows[: len(todays)]} == todays
    rows = rows[len(todays) :]
    assert [row[1] for row in rows] == ["HNAS-A", "HNAS-B", "HNAS-C", "winner at C = 64"]
    assert rows[0][3] == "974K"


def test_costs_far_from_the_searchs_own_make_a_logarithmic_axis(history: SearchHistory) -> None:
    gmacs = max(entry.gmacs for entry in history.ranking)
    alike = replace(
        history, ranking=tuple(replace(entry, gmacs=gmacs) for entry in history.ranking), measured=(), published=()
    )
    assert trade_off_figure(alike, {"near": gmacs / 2}).layout.xaxis.type == "linear"
    assert trade_off_figure(alike, {"far": gmacs / 20}).layout.xaxis.type == "log"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_no_name_or_mark_lies_on_another(page: ReportPage, report: Path, width: int, theme: str) -> None:
    page.open(report, width=width, theme=theme)
    boxes = page.script(
        "return [...document.querySelectorAll('[data-figure=published] :is(.annotation-text, path.point)')].map(e => {"
        "const {left, right, top, bottom} = e.getBoundingClientRect();"
        "return [e.textContent || 'mark', left, right, top, bottom] })"
    )
    assert len(boxes) == 4 + 10
    for one, other in combinations(boxes, 2):
        across = min(one[2], other[2]) - max(one[1], other[1])
        down = min(one[4], other[4]) - max(one[3], other[3])
        assert across <= 0 or down <= 1, (one, other)
    assert all(left >= 0 and right <= width for _, left, right, _, _ in boxes)
    colours = page.script(
        "const mark = document.querySelector('[data-figure=published] path.point');"
        "const text = document.querySelector('[data-figure=published] .textpoint text');"
        "return [getComputedStyle(mark).fill, getComputedStyle(text).fill]"
    )
    assert colours[0] != colours[1]


def test_costs_of_equal_networks_keep_their_names_apart(
    page: ReportPage, history: SearchHistory, tmp_path: Path
) -> None:
    """The winner costs what HNAS-C costs, at the right end of the search's axis."""
    winner = replace(history.ranking[0], genotype=HNAS_C)
    write_report(
        replace(history, ranking=(winner, *history.ranking[1:]), published=()), tmp_path / "it.html", published=True
    )
    for width in WIDTHS.values():
        page.open(tmp_path / "it.html", width=width)
        for figure in ("trade-off", "published"):
            boxes = page.script(
                "return [...document.querySelectorAll(`[data-figure=${arguments[0]}] .annotation-text`)].map(e => {"
                "const {left, right, top, bottom} = e.getBoundingClientRect(); return [left, right, top, bottom] })",
                figure,
            )
            assert len(boxes) == (3 if figure == "trade-off" else 4)
            for one, other in combinations(boxes, 2):
                across = min(one[1], other[1]) - max(one[0], other[0])
                down = min(one[3], other[3]) - max(one[2], other[2])
                assert across <= 0 or down <= 1
            assert all(math.isfinite(left) and left >= 0 and right <= width for left, right, _, _ in boxes)
