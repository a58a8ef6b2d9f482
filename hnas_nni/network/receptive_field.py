"""How far a network looks: what a tile must see around it to come out as in the whole image."""

from __future__ import annotations

from fractions import Fraction

from hnas_nni.architecture.genotype import INPUT_NODES, NODES, Cell, Genotype
from hnas_nni.architecture.own_operations import own_operation
from hnas_nni.network.network import block_cells

_GLOBAL_OPERATIONS = frozenset({"rcab"})
"""Channel attention averages over the whole image (RCAN, arXiv 1807.02758, equation 10)."""

_NORMAL_REACH = {
    "identity": 0,
    "dil_conv_3x3": 2,  # dilation 2
    "dil_conv_5x5": 4,
    "sep_conv_3x3": 2,  # two convolutions
    "sep_conv_5x5": 4,
    "rcab": 2,
}
_PROJECTION_REACH = {2: 6, 3: 6, 4: 3}
"""By scale s, with kernel k: up and down again reaches (k - 1) // s pixels; the longest path does so three times."""

_UPSAMPLING_REACH = {"area": 0, "bilinear": 1, "nearest": 0, "deconv": 1, "subpixel": 1}


def is_local(genotype: Genotype) -> bool:
    """Whether an output pixel depends on a limited part of the image only, which channel attention makes untrue."""
    return not any(
        own.reach is None if (own := own_operation(edge.operation)) else edge.operation in _GLOBAL_OPERATIONS
        for _, cell in genotype.cells()
        for edge in cell.edges
    )


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
        L, the number of blocks.

    Returns
    -------
    int
        The radius in LR pixels, at least 2 (stem and tail).

    Raises
    ------
    GenotypeError
        If the genotype's position lies behind the last layer.
    """
    genotype.check_layers(layers)
    second_last = last = Fraction(1)  # the stem
    step = Fraction(1)  # a pixel of the current resolution, in LR pixels
    for kind in block_cells(genotype.position, layers):
        if kind == "upsampling":
            second_last = last = _cell_reach(genotype.upsampling, [second_last, last], scale, step, Fraction(1, scale))
            step = Fraction(1, scale)
        else:
            second_last, last = last, _cell_reach(genotype.normal, [second_last, last], scale, step, step)
    radius = last + step  # the tail
    return -(-radius.numerator // radius.denominator)


def _cell_reach(cell: Cell, inputs: list[Fraction], scale: int, step: Fraction, inner_step: Fraction) -> Fraction:
    """Reach of a cell's output: the largest over all paths; steps are those of the inputs and of the nodes."""
    reach = list(inputs)
    for node in NODES:
        reach.append(
            max(
                reach[edge.source]
                + _operation_reach(edge.operation, edge.source, scale)
                * (step if edge.source < INPUT_NODES else inner_step)
                for edge in cell.incoming(node)
            )
        )
    return max(reach[INPUT_NODES:])


def _operation_reach(operation: str, source: int, scale: int) -> Fraction:
    """Reach of an operation that reads node `source`, in pixels of its input."""
    if own := own_operation(operation):
        return Fraction(own.reach or 0)
    if operation == "up_down_projection":
        return Fraction(_PROJECTION_REACH[scale])
    if operation in _NORMAL_REACH:
        return Fraction(_NORMAL_REACH[operation])
    if source >= INPUT_NODES:  # keeps the size; only the transposed convolution does anything
        return Fraction(1 if operation == "deconv" else 0)
    if operation == "subpixel" and scale == 4:  # a second convolution, at twice the resolution
        return Fraction(3, 2)
    return Fraction(_UPSAMPLING_REACH[operation])
