"""The most that an architecture may cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from hnas_nni.architecture.genotype import DEFAULT_CHANNELS, DEFAULT_LAYERS
from hnas_nni.settings import shared


class Priced(Protocol):
    """What has a cost, as :class:`hnas_nni.cost.Cost`."""

    @property
    def gmacs(self) -> float:
        """Multiply-adds in 10^9."""

    @property
    def params(self) -> int:
        """Parameters."""

    @property
    def milliseconds(self) -> float:
        """Milliseconds on the device of a table of times."""


@dataclass(frozen=True)
class Budget:
    """The most that an architecture may cost; multiply-adds are those at a 3x480x480 input.

    Parameters
    ----------
    gmacs
        Multiply-adds in 10^9; None for no bound.
    params
        Parameters; None for no bound.
    milliseconds
        For one image of the size that the times were measured at; None for no bound.
    latency
        File of the parts' times that milliseconds are added up from, see :class:`hnas_nni.latency.LatencyTable`.
    scale
        Upscaling factor of the networks.
    channels, layers
        C and L of networks whose space leaves them open.

    Raises
    ------
    ValueError
        If a bound is not a positive number, or there are milliseconds without a table of times, or none for a table.
    """

    gmacs: float | None = None
    params: float | None = None
    milliseconds: float | None = None
    latency: str | None = None
    scale: int = 2
    channels: int = DEFAULT_CHANNELS
    layers: int = DEFAULT_LAYERS

    def __post_init__(self) -> None:
        if self.gmacs is not None:
            shared.BUDGET.check("budget", self.gmacs)
        if self.params is not None:
            shared.BUDGET_PARAMS.check("budget_params", self.params)
        if self.milliseconds is not None:
            shared.BUDGET_MS.check("budget_ms", self.milliseconds)
        if self.latency is not None:
            shared.LATENCY.check("latency", self.latency)
        if (self.milliseconds is None) != (self.latency is None):
            raise ValueError("budget_ms, latency: give both or none; hnas latency --out FILE writes the table")

    def __str__(self) -> str:
        return " and ".join(f"{bound:g} {unit}" for bound, _, unit in self._bounds()) or "none"

    def fits(self, cost: Priced) -> bool:
        """Whether a cost, of :func:`hnas_nni.trial.pricing.costs_under`, is within the budget."""
        return self.excess(cost) <= 1

    def excess(self, cost: Priced) -> float:
        """Return how many times the budget a cost is, by the bound that it comes nearest to or exceeds most."""
        return max((getattr(cost, name) / bound for bound, name, _ in self._bounds()), default=0.0)

    def _bounds(self) -> list[tuple[float, str, str]]:
        """Return each bound, what it bounds and its unit."""
        bounds = (
            (self.gmacs, "gmacs", "GMAC"),
            (self.params, "params", "parameters"),
            (self.milliseconds, "milliseconds", "ms"),
        )
        return [(bound, name, unit) for bound, name, unit in bounds if bound is not None]


def budget_of(settings: Any) -> Budget | None:
    """Return the budget that settings state; None if there is none.

    Parameters
    ----------
    settings
        With `budget`, `budget_params`, `budget_ms`, `latency`, `scale`, `channels` and `layers`.
    """
    bounds = (settings.budget, settings.budget_params, settings.budget_ms, settings.latency)
    if bounds == (None, None, None, None):
        return None
    return Budget(*bounds, settings.scale, settings.channels, settings.layers)
