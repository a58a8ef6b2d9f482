"""The stacks of equal convolutions that fill a budget: what one would write down by hand, as architectures.

They are in the efficient space. A search under a budget measures them first, at every width that makes sense, and a
report holds its winner against them.
"""

from __future__ import annotations

from collections.abc import Iterator

from hnas_nni.architecture.cells import Cell, Edge
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.pricing import costs_under

_LEAST_SHARE = 0.8
"""Of the budget; a stack that uses less is left out, unless none uses more."""

_MOST_CONVOLUTIONS = 10
"""A stack of 12 and more, without a skip, is after 400 steps still where it began."""


def plain_stacks(budget: Budget, convolution: str = "collapsible_3x3") -> Iterator[Genotype]:
    """Yield for each width the stack of equal 3x3 convolutions that uses most of a budget, the widest last.

    Parameters
    ----------
    budget
        With a bound on multiply-adds or parameters.
    convolution
        The operation: that, or "conv_3x3" as people write it.
    """
    table = costs_under(budget)
    fullest = []
    for width in EFFICIENT.widths:
        fitting = []
        for stack in _stacks(width, convolution):
            share = budget.excess(table(stack))
            if share <= 1:
                fitting.append((share, stack))
        if fitting:
            fullest.append(max(fitting, key=lambda found: found[0]))
    least = min(_LEAST_SHARE, max((share for share, _ in fullest), default=0.0))
    yield from (stack for share, stack in fullest if share >= least)


def _stacks(width: int, convolution: str) -> Iterator[Genotype]:
    """Yield stacks of 1, 2, 3, ... convolutions between stem and sub-pixel convolution, each once."""
    seen = set()
    for in_cell in range(1, EFFICIENT.shapes["normal"].intermediate + 1):
        for depth in EFFICIENT.depths:
            convolutions = (depth - 1) * in_cell
            if convolutions not in seen and convolutions <= _MOST_CONVOLUTIONS:
                seen.add(convolutions)
                yield _stack(width, depth, in_cell, convolution)


def _stack(width: int, depth: int, in_cell: int, convolution: str) -> Genotype:
    nodes = EFFICIENT.shapes["normal"].nodes
    normal = Cell(
        tuple(Edge(convolution if index < in_cell else "skip", node - 1) for index, node in enumerate(nodes)), 1
    )
    upsampling = Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_3x3", 2)), 1)
    return Genotype(normal, upsampling, position=depth, depth=depth, width=width, space=EFFICIENT)
