"""The most that an architecture may cost."""

from __future__ import annotations

from dataclasses import dataclass

from hnas_nni.architecture.genotype import DEFAULT_CHANNELS, DEFAULT_LAYERS
from hnas_nni.settings import shared


@dataclass(frozen=True)
class Budget:
    """The most that an architecture may cost, at a 3x480x480 input.

    Parameters
    ----------
    gmacs
        Multiply-adds in 10^9; None for no bound.
    params
        Parameters; None for no bound.
    scale
        Upscaling factor of the networks.
    channels, layers
        C and L of networks whose space leaves them open.

    Raises
    ------
    ValueError
        If a bound is not a positive number.
    """

    gmacs: float | None = None
    params: float | None = None
    scale: int = 2
    channels: int = DEFAULT_CHANNELS
    layers: int = DEFAULT_LAYERS

    def __post_init__(self) -> None:
        if self.gmacs is not None:
            shared.BUDGET.check("budget", self.gmacs)
        if self.params is not None:
            shared.BUDGET_PARAMS.check("budget_params", self.params)

    def __str__(self) -> str:
        bounds = [(self.gmacs, "GMAC"), (self.params, "parameters")]
        return " and ".join(f"{bound:g} {unit}" for bound, unit in bounds if bound is not None) or "none"

    def fits(self, gmacs: float, params: int) -> bool:
        """Whether a cost, multiply-adds in 10^9 and parameters, is within the budget."""
        return self.excess(gmacs, params) <= 1

    def excess(self, gmacs: float, params: int) -> float:
        """Return how many times the budget a cost is, by the bound that it comes nearest to or exceeds most."""
        ratios = [(self.gmacs, gmacs), (self.params, params)]
        return max((cost / bound for bound, cost in ratios if bound is not None), default=0.0)
