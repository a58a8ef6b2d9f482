"""Which architectures are the same network, written otherwise.

In the efficient space a node may hand on what it reads, an operation of the upsampling cell does nothing where it reads
an intermediate node, and the nodes that nobody reads are added up in any order. A search that tries a network twice has
wasted a trial.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable

from hnas_nni.architecture.cells import INPUT_NODES, Cell, Edge
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.spaces import EFFICIENT

_HANDS_ON = frozenset({"skip"})
_HANDS_ON_AT_SCALE_1 = frozenset({"sub_pixel_3x3", "sub_pixel_1x1"})


def hands_on(kind: str, edge: Edge) -> bool:
    """Whether an edge of a cell of that kind does nothing but hand on what it reads."""
    at_scale_1 = kind != "normal" and edge.source >= INPUT_NODES
    return edge.operation in (_HANDS_ON_AT_SCALE_1 if at_scale_1 else _HANDS_ON)


def network_key(genotype: Genotype) -> Hashable:
    """Return what two architectures have in common if they differ in nothing but how they are written.

    Networks of one key are the same but for the order of their modules. Architectures of other spaces than the
    efficient one are taken to be networks of their own.
    """
    if genotype.space is not EFFICIENT:
        return str(genotype)
    cells = tuple(_cell_key(kind, cell) for kind, cell in genotype.cells())
    return (*cells, genotype.position, genotype.depth, genotype.width)


def _cell_key(kind: str, cell: Cell) -> tuple[str, ...]:
    """Return the sums of what a cell's loose ends compute, the same whatever its operations' numbers are."""
    works = [node for node, _, edge in cell.slots() if not hands_on(kind, edge)]
    # An operation is told from another of its kind by a number; which has which is no difference.
    numberings = itertools.permutations(range(len(works)))
    return min(_terms(cell, dict(zip(works, numbers, strict=True))) for numbers in numberings)


def _terms(cell: Cell, numbers: dict[int, int]) -> tuple[str, ...]:
    terms = [f"input {node}" for node in range(INPUT_NODES)]
    for node, _, edge in cell.slots():
        source = terms[edge.source]
        terms.append(f"{edge.operation}#{numbers[node]}({source})" if node in numbers else source)
    return tuple(sorted(terms[node] for node in cell.loose_ends()))
