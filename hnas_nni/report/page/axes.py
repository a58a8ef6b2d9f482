"""What the figures of a report have in common: size and legend, axes, and marks on the cost axis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import log10
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_TICKS_BY_ONE = 12
"""Steps on an axis up to which each has a tick; Plotly's own ticks are whole numbers on longer axes."""
_LINE_HEIGHT = 16
_FRAME = 120
"""Pixels of a figure's height that its margins take, roughly."""


def finished(figure: Figure, height: int, *, legend: bool = True) -> Figure:
    """Give a figure its height in pixels, its margins and its legend, and return it."""
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": 62, "r": 16, "t": 60 if legend else 34, "b": 60},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "xanchor": "left"},
        hovermode="closest",
        showlegend=legend,
    )
    figure.update_yaxes(automargin=True, title_standoff=6)
    return figure


def count_steps(figure: Figure, steps: Iterable[int]) -> None:
    """Let the horizontal axes of a figure count steps: ticks at whole numbers only."""
    steps = list(steps)
    if steps and max(steps) - min(steps) <= _TICKS_BY_ONE:
        figure.update_xaxes(dtick=1)


def steps_mode(steps: Iterable[int]) -> str:
    """Return how a curve over steps is drawn: with its points while they are few, as one alone makes no line."""
    return "lines+markers" if len(list(steps)) <= _TICKS_BY_ONE else "lines"


def cost_axis(values: Iterable[float]) -> dict[str, Any]:
    """Return the settings of a cost axis: logarithmic, with ticks at 1, 2, 5, 10 ..., if its values lie far apart."""
    known = [value for value in values if value > 0]
    if not known or max(known) <= 8 * min(known):
        return {"type": "linear"}
    ticks = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}


def mark_costs(figure: Figure, costs: Mapping[str, float], values: Iterable[float]) -> None:
    """Mark networks on the cost axis by vertical lines, with their names above the figure.

    Each name has a row of its own, so that names of equal costs stay apart; the line runs up to its name. Call it after
    :func:`finished`.

    Parameters
    ----------
    figure
        With multiply-adds on its horizontal axis.
    costs
        Multiply-adds (G) by the networks' names.
    values
        What else is on the axis; names of lines in its right part stand left of them.
    """
    if not costs:
        return
    log = figure.layout.xaxis.type == "log"
    places = {name: log10(cost) if log else cost for name, cost in costs.items()}
    others = [log10(value) if log else value for value in values if value > 0 or not log]
    low, high = min([*places.values(), *others]), max([*places.values(), *others])
    left = [name for name in places if places[name] <= low + 0.55 * (high - low)]
    right = [name for name in places if name not in left]
    # From the bottom row up. No line crosses a name: those on the left end at ever higher rows to the left, and above
    # them those on the right at ever higher rows to the right.
    rows = [*sorted(left, key=lambda name: -places[name]), *sorted(right, key=lambda name: places[name])]
    for row, name in enumerate(rows):
        line = {"dash": "dot", "width": 1.5}
        figure.add_vline(x=costs[name], line=line, layer="below")
        figure.add_shape(
            type="line", x0=costs[name], x1=costs[name], line=line,
            yref="paper", ysizemode="pixel", yanchor=1, y0=0, y1=_LINE_HEIGHT * (row + 1),
        )  # fmt: skip
        figure.add_annotation(
            x=places[name],
            y=1,
            yref="paper",
            text=name,
            showarrow=False,
            xanchor="left" if name in left else "right",
            xshift=4 if name in left else -4,
            yanchor="bottom",
            yshift=_LINE_HEIGHT * row,
        )
    above = _LINE_HEIGHT * len(rows) + 4
    figure.update_layout(
        margin_t=figure.layout.margin.t + above,
        legend_y=1 + above / (figure.layout.height - _FRAME - above),
    )
