"""What architectures cost, with milliseconds where a budget bounds them."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from hnas_nni.cost import CostTable
from hnas_nni.latency import LatencyTable
from hnas_nni.trial.budget import Budget


def costs_under(budget: Budget) -> CostTable:
    """Return what tells the cost of architectures of a budget's sizes.

    Raises
    ------
    ValueError
        If the budget's table of times is not one.
    """
    latency = None if budget.latency is None else _read(budget.latency, Path(budget.latency).stat().st_mtime)
    return CostTable(budget.scale, budget.channels, budget.layers, latency=latency)


@lru_cache(maxsize=4)
def _read(path: str, changed: float) -> LatencyTable:
    """Read a table once, and again when it has changed."""
    return LatencyTable.read(path)
