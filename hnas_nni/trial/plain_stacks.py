"""The stacks of equal convolutions that fill a budget: what one would write down by hand, as architectures.

They are in the efficient space. A search under a budget measures them first, at every depth that makes sense, and a
report holds its winner against them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile

from hnas_nni.architecture.cells import Cell, Edge
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.trial.budget import Budget
from hnas_nni.trial.pricing import costs_under

_LEAST_SHARE = 0.8
"""Of the budget; a stack that uses less is left out, unless none uses more."""

_MOST_CONVOLUTIONS = 10
"""A stack of 12 and more, without a skip, is after 400 steps still where it began."""


def plain_stacks(
    budget: Budget, convolution: str = "collapsible_3x3", widths: Sequence[int] = EFFICIENT.widths
) -> Iterator[Genotype]:
    """Yield stacks of equal 3x3 convolutions that fill a budget, the widest last.

    Of each number of convolutions it is the widest stack that fits, and of each width the deepest of these.

    Parameters
    ----------
    budget
        With a bound on multiply-adds or parameters.
    convolution
        The operation: that, or "conv_3x3" as people write it.
    widths
        Which to choose from, rising.
    """
    table = costs_under(budget)
    fullest: dict[int, tuple[float, Genotype]] = {}
    for depth, in_cell in _depths():
        stacks = (_stack(width, depth, in_cell, convolution) for width in widths)
        shares = ((budget.excess(table(stack)), stack) for stack in stacks)
        fitting = list(takewhile(lambda found: found[0] <= 1, shares))
        if fitting:
            share, stack = fitting[-1]
            assert stack.width is not None
            fullest[stack.width] = share, stack
    least = min(_LEAST_SHARE, max((share for share, _ in fullest.values()), default=0.0))
    yield from (stack for _, (share, stack) in sorted(fullest.items()) if share >= least)


def _depths() -> Iterator[tuple[int, int]]:
    """Yield how 1, 2, 3, ... convolutions lie between stem and sub-pixel convolution: depth, and how many in a cell."""
    found: dict[int, tuple[int, int]] = {}
    for in_cell in range(1, EFFICIENT.shapes["normal"].intermediate + 1):
        for depth in EFFICIENT.depths:
            found.setdefault((depth - 1) * in_cell, (depth, in_cell))
    yield from (found[number] for number in sorted(found) if number <= _MOST_CONVOLUTIONS)


def _stack(width: int, depth: int, in_cell: int, convolution: str) -> Genotype:
    nodes = EFFICIENT.shapes["normal"].nodes
    normal = Cell(
        tuple(Edge(convolution if index < in_cell else "skip", node - 1) for index, node in enumerate(nodes)), 1
    )
    upsampling = Cell((Edge("sub_pixel_3x3", 1), Edge("sub_pixel_3x3", 2)), 1)
    return Genotype(normal, upsampling, position=depth, depth=depth, width=width, space=EFFICIENT)
