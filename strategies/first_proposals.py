"""What a search under a budget tries first: the plain stacks that fill it.

A search that starts from nothing but random architectures may end below what anybody would write down at once. The
stack of equal convolutions is in the efficient space; so the search measures it first, at every width that makes sense,
and goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterator

from hnas_nni.architecture.cells import Cell, Edge
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.cost import cost_table
from hnas_nni.trial.budget import Budget

_CONVOLUTION = "collapsible_3x3"
_LEAST_SHARE = 0.8
"""Of the budget; a stack that uses less is not tried."""

_MOST_CONVOLUTIONS = 10
"""A stack of 12 and more, without a skip, is after 400 steps still where it began."""


def plain_stacks(budget: Budget) -> Iterator[Genotype]:
    """Yield for each width the stack of equal 3x3 convolutions that uses most of a budget, the widest last.

    Parameters
    ----------
    budget
        With a bound on multiply-adds or parameters.
    """
    table = cost_table(budget.scale)
    for width in EFFICIENT.widths:
        fitting = []
        for stack in _stacks(width):
            cost = table(stack)
            share = budget.excess(cost.gmacs, cost.params)
            if _LEAST_SHARE <= share <= 1:
                fitting.append((share, stack))
        if fitting:
            yield max(fitting, key=lambda found: found[0])[1]


def _stacks(width: int) -> Iterator[Genotype]:
    """Yield stacks of 1, 2, 3, ... convolutions between stem and sub-pixel convolution, each once."""
    seen = set()
    for in_cell in range(1, EFFICIENT.shapes["normal"].intermediate + 1):
        for depth in EFFICIENT.depths:
            convolutions = (depth - 1) * in_cell
            if convolutions not in seen and convolutions <= _MOST_CONVOLUTIONS:
                seen.add(convolutions)
                yield _stack(width, depth, in_cell)


def _stack(width: int, depth: int, in_cell: int) -> Genotype:
    nodes = EFFICIENT.shapes["normal"].nodes
    normal = Cell(
        tuple(Edge(_CONVOLUTION if index < in_cell else "skip", node - 1) for index, node in enumerate(nodes)), 1
    )
    upsampling = Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_3x3", 2)), 1)
    return Genotype(normal, upsampling, position=depth, depth=depth, width=width, space=EFFICIENT)
