"""The names of the space's decisions."""

from __future__ import annotations

from hnas_nni.architecture.cells import EDGES_PER_NODE, NODES, input_label, operation_label
from hnas_nni.architecture.genotype import POSITION_LABEL
from hnas_nni.architecture.spaces import PAPER


def decision_labels() -> tuple[str, ...]:
    """Return the labels of all decisions in the order of the hierarchical controller.

    Cell by cell and node by node, the input picks before the operation picks; the position of the upsampling
    cell comes last, as it depends on the cells (paper, section II-C).
    """
    labels = [
        make_label(cell, node, slot)
        for cell in PAPER.cells
        for node in NODES
        for make_label in (input_label, operation_label)
        for slot in range(EDGES_PER_NODE)
    ]
    return (*labels, POSITION_LABEL)
