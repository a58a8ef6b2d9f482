"""Reports in a real browser, without a network: drawn, usable, legible, in light and dark, on desktop and phone."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from nni_experiment import RunningExperiment
from report_browser import WIDTHS, ReportPage
from report_runs import ARCHITECTURES, EPOCHS, write_run
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from hnas_nni import HNAS_A, Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.report.page import write_report
from hnas_nni.searches import open_search
from hnas_nni.searches.history import SearchHistory

FIGURES = ["progress", "entropy", "position", "trade-off", "published"]


def operations(genotype: Genotype) -> Counter[str]:
    """Return how often the pictures of an architecture name each operation."""
    return Counter(OPERATIONS[edge.operation].label for _, cell in genotype.cells() for edge in cell.edges)


def shown_operations(page: ReportPage, selector: str) -> Counter[str]:
    """Return how often the pictures in an element name each operation."""
    labels = {operation.label for operation in OPERATIONS.values()}
    return Counter(text for text in page.texts(f"{selector} svg text") if text in labels)


def marker(page: ReportPage, rank: int) -> object:
    """Return the point of an architecture in the figure of the trade-off."""
    script = (
        "const plot = document.querySelector('[data-figure=trade-off]');"
        "for (const [i, trace] of plot.data.entries()) { const at = (trace.customdata || []).indexOf(arguments[0]);"
        "if (at >= 0) return plot.querySelectorAll('.scatterlayer .trace')[i].querySelectorAll('path.point')[at]; }"
    )
    element = page.script(script, rank)
    page.script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", element)
    return element


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_draws_everything_without_a_network(page: ReportPage, report: Path, width: int, theme: str) -> None:
    page.open(report, width=width, theme=theme)
    drawn = page.script(
        "return Object.fromEntries([...document.querySelectorAll('[data-figure]')].map(e =>"
        "[e.dataset.figure, e.querySelectorAll('path.point, path.js-line, .heatmaplayer image').length]))"
    )
    assert set(drawn) == set(FIGURES)
    assert min(drawn.values()) >= 1
    assert drawn["progress"] >= 3 * EPOCHS
    assert page.script("return document.documentElement.scrollWidth") <= width
    assert page.problems() == []
    assert {re.match(r"\w+", url)[0] for url in page.requests()} <= {"file", "data", "blob"}
    page.browser.save_screenshot(str(report.with_name(f"{width}_{theme}.png")))


class _Loads(HTMLParser):
    """Collects what elements of a page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster", "style"):
                self.found.append(f"{tag} {name}={value}")


def test_the_file_refers_to_nothing_outside(report: Path) -> None:
    text = report.read_text()
    parser = _Loads()
    parser.feed(text)
    outside = [load for load in parser.found if not re.search(r"=(#|data:)", load)]
    assert parser.found and outside == []
    styles = "".join(re.findall(r"<style>(.*?)</style>", text, flags=re.S))
    assert "url(" not in styles and "@import" not in styles
    assert "default-src 'none'" in text  # the browser itself refuses what slips through
    assert len(text) < 3e6  # Plotly's script alone is 4.8 MB


def test_summary_has_the_winners_figures(page: ReportPage, report: Path, history: SearchHistory) -> None:
    page.open(report)
    winner = history.ranking[0]
    values = page.texts(".tile .value")
    expected = [f"{winner.reward:.3f}", f"{winner.psnr:.2f}", f"{winner.gmacs:.2f}", f"{winner.params:,}"]
    assert values == [*expected, str(winner.genotype.position)]
    assert page.texts("h1 .state") == ["finished"]
    assert f"{EPOCHS} of {EPOCHS} epochs in 8 min 20 s" in page.texts(".lead")[0]
    assert shown_operations(page, "#winner") == operations(winner.genotype)
    settings = dict(zip(page.texts("#settings .scroll th"), page.texts("#settings .scroll td"), strict=True))
    assert settings["note"] == "<b>&</b></script>"
    assert json.loads(page.texts("#configuration")[0]) == history.settings


def test_pointing_and_clicking_show_an_architectures_cells(
    page: ReportPage, report: Path, history: SearchHistory
) -> None:
    page.open(report)
    for rank in (4, 2):
        ActionChains(page.browser).move_to_element(marker(page, rank)).perform()
        page.wait("return document.getElementById('inspector').dataset.rank === String(arguments[0])", rank)
        assert shown_operations(page, "#inspector") == operations(history.ranking[rank].genotype)
    ActionChains(page.browser).move_to_element(marker(page, 5)).click().perform()
    page.wait("return document.querySelectorAll('#inspector button').length === 2")
    ActionChains(page.browser).move_to_element(marker(page, 3)).perform()
    assert page.texts("#inspector h3") == [f"6. {history.ranking[5].name}"]  # stays
    assert page.texts("#table tr.chosen td:first-child") == ["6"]


