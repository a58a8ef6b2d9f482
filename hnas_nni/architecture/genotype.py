"""The architecture as data: two cells and the position of the upsampling cell.

A :class:`Genotype` is all that travels between controller, NNI, network, cost table and files. It knows
nothing of torch or NNI; :meth:`Genotype.build` imports the network when it is called.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hnas_nni.files import replacing

if TYPE_CHECKING:
    from hnas_nni.network.network import HNASNetwork

NORMAL_OPERATIONS = (
    "identity",
    "dil_conv_3x3",
    "dil_conv_5x5",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "up_down_projection",
    "rcab",
)
"""The seven candidates of a normal cell (paper, section II-B)."""

UPSAMPLING_OPERATIONS = ("area", "bilinear", "nearest", "deconv", "subpixel")
"""The five candidates of the upsampling cell (paper, section II-B)."""

INPUT_NODES = 2
"""Nodes 0 and 1 are the outputs of the second-last and the last block."""

INTERMEDIATE_NODES = 4
EDGES_PER_NODE = 2
POSITION_LABEL = "upsample_position"
DEFAULT_LAYERS = 12
"""Blocks of the paper's networks, L."""

NODES = tuple(range(INPUT_NODES, INPUT_NODES + INTERMEDIATE_NODES))
"""Indices of the intermediate nodes: 2, 3, 4, 5."""

CELL_OPERATIONS: dict[str, tuple[str, ...]] = {
    "normal": NORMAL_OPERATIONS,
    "upsampling": UPSAMPLING_OPERATIONS,
}
"""Candidate operations by cell, in the order in which the controller decides the cells.

Those of the paper, and behind them one's own (:mod:`hnas_nni.architecture.own_operations`, which alone changes this).
"""

_FORMAT = "hnas-genotype"
_VERSION = 1


_PRINTABLE = re.compile(
    r"Genotype\(normal: (?P<normal>.*), upsampling: (?P<upsampling>.*), position: (?P<position>\d+)\)"
)
_PRINTABLE_EDGE = re.compile(r"(\w+)\((\d+)\)")


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

    def incoming(self, node: int) -> tuple[Edge, Edge]:
        """Return the two edges that are summed in intermediate node `node` (2..5)."""
        first = (node - INPUT_NODES) * EDGES_PER_NODE
        return self.edges[first], self.edges[first + 1]

    def slots(self) -> Iterator[tuple[int, int, Edge]]:
        """Yield ``(node, slot, edge)`` for every edge; `slot` is 0 or 1."""
        for index, edge in enumerate(self.edges):
            yield INPUT_NODES + index // EDGES_PER_NODE, index % EDGES_PER_NODE, edge


def operation_label(cell: str, node: int, slot: int) -> str:
    """Return the label of the operation choice of an edge, e.g. ``normal/op_2_0``."""
    return f"{cell}/op_{node}_{slot}"


def input_label(cell: str, node: int, slot: int) -> str:
    """Return the label of the input choice of an edge, e.g. ``normal/input_2_0``."""
    return f"{cell}/input_{node}_{slot}"


