"""Figures of a search over time, as Plotly figures without colours: the page has them light or dark.

Every trace has ``meta["role"]``, which the page's script looks up in :data:`hnas_nni.report.page.theme.THEMES`, and
traces of architectures have their place in the ranking (from 0) as ``customdata``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from hnas_nni.report.page.axes import count_steps, finished, steps_mode
from hnas_nni.searches.history import PolicyHistory, SearchHistory, Step

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_AXES = {"reward": "reward", "psnr": "PSNR (dB)", "gmacs": "multiply-adds (G)"}
_MEAN_OF = 10
_NO_RANK = -1


def progress_figure(history: SearchHistory) -> Figure | None:
    """Draw reward, PSNR and cost over trials or epochs, one below the other; None if there is nothing yet."""
    steps = history.steps
    # Without steps of the controller an epoch has validation figures alone.
    rows = [
        key
        for key in _AXES
        if any(getattr(step, name, None) is not None for step in steps for name in (key, f"validation_{key}"))
    ]
    if not rows:
        return None
    figure = _panels([_AXES[key] for key in rows], history.step_axis or history.unit)
    named: set[str] = set()
    for row, key in enumerate(rows, start=1):
        for trace in _progress_traces(key, history):
            trace.update(legendgroup=trace.name, showlegend=trace.name not in named)
            named.add(trace.name)
            figure.add_trace(trace, row=row, col=1)
    count_steps(figure, [step.number for step in steps])
    return finished(figure, 150 + 170 * len(rows))


def _progress_traces(key: str, history: SearchHistory) -> list[Any]:
    """Return the curves of one panel; their names may come again in another, where the legend leaves them out."""
    steps, unit = history.steps, history.unit
    form = {"reward": "%{y:.4f}", "psnr": "%{y:.3f} dB", "gmacs": "%{y:.2f} G"}[key]
    values = [getattr(step, key) for step in steps]
    if key == "reward" and history.is_family:
        curves = []  # rewards of different lambda can't be compared
    elif unit == "trial":
        curves = [("mean", f"mean of the last {_MEAN_OF}", running_mean(values, _MEAN_OF))]
        if key == "reward":
            curves.append(("best", "best so far", running_best(values)))
    else:
        mean, best = ([getattr(step, f"validation_{key}{of}", None) for step in steps] for of in ("", "_best"))
        curves = [("mean", "validation, mean", mean)]
        if best != mean:  # more than one architecture is measured
            curves.append(("best", "validation, best", best))
    known = [(role, name, curve) for role, name, curve in curves if any(value is not None for value in curve)]
    points = [_points(steps, values, unit, form)] if any(value is not None for value in values) else []
    # Trials are points themselves, which those of a curve would cover.
    mode = "lines" if unit == "trial" else steps_mode(step.number for step in steps)
    return [*points, *(_curve(steps, curve, role, name, form, mode) for role, name, curve in known)]


def running_best(values: Iterable[float | None]) -> list[float | None]:
    """Return the highest of the values up to each one; None until there is a value."""
    best: float | None = None
    result = []
    for value in values:
        if value is not None and (best is None or value > best):
            best = value
        result.append(best)
    return result


def running_mean(values: Iterable[float | None], window: int) -> list[float | None]:
    """Return the mean of the last `window` values up to each one, those that are None left out."""
    recent: list[float] = []
    result: list[float | None] = []
    for value in values:
        if value is not None:
            recent = [*recent, value][-window:]
        result.append(sum(recent) / len(recent) if recent else None)
    return result


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


def _curve(steps: tuple[Step, ...], values: list[float | None], role: str, name: str, form: str, mode: str) -> Any:
    from plotly.graph_objects import Scatter

    return Scatter(
        x=[step.number for step in steps],
        y=values,
        mode=mode,
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
                mode=steps_mode(policy.steps),
                name=level,
                showlegend=False,
                hovertemplate=f"{level}: %{{y:.2f}} nats<extra>%{{x}}</extra>",
                meta={"role": f"level-{level}"},
            ),
            row=row,
            col=1,
        )
        figure.update_yaxes(rangemode="tozero", row=row, col=1)
    count_steps(figure, policy.steps)
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
            zmax=1,  # whatever the policy: noise of an undecided one must not look like a decision
            colorscale="Viridis",
            colorbar={"title": {"text": "probability", "side": "right"}, "thickness": 12, "outlinewidth": 0},
            hovertemplate="position %{y}: %{z:.2f}<extra>%{x}</extra>",
            meta={"role": "heatmap"},
        )
    )
    figure.update_xaxes(title_text=_learnt(unit))
    count_steps(figure, policy.steps)
    figure.update_yaxes(title_text="position", dtick=1 if len(by_position) <= 20 else None)
    return finished(figure, 500, legend=False)


def _learnt(unit: str) -> str:
    return "results learnt" if unit == "trial" else "epoch"


def _panels(titles: list[str], x_title: str) -> Figure:
    from plotly.subplots import make_subplots

    figure = make_subplots(rows=len(titles), cols=1, shared_xaxes=True, vertical_spacing=0.06)
    for row, title in enumerate(titles, start=1):
        figure.update_yaxes(title_text=title, row=row, col=1)
    figure.update_xaxes(title_text=x_title, row=len(titles), col=1)
    return figure