def test_architectures_beside_the_ranking_show_their_cells_too(
    page: ReportPage, report: Path, history: SearchHistory
) -> None:
    page.open(report)
    for place, title in (
        (ARCHITECTURES + EPOCHS, "Architecture of epoch"),
        (ARCHITECTURES + EPOCHS + 1, "HNAS-A"),
    ):
        ActionChains(page.browser).move_to_element(marker(page, place)).perform()
        page.wait("return document.getElementById('inspector').dataset.rank === String(arguments[0])", place)
        assert page.texts("#inspector h3")[0].startswith(title)
    assert shown_operations(page, "#inspector") == operations(HNAS_A)
    assert page.texts("#table tr.chosen") == []


def test_the_page_agrees_with_the_ranking(page: ReportPage, report: Path, history: SearchHistory) -> None:
    page.open(report)
    points = page.script(
        "return document.querySelector('[data-figure=trade-off]').data.filter(trace => trace.customdata)"
        ".flatMap(trace => trace.customdata.map((rank, i) => [rank, trace.x[i], trace.y[i], trace.meta.role]))"
    )
    by_rank = {rank: (x, y) for rank, x, y, _ in points}
    assert by_rank == {rank: (entry.gmacs, entry.psnr) for rank, entry in enumerate(history.architectures)}
    by_role = Counter(role for _, _, _, role in points)
    assert (by_role["measured"], by_role["paper"]) == (EPOCHS + 1, 3)
    assert history.architectures[:ARCHITECTURES] == history.ranking
    rows = page.script(
        "return [...document.querySelectorAll('#table tbody tr')].map(row => row.innerText.split('\\t'))"
    )
    assert [row[0] for row in rows] == [str(place) for place in range(1, ARCHITECTURES + 1)]
    expected = read_pareto(history)
    assert {int(row[0]) - 1 for row in rows if row[6] == "yes"} == expected
    assert {rank for rank, _, _, role in points if role == "pareto"} == expected


def read_pareto(history: SearchHistory) -> set[int]:
    """Return the Pareto set by comparing every two architectures."""
    figures = [(entry.psnr, -entry.gmacs) for entry in history.ranking]
    return {
        index
        for index, one in enumerate(figures)
        if not any(other != one and other[0] >= one[0] and other[1] >= one[1] for other in figures)
    }


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("position 5", lambda genotype: genotype.position == 5),
        ("Position: 11", lambda genotype: genotype.position == 11),
        ("position 99", lambda genotype: False),
        ("sep. conv 5x5", lambda genotype: "sep_conv_5x5" in used(genotype)),
        ("sep conv 5x5 position 11", lambda genotype: "sep_conv_5x5" in used(genotype) and genotype.position == 11),
        ("dil_conv_3", lambda genotype: False),
        ("dil_con", lambda genotype: bool({"dil_conv_3x3", "dil_conv_5x5"} & used(genotype))),
        ("up-down sub-pixel", lambda genotype: {"up_down_projection", "subpixel"} <= used(genotype)),
        ("architecture 1", None),
    ],
)
def test_a_search_in_the_table_finds_what_it_says(
    page: ReportPage, report: Path, history: SearchHistory, query: str, wanted: Callable[[Genotype], bool] | None
) -> None:
    page.open(report)
    page.browser.find_element(By.ID, "search").send_keys(query)
    expected = [
        str(place)
        for place, entry in enumerate(history.ranking, start=1)
        if (place == 1 if wanted is None else wanted(entry.genotype))
    ]
    assert page.texts("#table tbody td:first-child") == expected


def used(genotype: Genotype) -> set[str]:
    """Return the operations of an architecture."""
    return {edge.operation for _, cell in genotype.cells() for edge in cell.edges}


def test_the_table_is_filtered_by_position(page: ReportPage, report: Path, history: SearchHistory) -> None:
    page.open(report)
    positions = [entry.genotype.position for entry in history.ranking]
    select = Select(page.browser.find_element(By.ID, "at-position"))
    assert [option.text for option in select.options] == ["any", *map(str, sorted(set(positions)))]
    select.select_by_visible_text("11")
    expected = [str(place) for place, position in enumerate(positions, start=1) if position == 11]
    assert 0 < len(expected) < ARCHITECTURES
    assert page.texts("#table tbody td:first-child") == expected
    assert page.texts("#matches") == [f"{len(expected)} of {ARCHITECTURES} architectures"]
    select.select_by_visible_text("any")
    assert len(page.texts("#table tbody tr")) == ARCHITECTURES