@dataclass(frozen=True)
class Genotype:
    """An architecture of the hierarchical space: the normal cell, the upsampling cell, and where it stands.

    Parameters
    ----------
    normal, upsampling
        The two cells. All normal cells of a network share the first (not its weights).
    position
        Which block is the upsampling cell, counted from 1.

    Raises
    ------
    GenotypeError
        If a cell or the position is not in the space. The upper bound of `position` depends on the number of
        layers, and is checked where that is known: :meth:`check_layers`, :meth:`build`.
    """

    normal: Cell
    upsampling: Cell
    position: int

    def __post_init__(self) -> None:
        for name in CELL_OPERATIONS:
            _check_cell(getattr(self, name), name)
        if not _is_int(self.position) or self.position < 1:
            raise GenotypeError(
                f"position: {self.position!r} is not valid; it counts blocks from 1, so give an integer in 1..L"
            )

    def __str__(self) -> str:
        cells = ", ".join(f"{name}: {_format_cell(getattr(self, name))}" for name in CELL_OPERATIONS)
        return f"Genotype({cells}, position: {self.position})"

    def cells(self) -> Iterator[tuple[str, Cell]]:
        """Yield ``("normal", cell)`` and ``("upsampling", cell)``."""
        for name in CELL_OPERATIONS:
            yield name, getattr(self, name)

    def check_layers(self, layers: int) -> None:
        """Check that the genotype fits a network of `layers` blocks.

        Raises
        ------
        GenotypeError
            If `layers` is not an integer of at least 2 or the position lies behind the last block.
        """
        if not _is_int(layers) or layers < 2:
            raise GenotypeError(f"layers: {layers!r} is not valid; a network has at least 2 blocks")
        if self.position > layers:
            raise GenotypeError(
                f"position: {self.position} lies behind the last of {layers} layers; valid are 1..{layers}"
            )

    def build(self, scale: int = 2, channels: int = 64, layers: int = DEFAULT_LAYERS) -> HNASNetwork:
        """Build the plain torch network.

        Parameters
        ----------
        scale
            Upscaling factor: 2, 3 or 4.
        channels
            C, the channels of an operation; blocks hand on 4C (64 in the paper's final networks, 8 in its search).
        layers
            L, the number of blocks.

        Returns
        -------
        HNASNetwork
            A module that maps ``(n, 3, h, w)`` in 0..1 to ``(n, 3, scale * h, scale * w)``.

        Raises
        ------
        GenotypeError
            If the position lies behind the last layer.
        ValueError
            If scale, channels or layers are out of range.
        """
        from hnas_nni.network.network import HNASNetwork

        return HNASNetwork(self, scale=scale, channels=channels, layers=layers)

    @classmethod
    def random(cls, seed: int | random.Random | None = None, layers: int = DEFAULT_LAYERS) -> Genotype:
        """Draw a genotype uniformly from the space of networks with `layers` blocks.

        Parameters
        ----------
        seed
            An integer for a repeatable draw, a :class:`random.Random` to go on with, or None.
        layers
            L; the position is drawn from 1..L.
        """
        rng = seed if isinstance(seed, random.Random) else random.Random(seed)
        cells = {
            name: Cell(
                tuple(
                    Edge(rng.choice(operations), rng.randrange(node)) for node in NODES for _ in range(EDGES_PER_NODE)
                )
            )
            for name, operations in CELL_OPERATIONS.items()
        }
        return cls(position=rng.randint(1, layers), **cells)

    def to_sample(self) -> dict[str, Any]:
        """Return the genotype as an NNI sample of :class:`search_spaces.HNASSpace`.

        Input picks are one-element lists, because NNI's InputChoice picks a list of inputs.
        """
        sample: dict[str, Any] = {}
        for name, cell in self.cells():
            for node, slot, edge in cell.slots():
                sample[input_label(name, node, slot)] = [edge.source]
                sample[operation_label(name, node, slot)] = edge.operation
        sample[POSITION_LABEL] = self.position
        return sample

    @classmethod
    def from_sample(cls, sample: Mapping[str, Any]) -> Genotype:
        """Read an NNI sample; input picks may be one-element lists (NNI NAS) or integers (nnictl).

        Raises
        ------
        GenotypeError
            If a label is missing or unknown, or a value is not valid.
        """
        left = dict(sample)

        def take(label: str) -> Any:
            if label not in left:
                raise GenotypeError(f"{label}: missing from the sample")
            return left.pop(label)

        cells = {}
        for name in CELL_OPERATIONS:
            edges = []
            for node in NODES:
                for slot in range(EDGES_PER_NODE):
                    label = input_label(name, node, slot)
                    source = take(label)
                    if isinstance(source, (list, tuple)):
                        if len(source) != 1:
                            raise GenotypeError(f"{label}: {source!r} must pick exactly one input")
                        (source,) = source
                    edges.append(Edge(take(operation_label(name, node, slot)), source))
            cells[name] = Cell(tuple(edges))
        position = take(POSITION_LABEL)
        if left:
            raise GenotypeError(f"{min(left)}: not a label of this space")
        return cls(position=position, **cells)

    @classmethod
    def from_string(cls, text: str) -> Genotype:
        """Read the printable form, what ``str(genotype)`` gives and trials report.

        Raises
        ------
        GenotypeError
            If the text is not in that form, or not a valid genotype.
        """
        match = _PRINTABLE.fullmatch(text)
        if match is None:
            raise GenotypeError(f"genotype: {text!r} is not the printable form of a genotype")
        cells = {
            name: Cell(tuple(Edge(edge[1], int(edge[2])) for edge in _PRINTABLE_EDGE.finditer(match[name])))
            for name in CELL_OPERATIONS
        }
        return cls(position=int(match["position"]), **cells)

    def to_dict(self) -> dict[str, Any]:
        """Return the genotype as JSON-ready data, the content of the file form."""
        document: dict[str, Any] = {"format": _FORMAT, "version": _VERSION}
        for name, cell in self.cells():
            document[name] = {
                str(node): [{"operation": edge.operation, "from": edge.source} for edge in cell.incoming(node)]
                for node in NODES
            }
        document["position"] = self.position
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Genotype:
        """Read the data that :meth:`to_dict` wrote.

        Raises
        ------
        GenotypeError
            If a field is missing, unknown, of a wrong type or out of range; the message names it.
        """
        if not isinstance(document, Mapping):
            raise GenotypeError(f"genotype: expected a JSON object, got {type(document).__name__}")
        if document.get("format") != _FORMAT:
            raise GenotypeError(f'format: {document.get("format")!r} is not valid; expected "{_FORMAT}"')
        if document.get("version") != _VERSION:
            raise GenotypeError(
                f"version: {document.get('version')!r} can't be read; this hnas-nni reads version {_VERSION}"
            )
        _refuse_unknown(document, ("format", "version", *CELL_OPERATIONS, "position"), "")
        cells = {name: _cell_from_dict(_require(document, name, ""), name) for name in CELL_OPERATIONS}
        return cls(position=_require(document, "position", ""), **cells)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the file form: one edge a line, so that versions compare well; written to `path` if given.

        The file appears whole or not at all.

        Raises
        ------
        FileNotFoundError
            If the folder of `path` does not exist.
        """
        document = self.to_dict()
        lines = ["{", f'  "format": "{_FORMAT}",', f'  "version": {_VERSION},']
        for name, _ in self.cells():
            lines.append(f'  "{name}": {{')
            for node in NODES:
                first, second = (json.dumps(edge) for edge in document[name][str(node)])
                comma = "," if node != NODES[-1] else ""
                lines += [f'    "{node}": [', f"      {first},", f"      {second}", f"    ]{comma}"]
            lines.append("  },")
        lines += [f'  "position": {self.position}', "}", ""]
        text = "\n".join(lines)
        if path is not None:
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
        return text

    @classmethod
    def from_json(cls, source: str | os.PathLike[str]) -> Genotype:
        """Read the file form, from JSON text (a string that starts with ``{``) or from a file.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        GenotypeError
            If the text is not JSON, or not a valid genotype; the message starts with the file's name.
        """
        if isinstance(source, str) and source.lstrip().startswith("{"):
            return cls.from_dict(_parse(source))
        try:
            return cls.from_dict(_parse(Path(source).read_text(encoding="utf-8")))
        except UnicodeDecodeError as error:
            raise GenotypeError(f"{source}: not a text file") from error
        except GenotypeError as error:
            raise GenotypeError(f"{source}: {error}") from error


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise GenotypeError(f"not valid JSON: {error}") from error


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_cell(cell: object, name: str) -> None:
    if not isinstance(cell, Cell):
        raise GenotypeError(f"{name}: expected a Cell, got {type(cell).__name__}")
    expected = INTERMEDIATE_NODES * EDGES_PER_NODE
    if not isinstance(cell.edges, tuple) or len(cell.edges) != expected:
        raise GenotypeError(f"{name}: a cell has a tuple of {expected} edges, two for each node in {NODES}")
    for node, slot, edge in cell.slots():
        field = f"{name}.{node}[{slot}]"
        if not isinstance(edge, Edge):
            raise GenotypeError(f"{field}: expected an Edge, got {type(edge).__name__}")
        if edge.operation not in CELL_OPERATIONS[name]:
            raise GenotypeError(
                f"{field}.operation: {edge.operation!r} is unknown; valid are {', '.join(CELL_OPERATIONS[name])}"
            )
        if not _is_int(edge.source) or not 0 <= edge.source < node:
            raise GenotypeError(f"{field}.from: {edge.source!r} is not an earlier node; valid are 0..{node - 1}")


def _cell_from_dict(document: object, name: str) -> Cell:
    if not isinstance(document, Mapping):
        raise GenotypeError(f"{name}: expected an object with nodes {NODES}, got {type(document).__name__}")
    _refuse_unknown(document, [str(node) for node in NODES], f"{name}.")
    edges = []
    for node in NODES:
        pair = _require(document, str(node), f"{name}.")
        if not isinstance(pair, Sequence) or isinstance(pair, str) or len(pair) != EDGES_PER_NODE:
            raise GenotypeError(f"{name}.{node}: a node needs a list of exactly {EDGES_PER_NODE} edges")
        for slot, edge in enumerate(pair):
            field = f"{name}.{node}[{slot}]"
            if not isinstance(edge, Mapping):
                raise GenotypeError(f'{field}: expected {{"operation": ..., "from": ...}}, got {edge!r}')
            _refuse_unknown(edge, ("operation", "from"), f"{field}.")
            edges.append(Edge(_require(edge, "operation", f"{field}."), _require(edge, "from", f"{field}.")))
    return Cell(tuple(edges))


def _require(document: Mapping[str, Any], field: str, prefix: str) -> Any:
    if field not in document:
        raise GenotypeError(f"{prefix}{field}: missing")
    return document[field]


def _refuse_unknown(document: Mapping[str, Any], known: Iterable[str], prefix: str) -> None:
    known = tuple(known)
    for field in document:
        if field not in known:
            raise GenotypeError(f"{prefix}{field}: unknown field; valid are {', '.join(known)}")


def _format_cell(cell: Cell) -> str:
    return " ".join(f"{node}={first}+{second}" for node in NODES for first, second in [cell.incoming(node)])
