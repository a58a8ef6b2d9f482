"""The names of the space's decisions."""

from __future__ import annotations

from hnas_nni.architecture.spaces import DEPTH_LABEL, PAPER, POSITION_LABEL, WIDTH_LABEL, Space


def decision_labels(space: Space = PAPER) -> tuple[str, ...]:
    """Return the labels of all decisions of a space in the order of the hierarchical controller.

    Cell by cell and node by node, the input picks before the operation picks; the network level comes last, as it
    depends on the cells (paper, section II-C): depth and width where they are searched, and the position of the
    upsampling cell.
    """
    sizes = (DEPTH_LABEL, WIDTH_LABEL) if space.sized else ()
    return (*space.cell_labels(), *sizes, POSITION_LABEL)