def test_the_table_is_searched_and_sorted_by_keyboard(page: ReportPage, report: Path, history: SearchHistory) -> None:
    page.open(report)
    search = page.browser.find_element(By.ID, "search")
    search.send_keys("rcab SUBPIXEL")
    both = [
        str(place)
        for place, entry in enumerate(history.ranking, start=1)
        if {"rcab", "subpixel"} <= used(entry.genotype)
    ]
    assert 0 < len(both) < ARCHITECTURES
    assert page.texts("#table tbody td:first-child") == both
    assert page.texts("#matches") == [f"{len(both)} of {ARCHITECTURES} architectures"]
    search.send_keys(Keys.CONTROL, "a", Keys.NULL, Keys.DELETE)
    assert len(page.texts("#table tbody tr")) == ARCHITECTURES

    (head,) = [th for th in page.browser.find_elements(By.CSS_SELECTOR, "#table th") if th.text.startswith("GMAC")]
    button = head.find_element(By.TAG_NAME, "button")
    for order, sign in (("descending", -1), ("ascending", 1)):
        button.send_keys(Keys.ENTER)
        assert head.get_attribute("aria-sort") == order
        ranks = sorted(range(ARCHITECTURES), key=lambda rank: sign * history.ranking[rank].gmacs)
        assert page.texts("#table tbody td:first-child") == [str(rank + 1) for rank in ranks]


def test_cells_are_shown_without_a_figure_of_psnr_and_cost(
    page: ReportPage, history: SearchHistory, tmp_path: Path
) -> None:
    """As of trials that report a reward alone."""
    ranking = tuple(replace(entry, psnr=None, gmacs=None) for entry in history.ranking)
    write_report(replace(history, ranking=ranking, measured=(), published=()), tmp_path / "it.html")
    page.open(tmp_path / "it.html")
    assert page.texts("#trade-off .empty") == ["No architecture has both a PSNR and multiply-adds."]
    page.browser.find_elements(By.CSS_SELECTOR, "#table button.show")[2].send_keys(Keys.ENTER)
    page.wait("return document.activeElement.id === 'inspector'")
    assert shown_operations(page, "#inspector") == operations(ranking[2].genotype)
    assert page.problems() == []


def test_an_architecture_without_picture_is_told_in_words(
    page: ReportPage, report: Path, history: SearchHistory
) -> None:
    page.open(report)
    button = page.browser.find_elements(By.CSS_SELECTOR, "#table button.show")[-1]
    button.send_keys(Keys.ENTER)
    page.wait("return document.activeElement.id === 'inspector'")
    (words,) = page.texts("#inspector pre")
    named = Counter(re.findall(r"(?<=[=+] )[^(]+(?=\()", words))
    assert named == operations(history.ranking[-1].genotype)


def test_copies_a_genotype_that_hnas_reads(page: ReportPage, report: Path, history: SearchHistory) -> None:
    page.open(report)
    page.browser.find_elements(By.CSS_SELECTOR, "#table button.show")[1].click()
    (button,) = [b for b in page.browser.find_elements(By.CSS_SELECTOR, "#inspector button") if "Copy" in b.text]
    button.click()
    page.wait("return [...document.querySelectorAll('#inspector button')].some(b => b.textContent === 'Copied')")
    text = page.browser.execute_async_script("navigator.clipboard.readText().then(arguments[0], arguments[0])")
    assert Genotype.from_json(text) == history.ranking[1].genotype


def test_the_figures_follow_the_theme_and_print_is_light(page: ReportPage, report: Path) -> None:
    background = "return document.querySelector('[data-figure=progress]').layout.paper_bgcolor"
    page.open(report, theme="dark")
    dark = page.script(background)
    page.set_theme("light")
    page.wait(background + " !== arguments[0]", dark)
    assert page.script(background) == "#ffffff"
    page.set_theme("dark")
    page.wait(background + " === arguments[0]", dark)
    page.script("window.dispatchEvent(new Event('beforeprint'))")
    page.wait(background + " === '#ffffff'")
    pdf = page.browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})
    assert len(pdf["data"]) > 50_000
    page.script("window.dispatchEvent(new Event('afterprint'))")
    page.wait(background + " === arguments[0]", dark)


_TEXTS = """
const rgb = (colour) => colour.match(/[\\d.]+/g).map(Number);
const holdsText = (element) => [...element.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
const shown = [...document.querySelectorAll("body *")].filter(element =>
  element.checkVisibility() && !element.closest("svg, .figure, .hidden, .skip") && holdsText(element));
return shown.map(element => {
  let behind = element, colour;
  do { colour = rgb(getComputedStyle(behind).backgroundColor); behind = behind.parentElement; }
  while (behind && colour.length === 4 && colour[3] === 0);
  return [element.textContent.trim().slice(0, 40), rgb(getComputedStyle(element).color), colour];
});
"""


