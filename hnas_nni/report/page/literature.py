"""Published networks beside a search, only where the figures can be compared.

A search measures PSNR on patches after a short training of narrow networks. That is no figure to hold against a
published one, so the published PSNR has a figure of its own, and what the two share is the cost axis alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hnas_nni.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.published import HNAS_A, HNAS_B, HNAS_C
from hnas_nni.published_results import PUBLISHED_RESULTS, PUBLISHED_SCALE, SOURCE
from hnas_nni.report.page.history import SearchHistory

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PAPER_NETWORKS = {"HNAS-A": HNAS_A, "HNAS-B": HNAS_B, "HNAS-C": HNAS_C}
_FINAL_CHANNELS = 64
_SET = "Set5"
_LABELS = {"CARN": "middle left", "FALSR-A": "middle left", "MoreMNAS-A": "bottom center", "CARN-M": "bottom center"}


class Literature:
    """What a report says of published networks.

    Parameters
    ----------
    history
        The search they are put beside.
    """

    def __init__(self, history: SearchHistory) -> None:
        self._history = history
        self.costs_in_search = self._costs_in_search()

    @property
    def notes(self) -> list[str]:
        """What can be compared and what can't, as paragraphs."""
        history = self._history
        notes = []
        if not any(entry.psnr is not None and entry.gmacs is not None for entry in history.ranking):
            pass  # no figure above to mark them in
        elif self.costs_in_search:
            names = ", ".join(self.costs_in_search)
            notes.append(
                f"The dotted lines in the figure above are the cost of the paper's cells ({names}) in networks of this "
                f"search's size (x{history.scale}, C = {history.channels}, L = {history.layers})."
            )
        elif history.channels is None or history.scale is None:
            notes.append(
                "The paper's cells are not marked in the figure above, because the size of this search's networks is "
                "unknown."
            )
        else:
            notes.append(
                f"The paper's cells upsample at block 10 or 12 and do not fit networks of {history.layers} blocks, so "
                "they are not marked in the figure above."
            )
        if history.scale not in (None, PUBLISHED_SCALE):
            notes.append(
                f"The published figures at hand are for x{PUBLISHED_SCALE}; this search is for x{history.scale}."
            )
            return notes
        notes.append(
            "Below is what was published for final networks, trained to the end: PSNR on Y of Set5 x2 against "
            "multiply-adds for an input of 230,400 pixels (480x480, or 640x360). The PSNR of this search was measured "
            "on other images, after a short training of narrower networks, so it has no place on that axis; dotted "
            "lines are costs alone."
        )
        notes.append(f"Source: {SOURCE}.")
        return notes

    def figure(self) -> Figure | None:
        """Draw published PSNR on Set5 x2 against multiply-adds, with costs of the paper's networks and the winner's."""
        from plotly.graph_objects import Figure, Scatter

        from hnas_nni.report.page.figures import finished, logarithmic, mark_costs

        if self._history.scale not in (None, PUBLISHED_SCALE):
            return None
        shown = [result for result in PUBLISHED_RESULTS if result.gmacs is not None and _SET in result.scores]
        figure = Figure(
            Scatter(
                x=[result.gmacs for result in shown],
                y=[result.scores[_SET][0] for result in shown],
                text=[result.method for result in shown],
                mode="markers+text",
                textposition=[_LABELS.get(result.method, "top center") for result in shown],
                hovertemplate="%{text}<br>%{y:.2f} dB, %{x:.1f} G<extra></extra>",
                showlegend=False,
                meta={"role": "published"},
            )
        )
        figure.update_xaxes(title_text="multiply-adds (G, 230,400 input pixels)", **logarithmic(True))
        figure.update_yaxes(title_text="published PSNR on Set5 x2 (dB)")
        mark_costs(figure, self._costs_of_final_networks())
        return finished(figure, 440, legend=False)

    def _costs_in_search(self) -> dict[str, float]:
        history = self._history
        if history.scale is None or history.channels is None or history.layers is None:
            return {}
        return {
            name: _gmacs(genotype, history.scale, history.channels, history.layers)
            for name, genotype in PAPER_NETWORKS.items()
            if genotype.position <= history.layers
        }

    def _costs_of_final_networks(self) -> dict[str, float]:
        """Return the cost of the paper's networks, and of the winner if it had as many channels."""
        costs = {
            name: _gmacs(genotype, PUBLISHED_SCALE, _FINAL_CHANNELS, DEFAULT_LAYERS)
            for name, genotype in PAPER_NETWORKS.items()
        }
        winner, layers = self._history.winner, self._history.layers
        if winner is not None and layers is not None:
            costs["winner at C = 64"] = _gmacs(winner.genotype, PUBLISHED_SCALE, _FINAL_CHANNELS, layers)
        return costs


def _gmacs(genotype: Genotype, scale: int, channels: int, layers: int) -> float:
    from hnas_nni.cost import cost_table

    return float(cost_table(scale=scale, channels=channels, layers=layers)(genotype).gmacs)
