"""The figure of PSNR against multiply-adds: what the search found, and what it is held against.

As in :mod:`hnas_nni.report.page.figures`, traces have ``meta["role"]``, and as ``customdata`` the places of their
architectures in :attr:`hnas_nni.searches.history.SearchHistory.architectures`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hnas_nni.report.page.axes import cost_axis, finished, mark_costs
from hnas_nni.searches.history import SearchHistory
from hnas_nni.searches.pareto import pareto_set
from hnas_nni.searches.record import MeasuredArchitecture

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_Placed = list[tuple[int, MeasuredArchitecture]]


def trade_off_figure(history: SearchHistory, costs: Mapping[str, float] | None = None) -> Figure | None:
    """Draw PSNR against multiply-adds with the Pareto set; None if no architecture has both.

    Parameters
    ----------
    history
        The search. Its published networks are marked by their letters, comparators by their first.
    costs
        Multiply-adds (G) of networks whose PSNR is not known, by name: vertical lines.
    """
    from plotly.graph_objects import Figure

    placed = [(i, a) for i, a in enumerate(history.architectures) if a.psnr is not None and a.gmacs is not None]
    ranks, ends = len(history.ranking), len(history.ranking) + len(history.measured)
    held_against = ends + len(history.published)
    ranked = [(i, a) for i, a in placed if i < ranks]
    if not ranked:
        return None
    front = pareto_set([(a.psnr, a.gmacs) for a in history.ranking])
    figure = Figure(_front([(i, a) for i, a in ranked if i in front]))
    winner = "winner so far" if history.provisional else "winner"
    for role, name, members in (
        ("measured", "measured on the way", [(i, a) for i, a in placed if ranks <= i < ends]),
        ("others", "evaluated", [(i, a) for i, a in ranked if i not in front]),
        ("pareto", "in the Pareto set", [(i, a) for i, a in ranked if i in front]),
        ("paper", "the paper's HNAS-A, B, C", [(i, a) for i, a in placed if ends <= i < held_against]),
        ("comparator", "trained as the winner", [(i, a) for i, a in placed if i >= held_against]),
        ("winner", winner, [(i, a) for i, a in ranked if i == 0]),
    ):
        if not members:
            continue
        marks = _marks(role, name, members)
        if role in ("paper", "comparator"):
            names = [architecture.name for _, architecture in members]
            letters = [letter(name) for name in names]
            marks.update(mode="markers+text", text=letters, textposition="middle center", hovertext=names)
        figure.add_trace(marks)
    shown = [a.gmacs for _, a in placed if a.gmacs]
    costs = costs or {}
    figure.update_xaxes(title_text="multiply-adds (G, input 3x480x480)", **cost_axis([*shown, *costs.values()]))
    figure.update_yaxes(title_text="PSNR (dB) during the search")
    finished(figure, 500)
    mark_costs(figure, costs, shown)
    return figure


def letter(name: str) -> str:
    """Return what marks a network of the paper or a comparator."""
    return name.removeprefix("HNAS-")[0].upper()


def _front(members: _Placed) -> Any:
    from plotly.graph_objects import Scatter

    edge = sorted((a.gmacs, a.psnr) for _, a in members)
    return Scatter(
        x=[x for x, _ in edge],
        y=[y for _, y in edge],
        mode="lines",
        line={"shape": "hv"},
        name="Pareto set",
        hoverinfo="skip",
        meta={"role": "front"},
    )


def _marks(role: str, name: str, members: _Placed) -> Any:
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[a.gmacs for _, a in members],
        y=[a.psnr for _, a in members],
        mode="markers",
        name=name,
        hovertext=[f"{a.name}, position {a.genotype.position}" for _, a in members],
        customdata=[i for i, _ in members],
        hovertemplate="%{hovertext}<br>%{y:.3f} dB, %{x:.2f} G<extra></extra>",
        meta={"role": role},
    )
