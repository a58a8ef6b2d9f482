"""Figures of a search, as Plotly figures without colours: the page has them light or dark.

Every trace has ``meta["role"]``, which the page's script looks up in :data:`hnas_nni.report.page.theme.THEMES`, and
traces of architectures have their place in the ranking (from 0) as ``customdata``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hnas_nni.report.page.history import PolicyHistory, SearchHistory, Step, pareto_set, running_best, running_mean

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
    for row, key in enumerate(rows, start=1):
        for trace in _progress_traces(key, steps, history.unit, legend=row == 1):
            figure.add_trace(trace, row=row, col=1)
    return _finished(figure, 150 + 170 * len(rows))


def _progress_traces(key: str, steps: tuple[Step, ...], unit: str, *, legend: bool) -> list[Any]:
    from plotly.graph_objects import Scatter

    x = [step.number for step in steps]
    values = [getattr(step, key) for step in steps]
    digits = {"reward": "%{y:.4f}", "psnr": "%{y:.3f} dB", "gmacs": "%{y:.2f} G"}[key]
    common = {"x": x, "showlegend": legend}
    points = Scatter(
        **common,
        y=values,
        mode="markers" if unit == "trial" else "lines+markers",
        name=f"each {unit}" if unit == "trial" else "mean of the epoch",
        legendgroup="points",
        text=[step.name for step in steps],
        customdata=[_NO_RANK if step.rank is None else step.rank for step in steps],
        hovertemplate=f"%{{text}}<br>{digits}<extra></extra>",
        meta={"role": "points"},
    )
    traces = [points]
    if unit == "trial":
        traces.append(
            Scatter(
                **common,
                y=running_mean(values, _MEAN_OF),
                mode="lines",
                name=f"mean of the last {_MEAN_OF}",
                legendgroup="mean",
                hovertemplate=f"mean {digits}<extra></extra>",
                meta={"role": "mean"},
            )
        )
    if key == "reward":
        traces.append(
            Scatter(
                **common,
                y=running_best(values),
                mode="lines",
                line={"shape": "hv"},
                name="best so far",
                legendgroup="best",
                hovertemplate=f"best so far {digits}<extra></extra>",
                meta={"role": "best"},
            )
        )
    if key == "psnr":
        traces += _validation_traces(x, steps)
    return traces


def _validation_traces(x: list[int], steps: tuple[Step, ...]) -> list[Any]:
    from plotly.graph_objects import Scatter

    traces = []
    for role, key, name in (
        ("mean", "validation_psnr", "validation, mean"),
        ("best", "validation_psnr_best", "validation, best"),
    ):
        values = [getattr(step, key) for step in steps]
        if any(value is not None for value in values):
            hover = f"{name} %{{y:.3f}} dB<extra></extra>"
            traces.append(Scatter(x=x, y=values, mode="lines", name=name, hovertemplate=hover, meta={"role": role}))
    return traces


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
    return _finished(figure, 130 + 130 * len(policy.entropies))


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
    return _finished(figure, 360)


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

    front = pareto_set(history.ranking)
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
        ("winner", "highest reward", shown[:1] if shown[0][0] == 0 else []),
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
    figure.update_xaxes(title_text="multiply-adds (G, input 3x480x480)", **_logarithmic(wide))
    figure.update_yaxes(title_text="PSNR (dB) during the search")
    mark_costs(figure, references or {})
    return _finished(figure, 480)


def mark_costs(figure: Figure, references: dict[str, float]) -> None:
    """Mark networks on the cost axis as vertical lines with their names."""
    for place, (name, gmacs) in enumerate(sorted(references.items(), key=lambda item: item[1])):
        figure.add_vline(x=gmacs, line={"dash": "dot", "width": 1.5})
        figure.add_annotation(
            x=_on_axis(figure, gmacs),
            y=1 - 0.075 * (place % 3),
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


def _logarithmic(wide: bool) -> dict[str, Any]:
    return {"type": "log", "dtick": "D2", "minor": {"showgrid": False}} if wide else {"type": "linear"}


def _learnt(unit: str) -> str:
    return "results learnt" if unit == "trial" else "epoch"


def _panels(titles: list[str], x_title: str) -> Figure:
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for row, title in enumerate(titles, start=1):
        figure.update_yaxes(title_text=title, row=row, col=1)
    figure.update_xaxes(title_text=x_title, row=len(titles), col=1)
    return figure


def _finished(figure: Figure, height: int) -> Figure:
    figure.update_layout(
        template=None,
        height=height,
        margin={"l": 62, "r": 16, "t": 40, "b": 48},
        legend={"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "xanchor": "left"},
        hovermode="closest",
    )
    figure.update_yaxes(automargin=True, title_standoff=6)
    return figure
