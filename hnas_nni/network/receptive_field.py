"""How far a network looks: what a tile must see around it to come out as in the whole image."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

from hnas_nni.architecture.cells import INPUT_NODES, Cell, edge_scale
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.architecture.spaces import EFFICIENT, PAPER
from hnas_nni.network.network import block_cells

_BICUBIC = Fraction(2)
"""LR pixels on each side that bicubic interpolation looks at."""


def is_local(genotype: Genotype) -> bool:
    """Whether an output pixel depends on a limited part of the image only, which channel attention makes untrue."""
    return not any(OPERATIONS[edge.operation].whole_image for _, cell in genotype.cells() for edge in cell.edges)


def receptive_radius(genotype: Genotype, scale: int, layers: int) -> int:
    """Return how many LR pixels beyond its own an output pixel can depend on, in each direction.

    An output pixel's own LR pixel is the one that it lies in. What channel attention averages over the image is
    not counted (see :func:`is_local`), its convolutions are.

    Parameters
    ----------
    genotype
        The architecture.
    scale
        Upscaling factor: 2, 3 or 4.
    layers
        L, the number of blocks, where the genotype leaves it open.

    Returns
    -------
    int
        The radius in LR pixels, at least 2 (stem and tail).

    Raises
    ------
    GenotypeError
        If the genotype's position lies behind the last layer.
    """
    layers = genotype.depth or layers
    genotype.check_layers(layers)
    stem = second_last = last = Fraction(1)
    step = Fraction(1)  # a pixel of the current resolution, in LR pixels
    for kind in block_cells(genotype.position, layers):
        if kind == "upsampling" and genotype.space is EFFICIENT:
            second_last = stem
        reach = partial(_cell_reach, kind, getattr(genotype, kind), [second_last, last], scale, step)
        if kind == "upsampling":
            second_last = last = reach(Fraction(1, scale))
            step = Fraction(1, scale)
        else:
            second_last, last = last, reach(step)
    if genotype.space is PAPER:
        radius = last + step  # the tail
    else:
        radius = max(last + (0 if genotype.position == layers else step), _BICUBIC)
    return -(-radius.numerator // radius.denominator)


def _cell_reach(
    kind: str, cell: Cell, inputs: list[Fraction], scale: int, step: Fraction, inner_step: Fraction
) -> Fraction:
    """Reach of a cell's output: the largest over all paths; steps are those of the inputs and of the nodes."""
    reach = list(inputs)
    for node in cell.nodes:
        reach.append(
            max(
                reach[edge.source]
                + OPERATIONS[edge.operation].reach_at(edge_scale(kind, edge.source, scale))
                * (step if edge.source < INPUT_NODES else inner_step)
                for edge in cell.incoming(node)
            )
        )
    return max(reach[INPUT_NODES:])
