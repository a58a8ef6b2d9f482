"""The report: one HTML file that needs no network."""

from __future__ import annotations

import base64
import gzip
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from hnas_nni.files import write_text
from hnas_nni.inference.comparison import Comparison
from hnas_nni.report.page.comparisons import shown_comparisons
from hnas_nni.report.page.figures import entropy_figure, position_figure, progress_figure
from hnas_nni.report.page.literature import Literature
from hnas_nni.report.page.sections import (
    architectures,
    capitalized,
    cells_note,
    facts,
    family,
    lead,
    notes,
    nothing_ranked,
    settings_rows,
    table_columns,
    table_rows,
    tiles,
    winner_title,
)
from hnas_nni.report.page.theme import THEMES, variables
from hnas_nni.report.page.trade_off import trade_off_figure
from hnas_nni.report.svg import cells_svg, network_svg, stylesheet
from hnas_nni.report.text import describe
from hnas_nni.searches.history import SearchHistory

PICTURES = 100
"""Architectures whose cells are drawn, from the top of the ranking; those of the others are given as text."""


def write_report(
    history: SearchHistory,
    path: str | os.PathLike[str],
    *,
    published: bool = False,
    pictures: int = PICTURES,
    refresh: int | None = None,
    comparisons: Sequence[Comparison] = (),
) -> None:
    """Write a search's report as one HTML file, whole or not at all.

    Parameters
    ----------
    history
        The search, finished or not.
    path
        The file; an existing one is replaced.
    published
        Put the paper's and other published networks beside it.
    pictures
        How many architectures' cells are drawn.
    refresh
        While the search runs, load the page anew after this many seconds.
    comparisons
        What trained networks make of images (:func:`hnas_nni.inference.comparison.compare`), to show below.

    Raises
    ------
    FileNotFoundError
        If the folder of `path` does not exist.
    """
    page = render_report(history, published=published, pictures=pictures, refresh=refresh, comparisons=comparisons)
    write_text(path, page)


def render_report(
    history: SearchHistory,
    *,
    published: bool = False,
    pictures: int = PICTURES,
    refresh: int | None = None,
    comparisons: Sequence[Comparison] = (),
) -> str:
    """Return a search's report as HTML; see :func:`write_report`."""
    from jinja2 import Environment

    if not published:
        history = replace(history, published=())
    literature = Literature(history) if published else None
    figures = _figures(history, literature)
    winner = history.winner
    layers = _layers(history)
    environment = Environment(autoescape=True, trim_blocks=False, keep_trailing_newline=True)
    return environment.from_string(_file("template.html.j2")).render(
        history=history,
        lead=lead(history),
        sections=_section_titles(history, published, bool(comparisons)),
        tiles=tiles(history),
        facts=facts(history),
        family=family(history),
        nothing_ranked=nothing_ranked(history),
        winner=winner,
        winner_title=winner_title(history),
        winner_name=capitalized(winner.name) if winner else "",
        cells_note=cells_note(winner.genotype) if winner else "",
        winner_cells=cells_svg(winner.genotype) if winner else None,
        winner_network=network_svg(winner.genotype, layers) if winner else None,
        winner_text=describe(winner.genotype, layers) if winner else "",
        published=published,
        published_notes=literature.notes if literature else [],
        published_table=literature.table() if literature else None,
        figures=figures,
        comparisons=shown_comparisons(comparisons),
        **notes(history, pictures),
        columns=table_columns(history),
        rows=table_rows(history),
        positions=sorted({entry.genotype.position for entry in history.ranking}),
        settings=settings_rows(history),
        configuration_name="config.yml" if history.unit == "trial" else "settings",
        refresh=refresh if history.state == "running" else None,
        css=variables() + stylesheet() + _file("style.css"),
        script=_file("script.js"),
        plotly=_plotly() if figures else "",
        data=_json({"figures": figures, "themes": THEMES, "architectures": architectures(history, pictures)}),
        version=version("hnas-nni"),
        made=f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC",
    )


def _layers(history: SearchHistory) -> int:
    """Return L of the winner's network."""
    own = None if history.winner is None else history.winner.genotype.depth
    deepest = max((entry.genotype.position for entry in history.ranking), default=2)
    return own or history.layers or max(deepest, 2)


def _figures(history: SearchHistory, literature: Literature | None) -> dict[str, Any]:
    """Return the figures that there is something for, as JSON-ready data."""
    drawn = {
        "progress": progress_figure(history),
        "entropy": entropy_figure(history.policy, history.unit),
        "position": position_figure(history.policy, history.unit),
        "trade-off": trade_off_figure(history, literature.costs_in_search if literature else None),
        "published": literature.figure() if literature else None,
    }
    return {name: json.loads(figure.to_json()) for name, figure in drawn.items() if figure is not None}


def _section_titles(history: SearchHistory, published: bool, compared: bool) -> list[tuple[str, str]]:
    titles = [("summary", "Summary")]
    titles += [("winner", winner_title(history))] if history.winner else []
    titles += [("progress", "Progress"), ("policy", "Policy"), ("trade-off", "PSNR against cost")]
    titles += [("published", "Published networks")] if published else []
    titles += [("comparison", "Comparison")] if compared else []
    return [*titles, ("ranking", "Ranking"), ("settings", "Settings")]


def _file(name: str) -> str:
    return (files("hnas_nni.report.page") / name).read_text(encoding="utf-8")


def _plotly() -> str:
    """Return Plotly's script as gzip in base64, which is two fifths of its 4.8 MB; the page unpacks it."""
    from plotly.offline import get_plotlyjs

    return base64.b64encode(gzip.compress(get_plotlyjs().encode(), mtime=0)).decode()


def _json(value: Mapping[str, Any]) -> str:
    """Return JSON that can stand inside a script element: no ``<`` could end it."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
