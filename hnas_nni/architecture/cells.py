"""A cell as data: which operation each edge applies, and to which node; and the names of these decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

INPUT_NODES = 2
"""Nodes 0 and 1 are the outputs of the second-last and the last block."""

INTERMEDIATE_NODES = 4
EDGES_PER_NODE = 2

NODES = tuple(range(INPUT_NODES, INPUT_NODES + INTERMEDIATE_NODES))
"""Indices of the intermediate nodes: 2, 3, 4, 5."""


class GenotypeError(ValueError):
    """An architecture that is not in the space; the message names the field and what would be valid."""


class Edge(NamedTuple):
    """One edge of a cell: `operation` applied to the output of node `source`."""

    operation: str
    source: int

    def __str__(self) -> str:
        return f"{self.operation}({self.source})"


@dataclass(frozen=True)
class Cell:
    """The wiring of one cell.

    Parameters
    ----------
    edges
        Two edges for each of the four intermediate nodes, in the order of the nodes: ``edges[2 * i]`` and
        ``edges[2 * i + 1]`` are summed in node ``i + 2``.
    """

    edges: tuple[Edge, ...]

    def __str__(self) -> str:
        return " ".join(f"{node}={first}+{second}" for node in NODES for first, second in [self.incoming(node)])

    def incoming(self, node: int) -> tuple[Edge, Edge]:
        """Return the two edges that are summed in intermediate node `node` (2..5)."""
        first = (node - INPUT_NODES) * EDGES_PER_NODE
        return self.edges[first], self.edges[first + 1]

    def slots(self) -> Iterator[tuple[int, int, Edge]]:
        """Yield ``(node, slot, edge)`` for every edge; `slot` is 0 or 1."""
        for index, edge in enumerate(self.edges):
            yield INPUT_NODES + index // EDGES_PER_NODE, index % EDGES_PER_NODE, edge

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return the cell as JSON-ready data: by node, its two edges."""
        return {
            str(node): [{"operation": edge.operation, "from": edge.source} for edge in self.incoming(node)]
            for node in NODES
        }

    @classmethod
    def from_dict(cls, document: object, name: str) -> Cell:
        """Read the data that :meth:`to_dict` wrote; `name` is what messages call the cell.

        Raises
        ------
        GenotypeError
            If a field is missing, unknown or of a wrong type; the message names it.
        """
        if not isinstance(document, Mapping):
            raise GenotypeError(f"{name}: expected an object with nodes {NODES}, got {type(document).__name__}")
        refuse_unknown(document, [str(node) for node in NODES], f"{name}.")
        edges = []
        for node in NODES:
            pair = require(document, str(node), f"{name}.")
            if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != EDGES_PER_NODE:
                raise GenotypeError(f"{name}.{node}: a node needs a list of exactly {EDGES_PER_NODE} edges")
            for slot, edge in enumerate(pair):
                field = f"{name}.{node}[{slot}]"
                if not isinstance(edge, Mapping):
                    raise GenotypeError(f'{field}: expected {{"operation": ..., "from": ...}}, got {edge!r}')
                refuse_unknown(edge, ("operation", "from"), f"{field}.")
                edges.append(Edge(require(edge, "operation", f"{field}."), require(edge, "from", f"{field}.")))
        return cls(tuple(edges))


def check_cell(cell: object, name: str, operations: Sequence[str]) -> None:
    """Check that a cell is wired as cells are, of these operations; `name` is what messages call it.

    Raises
    ------
    GenotypeError
        If it is not; the message names the field.
    """
    if not isinstance(cell, Cell):
        raise GenotypeError(f"{name}: expected a Cell, got {type(cell).__name__}")
    expected = INTERMEDIATE_NODES * EDGES_PER_NODE
    if not isinstance(cell.edges, tuple) or len(cell.edges) != expected:
        raise GenotypeError(f"{name}: a cell has a tuple of {expected} edges, two for each node in {NODES}")
    for node, slot, edge in cell.slots():
        field = f"{name}.{node}[{slot}]"
        if not isinstance(edge, Edge):
            raise GenotypeError(f"{field}: expected an Edge, got {type(edge).__name__}")
        if edge.operation not in operations:
            raise GenotypeError(f"{field}.operation: {edge.operation!r} is unknown; valid are {', '.join(operations)}")
        if not is_int(edge.source) or not 0 <= edge.source < node:
            raise GenotypeError(f"{field}.from: {edge.source!r} is not an earlier node; valid are 0..{node - 1}")


def edge_scale(cell: str, source: int | None, scale: int) -> int:
    """Return the scale that the operation of an edge is made for, in a network that upscales by `scale`.

    In the upsampling cell an edge from an input node upsamples and one from an intermediate node keeps the size. With
    `source` None (not picked yet) the edge is taken to read an input node.
    """
    return 1 if cell == "upsampling" and source is not None and source >= INPUT_NODES else scale


def operation_label(cell: str, node: int, slot: int) -> str:
    """Return the label of the operation choice of an edge, e.g. ``normal/op_2_0``."""
    return f"{cell}/op_{node}_{slot}"


def input_label(cell: str, node: int, slot: int) -> str:
    """Return the label of the input choice of an edge, e.g. ``normal/input_2_0``."""
    return f"{cell}/input_{node}_{slot}"


def is_int(value: object) -> bool:
    """Whether a value is an integer, and not True or False."""
    return isinstance(value, int) and not isinstance(value, bool)


def require(document: Mapping[str, Any], field: str, prefix: str) -> Any:
    """Return a field of a file's data, or raise a :class:`GenotypeError` that names it behind `prefix`."""
    if field not in document:
        raise GenotypeError(f"{prefix}{field}: missing")
    return document[field]


def refuse_unknown(document: Mapping[str, Any], known: Iterable[str], prefix: str) -> None:
    """Raise a :class:`GenotypeError` for the first field of a file's data that is not known."""
    known = tuple(known)
    for field in document:
        if field not in known:
            raise GenotypeError(f"{prefix}{field}: unknown field; valid are {', '.join(known)}")
