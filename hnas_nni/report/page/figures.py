"""Figures of a search, as Plotly figures without colours: the page has them light or dark.

Every trace has ``meta["role"]``, which the page's script looks up in :data:`hnas_nni.report.page.theme.THEMES`, and
traces of architectures have their place in the ranking (from 0) as ``customdata``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hnas_nni.pareto import pareto_set
from hnas_nni.report.page.history import PolicyHistory, SearchHistory, Step, running_best, running_mean

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_AXES = {"reward": "reward", "psnr": "PSNR (dB)", "gmacs": "multiply-adds (G)"}
_MEAN_OF = 10
_NO_RANK = -1


def progress_figure(history: SearchHistory) -> Figure | None:
    """Draw reward, PSNR and cost over trials or epochs, one below the other; None if there is nothing yet."""
    steps = history.steps
    rows = [key for key in _AXES if any(getattr(step, key) is not None for step in steps)]
    if not rows:
        return None
    figure = _panels([_AXES[key] for key in rows], history.unit)
    named: set[str] = set()
    for row, key in enumerate(rows, start=1):
        for trace in _progress_traces(key, steps, history.unit):
            trace.update(legendgroup=trace.name, showlegend=trace.name not in named)
            named.add(trace.name)
            figure.add_trace(trace, row=row, col=1)
    return finished(figure, 150 + 170 * len(rows))


def _progress_traces(key: str, steps: tuple[Step, ...], unit: str) -> list[Any]:
    """Return the curves of one panel; their names may come again in another, where the legend leaves them out."""
    form = {"reward": "%{y:.4f}", "psnr": "%{y:.3f} dB", "gmacs": "%{y:.2f} G"}[key]
    values = [getattr(step, key) for step in steps]
    if unit == "trial":
        curves = [("mean", f"mean of the last {_MEAN_OF}", running_mean(values, _MEAN_OF))]
        if key == "reward":
            curves.append(("best", "best so far", running_best(values)))
    else:
        validation = [
            ("mean", "validation, mean", f"validation_{key}"),
            ("best", "validation, best", f"validation_{key}_best"),
        ]
        curves = [(role, name, [getattr(step, field, None) for step in steps]) for role, name, field in validation]
    return [
        _points(steps, values, unit, form),
        *(
            _curve(steps, curve, role, name, form)
            for role, name, curve in curves
            if any(value is not None for value in curve)
        ),
    ]


def _points(steps: tuple[Step, ...], values: list[float | None], unit: str, form: str) -> Any:
    from plotly.graph_objects import Scatter

    trials = unit == "trial"
    return Scatter(
        x=[step.number for step in steps],
        y=values,
        mode="markers" if trials else "lines+markers",
        name="each trial" if trials else "mean of the epoch",
        text=[step.name for step in steps],
        customdata=[_NO_RANK if step.rank is None else step.rank for step in steps],
        hovertemplate=f"%{{text}}<br>{form}<extra></extra>",
        meta={"role": "points"},
    )


def _curve(steps: tuple[Step, ...], values: list[float | None], role: str, name: str, form: str) -> Any:
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[step.number for step in steps],
        y=values,
        mode="lines",
        line={"shape": "hv" if name == "best so far" else "linear"},
        name=name,
        hovertemplate=f"{name} {form}<extra></extra>",
        meta={"role": role},
    )


def entropy_figure(policy: PolicyHistory, unit: str) -> Figure | None:
    """Draw the policy's entropy by level in nats, one below the other; None if it is not known."""
    from plotly.graph_objects import Scatter

    if not policy.steps:
        return None
    figure = _panels([f"{level} (nats)" for level in policy.entropies], _learnt(unit))
    for row, (level, values) in enumerate(policy.entropies.items(), start=1):
        figure.add_trace(
            Scatter(
                x=policy.steps,
                y=values,
                mode="lines",
                name=level,
                showlegend=False,
                hovertemplate=f"{level}: %{{y:.2f}} nats<extra>%{{x}}</extra>",
                meta={"role": f"level-{level}"},
            ),
            row=row,
            col=1,
        )
        figure.update_yaxes(rangemode="tozero", row=row, col=1)
    return finished(figure, 110 + 130 * len(policy.entropies), legend=False)