def luminance(rgb: list[float]) -> float:
    """Return the relative luminance of a colour in 0..255 (WCAG 2.1)."""
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in rgb[:3]))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_text_has_contrast(page: ReportPage, report: Path, theme: str) -> None:
    page.open(report, theme=theme)
    texts = page.script(_TEXTS)
    assert len(texts) > 100
    for text, ink, paper in texts:
        low, high = sorted((luminance(ink), luminance(paper)))
        assert (high + 0.05) / (low + 0.05) >= 4.5, text  # WCAG 2.1, level AA


def test_a_search_that_runs_is_shown_as_far_as_it_is(page: ReportPage, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    run = write_run(tmp_path / "running", epochs=7, finished=False)
    with run.lock():
        write_report(open_search(run.path).history(), path, refresh=3600)
    page.open(path)
    assert page.texts("h1 .state") == ["running"]
    assert f"7 of {EPOCHS} epochs so far" in page.texts(".lead")[0]
    assert (
        page.script("return [...document.querySelectorAll('[data-figure]')].map(e => e.dataset.figure)") == FIGURES[:4]
    )
    history = open_search(run.path).history()
    assert page.texts("#winner h2, #ranking h2") == ["The winner so far", "Ranking so far"]
    assert shown_operations(page, "#winner") == operations(history.ranking[0].genotype)
    assert page.texts("#table tbody td:nth-child(2)") == [f"epoch {entry.step}" for entry in history.ranking]
    assert "7 times" in page.texts("#table tbody td")
    assert "circles" not in page.texts("#trade-off p")[0].lower()
    ActionChains(page.browser).move_to_element(marker(page, 3)).perform()
    page.wait("return document.getElementById('inspector').dataset.rank === '3'")
    assert shown_operations(page, "#inspector") == operations(history.ranking[3].genotype)
    assert '<meta http-equiv="refresh" content="3600">' in path.read_text()
    run = write_run(tmp_path / "fresh", epochs=0, finished=False)
    write_report(open_search(run.path).history(), path, refresh=3600)
    page.open(path)
    assert page.texts("h1 .state") == ["stopped"]
    assert len(page.texts(".empty")) == 5
    assert page.texts("#ranking .empty") == ["The first architectures are measured at the end of the first epoch."]
    assert "refresh" not in path.read_text()[:2000]
    assert page.problems() == []


def test_an_nni_experiment(page: ReportPage, finished_search: RunningExperiment, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    history = open_search(finished_search.directory).history()
    write_report(history, path)
    page.open(path)
    assert page.texts("h1 .state") == ["finished"]
    assert "6 of 6 trials" in page.texts(".lead")[0]
    assert page.texts("#policy .empty") == [
        "No history of the policy was found; the hierarchical tuner writes one (checkpoint/policy.jsonl)."
    ]
    point = page.browser.find_elements(By.CSS_SELECTOR, "[data-figure=progress] path.point")[-1]
    page.script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", point)
    ActionChains(page.browser).move_to_element(point).click().perform()
    rank = history.steps[-1].rank
    page.wait("return document.getElementById('inspector').dataset.rank === String(arguments[0])", rank)
    assert page.texts("#inspector h3") == [f"{rank + 1}. {history.ranking[rank].name}"]
    # It lies far below, and comes into sight.
    page.wait(
        "const box = document.getElementById('inspector').getBoundingClientRect();"
        "return box.top >= 0 && box.bottom <= window.innerHeight + 1"
    )
    assert page.problems() == []


def test_a_family_of_searches_shows_the_best_for_each_lambda(
    page: ReportPage, history: SearchHistory, tmp_path: Path
) -> None:
    weights = [0.9, 0.2, 0.6]
    ranking = tuple(
        replace(entry, reward_weight=weights[place % 3], reward=20.0 - place)
        for place, entry in enumerate(history.ranking)
    )
    write_report(replace(history, ranking=ranking, reward_weight=None), tmp_path / "it.html")
    for width in WIDTHS.values():
        page.open(tmp_path / "it.html", width=width)
        cells = page.texts("#family td")
        assert [cells[index] for index in (0, 1, 6, 7, 12, 13)] == ["0.2", "19.000", "0.6", "18.000", "0.9", "20.000"]
        assert cells[3] == f"{ranking[1].gmacs:.2f}" and cells[5] == str(ranking[1].genotype.position)
        assert page.script("return document.documentElement.scrollWidth") <= width
    assert not [fact for fact in page.texts(".facts dt") if fact.startswith("Mean reward")]
    assert "\u03bb = 0.2, 0.6, 0.9: compare rewards at the same \u03bb only" in page.texts(".facts dd")
    page.open(tmp_path / "it.html")
    columns = page.texts("#table thead th")
    at = columns.index("\u03bb") + 1
    assert page.texts(f"#table tbody td:nth-child({at})") == [f"{entry.reward_weight:g}" for entry in ranking]
    assert page.problems() == []
