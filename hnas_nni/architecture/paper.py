"""The three architectures that the paper found (Guo et al., IEEE SPL 2020, arXiv 2003.04619, figure 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hnas_nni.architecture.cells import Cell, Edge
from hnas_nni.architecture.genotype import DEFAULT_LAYERS, Genotype


def _cell(*edges: tuple[str, int, int]) -> Cell:
    """Make a cell of ``(operation, from node, to node)`` triples, as the paper's figure lists them."""
    return Cell(tuple(Edge(operation, source) for operation, source, _ in sorted(edges, key=lambda e: e[2])))


HNAS_A = Genotype(
    normal=_cell(
        ("identity", 1, 2),
        ("sep_conv_5x5", 1, 2),
        ("dil_conv_3x3", 0, 3),
        ("dil_conv_5x5", 1, 3),
        ("identity", 1, 4),
        ("dil_conv_3x3", 1, 4),
        ("dil_conv_5x5", 1, 5),
        ("sep_conv_3x3", 4, 5),
    ),
    upsampling=_cell(
        ("deconv", 0, 2),
        ("bilinear", 0, 2),
        ("area", 1, 3),
        ("deconv", 0, 3),
        ("area", 3, 4),
        ("bilinear", 0, 4),
        ("bilinear", 1, 5),
        ("deconv", 3, 5),
    ),
    position=10,
)
"""HNAS-A, found with lambda = 0.2: the cheapest of the three."""

HNAS_B = Genotype(
    normal=_cell(
        ("dil_conv_3x3", 0, 2),
        ("rcab", 1, 2),
        ("dil_conv_5x5", 0, 3),
        ("sep_conv_5x5", 1, 3),
        ("sep_conv_3x3", 1, 4),
        ("dil_conv_3x3", 0, 4),
        ("sep_conv_3x3", 2, 5),
        ("dil_conv_5x5", 3, 5),
    ),
    upsampling=_cell(
        ("subpixel", 1, 2),
        ("bilinear", 1, 2),
        ("bilinear", 1, 3),
        ("subpixel", 0, 3),
        ("subpixel", 3, 4),
        ("subpixel", 3, 4),
        ("deconv", 0, 5),
        ("nearest", 1, 5),
    ),
    position=12,
)
"""HNAS-B, found with lambda = 0.6."""

HNAS_C = Genotype(
    normal=_cell(
        ("rcab", 1, 2),
        ("identity", 1, 2),
        ("dil_conv_3x3", 1, 3),
        ("identity", 0, 3),
        ("dil_conv_5x5", 0, 4),
        ("rcab", 3, 4),
        ("dil_conv_5x5", 4, 5),
        ("dil_conv_3x3", 0, 5),
    ),
    upsampling=_cell(
        ("subpixel", 0, 2),
        ("nearest", 1, 2),
        ("deconv", 2, 3),
        ("nearest", 0, 3),
        ("deconv", 3, 4),
        ("subpixel", 2, 4),
        ("bilinear", 0, 5),
        ("area", 0, 5),
    ),
    position=12,
)
"""HNAS-C, found with lambda = 0.9: the most accurate of the three."""

PAPER_NETWORKS: Mapping[str, Genotype] = {"HNAS-A": HNAS_A, "HNAS-B": HNAS_B, "HNAS-C": HNAS_C}
"""The three by their names."""


def paper_networks(layers: int = DEFAULT_LAYERS) -> dict[str, Genotype]:
    """Return the three for networks of L blocks, by their names.

    Where L is less than its position the upsampling cell is moved to block L: the cells are the paper's, the network
    is not.
    """
    return {
        name: replace(genotype, position=min(genotype.position, layers)) for name, genotype in PAPER_NETWORKS.items()
    }


def name_in_network(name: str, genotype: Genotype) -> str:
    """Return a published architecture's name, with the position where :func:`paper_networks` has moved it.

    Examples
    --------
    >>> [name_in_network(name, genotype) for name, genotype in paper_networks(11).items()]
    ['HNAS-A', 'HNAS-B at position 11', 'HNAS-C at position 11']
    """
    moved = genotype.position != PAPER_NETWORKS[name].position
    return f"{name} at position {genotype.position}" if moved else name


def published(name: str, layers: int = DEFAULT_LAYERS) -> Genotype | None:
    """Return a published architecture by its name, in upper or lower case, or None if it has another name.

    For networks of L blocks, as :func:`paper_networks` has it.
    """
    return paper_networks(layers).get(name.upper())
