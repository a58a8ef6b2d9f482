"""Where the parts of a cell go in a picture, in inches.

Every node has a row of its own, and a column by the longest way to it from an input. A node's output runs to
the right along its row, where no other node is. An operation branches off downwards in the gap before its
target's column, in a lane of its own, and ends in the operation's label, right before the target. So no line
can run through a node or a label, whatever the wiring, and two edges between the same nodes are apart.
"""

from __future__ import annotations

from dataclasses import dataclass

from hnas_nni.architecture.cells import INPUT_NODES, Cell, Edge
from hnas_nni.architecture.genotype import Genotype
from hnas_nni.architecture.operation import Operation
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.architecture.same_network import hands_on
from hnas_nni.architecture.spaces import EFFICIENT, Space

INPUT_SIZE = (1.5, 0.36)
LABEL_SIZE = (1.22, 0.27)
NODE_RADIUS = 0.15
CONCAT_WIDTH = 0.3
_INPUT_PITCH = 0.5
_NODE_PITCH = 0.76
_LABEL_SHIFT = 0.165
_LANE_PITCH = 0.15
_GAP = 0.22


@dataclass(frozen=True)
class EdgeLayout:
    """Where an edge goes: from its source's row down its lane, and right to its label.

    Parameters
    ----------
    operation
        Name of the operation, as in :data:`hnas_nni.architecture.operations.OPERATIONS`.
    source, target
        Nodes.
    slot
        0 for the target's first operation, 1 for its second.
    lane
        Where it branches off, in inches from the left.
    label
        Centre of the label.
    """

    operation: str
    source: int
    target: int
    slot: int
    lane: float
    label: tuple[float, float]


@dataclass(frozen=True)
class CellLayout:
    """Where the parts of a cell go, in inches from the lower left corner.

    Parameters
    ----------
    width, height
        Size of the whole.
    nodes
        Centres of the nodes, the two inputs first.
    edges
        The edges.
    concat
        Horizontal centre of the bar that joins nodes into the output.
    outputs
        The nodes that it joins.
    merge
        How: "concatenate" or "add".
    """

    width: float
    height: float
    nodes: tuple[tuple[float, float], ...]
    edges: tuple[EdgeLayout, ...]
    concat: float
    outputs: tuple[int, ...]
    merge: str


def lay_out(cell: Cell) -> CellLayout:
    """Compute the layout of a cell."""
    depths = _depths(cell)
    rows = [index * _INPUT_PITCH for index in range(INPUT_NODES)]
    rows += [rows[-1] + 0.68 + index * _NODE_PITCH for index in range(len(cell.nodes))]
    height = rows[-1] + 0.4 + INPUT_SIZE[1] / 2
    y = [height - INPUT_SIZE[1] / 2 - row for row in rows]
    x = [INPUT_SIZE[0] / 2] * INPUT_NODES
    columns: dict[int, float] = {}
    edges: list[EdgeLayout] = []
    left = INPUT_SIZE[0]
    for depth in range(1, max(depths) + 1):
        # Lanes of lower targets lie further left, so that ways into labels don't cross lanes.
        members = [(node, slot, edge) for node, slot, edge in cell.slots() if depths[node] == depth]
        members.sort(key=lambda member: (-member[0], -member[1]))
        label_left = left + _GAP + len(members) * _LANE_PITCH + 0.05
        for index, (node, slot, edge) in enumerate(members):
            lane = left + _GAP + index * _LANE_PITCH
            shift = _LABEL_SHIFT if cell.edges_per_node > 1 else 0.0
            label = (label_left + LABEL_SIZE[0] / 2, y[node] + (shift if slot == 0 else -shift))
            edges.append(EdgeLayout(edge.operation, edge.source, node, slot, lane, label))
        columns[depth] = label_left + LABEL_SIZE[0] + 0.2 + NODE_RADIUS
        left = columns[depth] + NODE_RADIUS
    x += [columns[depths[node]] for node in cell.nodes]
    concat = left + 0.35 + CONCAT_WIDTH / 2
    width = concat + CONCAT_WIDTH / 2 + 0.62
    return CellLayout(width, height, tuple(zip(x, y, strict=True)), tuple(edges), concat, *merging(cell))


def merging(cell: Cell) -> tuple[tuple[int, ...], str]:
    """Return which nodes make a cell's output, and how: all are concatenated, or the loose ends are added."""
    return (cell.loose_ends(), "add") if cell.edges_per_node == 1 else (cell.nodes, "concatenate")


def shown_operation(kind: str, edge: Edge) -> Operation:
    """Return what an edge of a cell of that kind is shown as: a skip where it does nothing but hand on a node."""
    return OPERATIONS["skip" if hands_on(kind, edge) else edge.operation]


def input_names(space: Space, kind: str) -> tuple[str, str]:
    """Return what the input nodes of a cell are: outputs of the blocks before it, or of the stem."""
    reads_stem = space is EFFICIENT and kind == "upsampling"
    return "stem" if reads_stem else "second-last block", "last block"


def has_tail(genotype: Genotype, layers: int) -> bool:
    """Whether the network ends in a tail: in the efficient space a last block that upsamples writes the image."""
    return genotype.space is not EFFICIENT or genotype.position < layers


def _depths(cell: Cell) -> list[int]:
    depths = [0] * INPUT_NODES
    for node in cell.nodes:
        depths.append(1 + max(depths[edge.source] for edge in cell.incoming(node)))
    return depths
