"""A cell as data: which operation each edge applies, and to which node; and the names of these decisions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hnas_nni.foreign_text import shown

INPUT_NODES = 2
"""Nodes 0 and 1 are the outputs of the second-last and the last block."""

LAST_BLOCK = 1
"""The node that is the output of the block before."""


@dataclass(frozen=True)
class CellShape:
    """How the cells of one kind are wired.

    Parameters
    ----------
    intermediate
        Number of intermediate nodes.
    edges_per_node
        How many operations are summed in each of them.
    """

    intermediate: int
    edges_per_node: int

    @property
    def nodes(self) -> tuple[int, ...]:
        """Indices of the intermediate nodes, from 2 on."""
        return tuple(range(INPUT_NODES, INPUT_NODES + self.intermediate))

    def slots(self) -> Iterator[tuple[int, int]]:
        """Yield ``(node, slot)`` for every edge, in order."""
        for node in self.nodes:
            for slot in range(self.edges_per_node):
                yield node, slot


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
        As many edges for each intermediate node as the cell's shape has, in the order of the nodes: with two,
        ``edges[2 * i]`` and ``edges[2 * i + 1]`` are summed in node ``i + 2``.
    edges_per_node
        Two in the paper's cells.
    """

    edges: tuple[Edge, ...]
    edges_per_node: int = 2

    def __str__(self) -> str:
        return " ".join(f"{node}={'+'.join(map(str, self.incoming(node)))}" for node in self.nodes)

    @property
    def nodes(self) -> tuple[int, ...]:
        """Indices of the intermediate nodes, from 2 on."""
        return CellShape(len(self.edges) // self.edges_per_node, self.edges_per_node).nodes

    def incoming(self, node: int) -> tuple[Edge, ...]:
        """Return the edges that are summed in an intermediate node."""
        first = (node - INPUT_NODES) * self.edges_per_node
        return self.edges[first : first + self.edges_per_node]

    def slots(self) -> Iterator[tuple[int, int, Edge]]:
        """Yield ``(node, slot, edge)`` for every edge, slots counted from 0."""
        for index, edge in enumerate(self.edges):
            yield INPUT_NODES + index // self.edges_per_node, index % self.edges_per_node, edge

    def loose_ends(self) -> tuple[int, ...]:
        """Return the intermediate nodes that no other node reads."""
        read = {edge.source for edge in self.edges}
        return tuple(node for node in self.nodes if node not in read)

    def to_dict(self) -> dict[str, list[dict[str, Any]]]:
        """Return the cell as JSON-ready data: by node, its edges."""
        return {
            str(node): [{"operation": edge.operation, "from": edge.source} for edge in self.incoming(node)]
            for node in self.nodes
        }

    @classmethod
    def from_dict(cls, document: object, name: str, shape: CellShape) -> Cell:
        """Read the data that :meth:`to_dict` wrote; `name` is what messages call the cell.

        Raises
        ------
        GenotypeError
            If a field is missing, unknown or of a wrong type; the message names it.
        """
        if not isinstance(document, Mapping):
            raise GenotypeError(f"{name}: expected an object with nodes {shape.nodes}, got {type(document).__name__}")
        refuse_unknown(document, [str(node) for node in shape.nodes], f"{name}.")
        edges = []
        for node in shape.nodes:
            given = require(document, str(node), f"{name}.")
            if not isinstance(given, Sequence) or isinstance(given, str) or len(given) != shape.edges_per_node:
                raise GenotypeError(f"{name}.{node}: a node needs a list of exactly {_edges(shape.edges_per_node)}")
            for slot, edge in enumerate(given):
                field = f"{name}.{node}[{slot}]"
                if not isinstance(edge, Mapping):
                    raise GenotypeError(f'{field}: expected {{"operation": ..., "from": ...}}, got {shown(edge)}')
                refuse_unknown(edge, ("operation", "from"), f"{field}.")
                edges.append(Edge(require(edge, "operation", f"{field}."), require(edge, "from", f"{field}.")))
        return cls(tuple(edges), shape.edges_per_node)


def check_cell(cell: object, name: str, shape: CellShape, operations: Sequence[str]) -> None:
    """Check that a cell is wired as cells of that shape are, of these operations; `name` is what messages call it.

    Raises
    ------
    GenotypeError
        If it is not; the message names the field.
    """
    if not isinstance(cell, Cell):
        raise GenotypeError(f"{name}: expected a Cell, got {type(cell).__name__}")
    expected = shape.intermediate * shape.edges_per_node
    if not isinstance(cell.edges, tuple) or len(cell.edges) != expected or cell.edges_per_node != shape.edges_per_node:
        raise GenotypeError(
            f"{name}: a cell has a tuple of {expected} edges, {shape.edges_per_node} for each node in {shape.nodes}"
        )
    for node, slot, edge in cell.slots():
        field = f"{name}.{node}[{slot}]"
        if not isinstance(edge, Edge):
            raise GenotypeError(f"{field}: expected an Edge, got {type(edge).__name__}")
        if edge.operation not in operations:
            raise GenotypeError(
                f"{field}.operation: {shown(edge.operation)} is unknown; valid are {', '.join(operations)}"
            )
        if not is_int(edge.source) or not 0 <= edge.source < node:
            raise GenotypeError(f"{field}.from: {shown(edge.source)} is not an earlier node; valid are 0..{node - 1}")


def _edges(number: int) -> str:
    return "1 edge" if number == 1 else f"{number} edges"


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
            raise GenotypeError(f"{prefix}{shown(field)[1:-1]}: unknown field; valid are {', '.join(known)}")
