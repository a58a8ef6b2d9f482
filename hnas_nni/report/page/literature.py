"""Published networks beside a search, only where the figures can be compared.

A search measures PSNR after a short training of narrow networks. That is no figure to hold against a published one, so
the published PSNR has a figure of its own, and what the two share is the cost axis alone. The paper's cells can be
measured as the search's own are, though, and ``hnas search`` does so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from hnas_nni.architecture.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.paper import PAPER_NETWORKS, name_in_network, paper_networks
from hnas_nni.report.published_results import (
    COMPARED_IN_THE_PAPER,
    PUBLISHED_SCALE,
    SOURCE,
    TODAYS_REFERENCES,
    PublishedResult,
)
from hnas_nni.searches.history import SearchHistory

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from hnas_nni.cost import Cost

_FINAL_CHANNELS = 64
_SET = "Set5"
_COLUMNS = ("Mark", "Network", "GMAC", "Parameters", "PSNR (dB)", "SSIM")


class PublishedTable(NamedTuple):
    """What the marks and lines of the figure are; cells are texts."""

    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


class Literature:
    """What a report says of published networks.

    Parameters
    ----------
    history
        The search they are put beside.
    """

    def __init__(self, history: SearchHistory) -> None:
        self._history = history
        self.costs_in_search = {} if history.published else self._costs_in_search()
        """Multiply-adds (G) of the paper's cells in networks of the search's size, where that is all that is known."""

    @property
    def notes(self) -> list[str]:
        """What can be compared and what can't, as paragraphs."""
        history = self._history
        unmeasured = "was not measured"
        if history.unit == "epoch" and history.state != "finished":
            unmeasured = "is measured at the end of the search"
        size = f"(x{history.scale}, C = {history.channels}, L = {history.layers})"
        notes = []
        if not any(entry.psnr is not None and entry.gmacs is not None for entry in history.ranking):
            pass  # no figure above to mark them in
        elif history.published:
            notes.append(
                "The squares A, B and C in the figure above are the paper's cells in networks of this search's size "
                f"{size}, measured on the same images with the same shared weights as the search's architectures. They "
                "were no candidates, and the weights were trained on what the policy drew, which favours the search's "
                f"own.{self._moved()}"
            )
        elif self.costs_in_search:
            notes.append(
                f"The dotted lines in the figure above are the cost of the paper's cells in networks of this search's "
                f"size {size}; what PSNR they reach here {unmeasured}.{self._moved()}"
            )
        elif history.winner is not None and history.winner.genotype.width is not None:
            notes.append(
                "The paper's cells are not marked in the figure above: each network of this search has a size of its "
                "own."
            )
        else:
            notes.append(
                "The paper's cells are not marked in the figure above, because the size of this search's networks is "
                "unknown."
            )
        if history.scale not in (None, PUBLISHED_SCALE):
            notes.append(
                f"The published figures at hand are for x{PUBLISHED_SCALE}; this search is for x{history.scale}."
            )
            return notes
        notes.append(
            "Below is what was published for final networks, trained to the end: PSNR on Y of Set5 x2 against "
            "multiply-adds for an input of 230,400 pixels (480x480, or 640x360). The PSNR of this search was measured "
            "after a short training of narrower networks, so it has no place on that axis; dotted lines are costs "
            "alone. Networks without a mark, which people would take today, are in the table only, as their "
            "marks would lie on each other."
        )
        notes.append(f"Source: {SOURCE}.")
        return notes

    def figure(self) -> Figure | None:
        """Draw published PSNR on Set5 x2 against multiply-adds, with costs of the paper's networks and the winner's.

        Networks are marked by the numbers that :meth:`table` explains: their names would lie on one another.
        """
        from plotly.graph_objects import Figure, Scatter

        from hnas_nni.report.page.axes import cost_axis, finished, mark_costs

        if self._history.scale not in (None, PUBLISHED_SCALE):
            return None
        shown = _published()
        costs = {name: cost.gmacs for name, cost in self._final_networks().items()}
        gmacs = [result.gmacs for result in shown if result.gmacs]
        figure = Figure(
            Scatter(
                x=gmacs,
                y=[result.scores[_SET][0] for result in shown],
                text=[str(number) for number in range(1, len(shown) + 1)],
                hovertext=[result.method for result in shown],
                mode="markers+text",
                textposition="middle center",
                hovertemplate="%{hovertext}<br>%{y:.2f} dB, %{x:.1f} G<extra></extra>",
                showlegend=False,
                meta={"role": "published"},
            )
        )
        title = "multiply-adds (G, 230,400 input pixels)"
        figure.update_xaxes(title_text=title, **cost_axis([*gmacs, *costs.values()]))
        figure.update_yaxes(title_text="published PSNR on Set5 x2 (dB)")
        finished(figure, 600, legend=False)
        mark_costs(figure, costs, gmacs)
        return figure

    def table(self) -> PublishedTable | None:
        """Return the figure's networks with their figures, those of the dotted lines last; None without a figure."""
        if self._history.scale not in (None, PUBLISHED_SCALE):
            return None
        unknown = "\u2013"
        rows = [_row(str(number), result) for number, result in enumerate(_published(), start=1)]
        rows += [_row(unknown, result) for result in TODAYS_REFERENCES]
        rows += [
            ("line", name, f"{cost.gmacs:,.1f}", f"{round(cost.params / 1000):,}K", unknown, unknown)
            for name, cost in self._final_networks().items()
        ]
        return PublishedTable(_COLUMNS, rows)

    def _costs_in_search(self) -> dict[str, float]:
        history = self._history
        if history.scale is None or history.channels is None or history.layers is None:
            return {}
        return {
            name_in_network(name, genotype): _cost(genotype, history.scale, history.channels, history.layers).gmacs
            for name, genotype in paper_networks(history.layers).items()
        }

    def _moved(self) -> str:
        """Return a sentence on the paper's cells whose position was moved; nothing if none was."""
        layers = self._history.layers
        moved = [name for name, paper in PAPER_NETWORKS.items() if layers is not None and paper.position > layers]
        if not moved:
            return ""
        return (
            f" The paper upsamples at block 10 (HNAS-A) or 12 of {DEFAULT_LAYERS}; here {', '.join(moved)} "
            f"{'does' if len(moved) == 1 else 'do'} so at the last of {layers} blocks."
        )

    def _final_networks(self) -> dict[str, Cost]:
        """Return the costs of the paper's networks, and of the winner: as it is, or if it had as many channels."""
        costs = {
            name: _cost(genotype, PUBLISHED_SCALE, _FINAL_CHANNELS, DEFAULT_LAYERS)
            for name, genotype in PAPER_NETWORKS.items()
        }
        winner, layers = self._history.winner, self._history.layers
        name = "winner so far" if self._history.provisional else "winner"
        if winner is not None and winner.genotype.width is not None:
            costs[name] = _cost(winner.genotype, PUBLISHED_SCALE, _FINAL_CHANNELS, DEFAULT_LAYERS)
        elif winner is not None and layers is not None:
            costs[f"{name} at C = {_FINAL_CHANNELS}"] = _cost(winner.genotype, PUBLISHED_SCALE, _FINAL_CHANNELS, layers)
        return costs


def _published() -> list[PublishedResult]:
    """Return the networks of the paper's comparison with a cost and a result on the set, the cheapest first.

    Those of today lie too close to each other for the figure; they are in the table alone.
    """
    shown = [result for result in COMPARED_IN_THE_PAPER if result.gmacs is not None and _SET in result.scores]
    return sorted(shown, key=lambda result: result.gmacs or 0.0)


def _row(mark: str, result: PublishedResult) -> tuple[str, ...]:
    psnr, ssim = result.scores[_SET]
    return mark, result.method, f"{result.gmacs:,.1f}", f"{result.kilo_params:,}K", f"{psnr:.2f}", f"{ssim:.4f}"


def _cost(genotype: Genotype, scale: int, channels: int, layers: int) -> Cost:
    from hnas_nni.cost import cost_table

    return cost_table(scale=scale, channels=channels, layers=layers)(genotype)