def position_figure(policy: PolicyHistory, unit: str) -> Figure | None:
    """Draw the probability of each position of the upsampling cell over time; None if it is not known."""
    from plotly.graph_objects import Figure, Heatmap

    if not policy.positions:
        return None
    by_position = [list(row) for row in zip(*policy.positions, strict=True)]
    figure = Figure(
        Heatmap(
            x=policy.steps,
            y=list(range(1, len(by_position) + 1)),
            z=by_position,
            zmin=0,
            colorscale="Viridis",
            colorbar={"title": {"text": "probability", "side": "right"}, "thickness": 12, "outlinewidth": 0},
            hovertemplate="position %{y}: %{z:.2f}<extra>%{x}</extra>",
            meta={"role": "heatmap"},
        )
    )
    figure.update_xaxes(title_text=_learnt(unit))
    figure.update_yaxes(title_text="position", dtick=1 if len(by_position) <= 20 else None)
    return finished(figure, 500, legend=False)


def trade_off_figure(history: SearchHistory, references: dict[str, float] | None = None) -> Figure | None:
    """Draw PSNR against multiply-adds with the Pareto set; None if no architecture has both.

    Parameters
    ----------
    history
        The search.
    references
        Multiply-adds (G) of networks to mark on the cost axis, by name.
    """
    from plotly.graph_objects import Figure, Scatter

    front = pareto_set([(point.psnr, point.gmacs) for point in history.ranking])
    shown = [(i, a) for i, a in enumerate(history.ranking) if a.psnr is not None and a.gmacs is not None]
    if not shown:
        return None
    edge = sorted((history.ranking[index].gmacs, history.ranking[index].psnr) for index in front)
    figure = Figure()
    figure.add_trace(
        Scatter(
            x=[x for x, _ in edge],
            y=[y for _, y in edge],
            mode="lines",
            line={"shape": "hv"},
            name="Pareto set",
            hoverinfo="skip",
            meta={"role": "front"},
        )
    )
    for role, name, members in (
        ("others", "evaluated", [(i, a) for i, a in shown if i not in front]),
        ("pareto", "in the Pareto set", [(i, a) for i, a in shown if i in front]),
        ("winner", "winner", shown[:1] if shown[0][0] == 0 else []),
    ):
        figure.add_trace(
            Scatter(
                x=[a.gmacs for _, a in members],
                y=[a.psnr for _, a in members],
                mode="markers",
                name=name,
                text=[f"{a.name}, position {a.genotype.position}" for _, a in members],
                customdata=[i for i, _ in members],
                hovertemplate="%{text}<br>%{y:.3f} dB, %{x:.2f} G<extra></extra>",
                meta={"role": role},
            )
        )
    costs = [a.gmacs for _, a in shown if a.gmacs]
    wide = bool(costs) and max(costs) > 8 * min(costs)
    figure.update_xaxes(title_text="multiply-adds (G, input 3x480x480)", **logarithmic(wide))
    figure.update_yaxes(title_text="PSNR (dB) during the search")
    mark_costs(figure, references or {})
    return finished(figure, 580)


def mark_costs(figure: Figure, references: dict[str, float]) -> None:
    """Mark networks on the cost axis as vertical lines with their names."""
    for place, (name, gmacs) in enumerate(sorted(references.items(), key=lambda item: item[1])):
        figure.add_vline(x=gmacs, line={"dash": "dot", "width": 1.5})
        figure.add_annotation(
            x=_on_axis(figure, gmacs),
            y=1 - 0.06 * (place % 4),
            yref="paper",
            text=name,
            showarrow=False,
            xanchor="left",
            xshift=4,
            yanchor="top",
        )


def _on_axis(figure: Figure, value: float) -> float:
    """Return what an annotation wants on a logarithmic axis: the logarithm."""
    from math import log10

    return log10(value) if figure.layout.xaxis.type == "log" else value


def logarithmic(wide: bool) -> dict[str, Any]:
    """Return the settings of a cost axis: logarithmic, with ticks at 1, 2, 5, 10 ..., if its values lie far apart."""
    if not wide:
        return {"type": "linear"}
    ticks = [digit * 10.0**power for power in range(-3, 7) for digit in (1, 2, 5)]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks]}


def _learnt(unit: str) -> str:
    return "results learnt" if unit == "trial" else "epoch"


def _panels(titles: list[str], x_title: str) -> Figure:
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for row, title in enumerate(titles, start=1):
        figure.update_yaxes(title_text=title, row=row, col=1)
    figure.update_xaxes(title_text=x_title, row=len(titles), col=1)
    return figure


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
