"""The architecture as data: two cells, the position of the upsampling cell and, where searched, depth and width.

A :class:`Genotype` is all that travels between controller, NNI, network, cost table and files. It knows
nothing of torch or NNI; the space that it belongs to knows what network :meth:`Genotype.build` makes.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hnas_nni.architecture.cells import (
    Cell,
    Edge,
    GenotypeError,
    check_cell,
    input_label,
    is_int,
    operation_label,
    refuse_unknown,
    require,
)
from hnas_nni.architecture.operations import OPERATIONS, candidates
from hnas_nni.architecture.references import lazy
from hnas_nni.architecture.spaces import DEPTH_LABEL, PAPER, POSITION_LABEL, SPACES, WIDTH_LABEL, Space
from hnas_nni.files import replacing
from hnas_nni.foreign_text import parse_json, read_text, shown

DEFAULT_CHANNELS = 64
DEFAULT_LAYERS = 12
"""C and L of the paper's networks."""

_cost_table = lazy("hnas_nni.cost:cost_table")

_FORMAT = "hnas-genotype"
_VERSION = 2
_SIZES = ("depth", "width")
_MOST_BYTES = 16 * 2**20
"""Of a genotype's file, which takes some two thousand."""

_PRINTABLE = re.compile(
    r"Genotype\(normal: (?P<normal>.*), upsampling: (?P<upsampling>.*), position: (?P<position>\d+)"
    r"(?:, depth: (?P<depth>\d+))?(?:, width: (?P<width>\d+))?\)"
)
_PRINTABLE_EDGE = re.compile(r"(\w+)\((\d+)\)")


@dataclass(frozen=True)
class Genotype:
    """An architecture of a hierarchical space: the normal cell, the upsampling cell, where it stands, and the sizes.

    Parameters
    ----------
    normal, upsampling
        The two cells. All normal cells of a network share the first (not its weights).
    position
        Which block is the upsampling cell, counted from 1.
    depth, width
        L, the number of blocks, and C, the channels of an operation. None where the architecture leaves them open, as
        in the paper's space: then they are settings of the search and of :meth:`build`.
    space
        The search space that it belongs to.

    Raises
    ------
    GenotypeError
        If a cell, the position or a size is not in the space. The upper bound of `position` depends on the number of
        layers, and is checked where that is known: here, :meth:`check_layers` or :meth:`build`.
    """

    normal: Cell
    upsampling: Cell
    position: int
    depth: int | None = None
    width: int | None = None
    space: Space = PAPER

    kind = "genotype"

    def __post_init__(self) -> None:
        for name, cell in self.cells():
            check_cell(cell, name, self.space.shapes[name], candidates(self.space, name))
        if not is_int(self.position) or self.position < 1:
            raise GenotypeError(
                f"position: {shown(self.position)} is not valid; it counts blocks from 1, so give an integer in 1..L"
            )
        if self.width is not None and (not is_int(self.width) or self.width < 1):
            raise GenotypeError(f"width: {shown(self.width)} is not valid; give channels, an integer of at least 1")
        if self.depth is not None:
            self.check_layers(self.depth)

    def __str__(self) -> str:
        cells = ", ".join(f"{name}: {cell}" for name, cell in self.cells())
        sizes = "".join(f", {name}: {size}" for name, size in self._sizes())
        return f"Genotype({cells}, position: {self.position}{sizes})"

    def cells(self) -> Iterator[tuple[str, Cell]]:
        """Yield ``("normal", cell)`` and ``("upsampling", cell)``."""
        for name in self.space.cells:
            yield name, getattr(self, name)

    def check_layers(self, layers: int) -> None:
        """Check that the genotype fits a network of `layers` blocks.

        Raises
        ------
        GenotypeError
            If `layers` is not an integer of at least 2 or the position lies behind the last block.
        """
        if not is_int(layers) or layers < 2:
            raise GenotypeError(f"layers: {shown(layers)} is not valid; a network has at least 2 blocks")
        if self.position > layers:
            raise GenotypeError(
                f"position: {self.position} lies behind the last of {layers} layers; valid are 1..{layers}"
            )

    def sized(self, channels: int, layers: int) -> Genotype:
        """Return the genotype with those sizes where it leaves them open; what it says itself stays.

        Raises
        ------
        GenotypeError
            If the position lies behind the last layer.
        """
        return replace(self, width=self.width or channels, depth=self.depth or layers)

    def build(self, scale: int = 2, channels: int = DEFAULT_CHANNELS, layers: int = DEFAULT_LAYERS) -> Any:
        """Build the plain torch network, that of the genotype's space.

        Parameters
        ----------
        scale
            Upscaling factor: 2, 3 or 4.
        channels, layers
            C, the channels of an operation, and L, the number of blocks, of a genotype that leaves them open. In the
            paper's space blocks hand on 4C (64 in the paper's final networks, 8 in its search).

        Returns
        -------
        hnas_nni.network.base.SuperResolutionNetwork
            A torch.nn.Module. It maps ``(n, 3, h, w)`` in 0..1 to ``(n, 3, scale * h, scale * w)``.

        Raises
        ------
        GenotypeError
            If the position lies behind the last layer.
        ValueError
            If scale, channels or layers are out of range.
        """
        return self.space.network(self, scale, channels, layers)

    def cost(self, scale: int = 2, channels: int = DEFAULT_CHANNELS, layers: int = DEFAULT_LAYERS) -> Any:
        """Return the :class:`hnas_nni.cost.Cost` of that network at a 3x480x480 input, by the table that searches use.

        Parameters
        ----------
        scale, channels, layers
            As for :meth:`build`, which raises the same.
        """
        return _cost_table(scale, channels, layers)(self)

    @classmethod
    def random(
        cls, seed: int | random.Random | None = None, layers: int = DEFAULT_LAYERS, space: Space = PAPER
    ) -> Genotype:
        """Draw a genotype uniformly from a space.

        Parameters
        ----------
        seed
            An integer for a repeatable draw, a :class:`random.Random` to go on with, or None.
        layers
            L, in a space that does not search it; the position is drawn from 1..L.
        space
            The space.
        """
        rng = seed if isinstance(seed, random.Random) else random.Random(seed)
        cells: dict[str, Any] = {}
        for name, shape in space.shapes.items():
            operations = candidates(space, name)
            edges = tuple(Edge(rng.choice(operations), rng.randrange(node)) for node, _ in shape.slots())
            cells[name] = Cell(edges, shape.edges_per_node)
        if not space.sized:
            return cls(**cells, position=rng.randint(1, layers), space=space)
        depth, width = rng.choice(space.depths), rng.choice(space.widths)
        return cls(**cells, position=rng.randint(1, depth), depth=depth, width=width, space=space)

    def to_sample(self) -> dict[str, Any]:
        """Return the genotype as an NNI sample of :class:`search_spaces.HNASSpace`.

        Input picks are one-element lists, because NNI's InputChoice picks a list of inputs.
        """
        sample: dict[str, Any] = {}
        for name, cell in self.cells():
            for node, slot, edge in cell.slots():
                sample[input_label(name, node, slot)] = [edge.source]
                sample[operation_label(name, node, slot)] = edge.operation
        return sample | dict(self._sizes()) | {POSITION_LABEL: self.position}

    @classmethod
    def from_sample(cls, sample: Mapping[str, Any]) -> Genotype:
        """Read an NNI sample; input picks may be one-element lists (NNI NAS) or integers (nnictl).

        The operations tell the space. Where the depth is a choice as well, a position behind the last block stands for
        the last one: NNI's own strategies pick both without looking at the other.

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

        space = _space_of(value for label, value in left.items() if "/op_" in label)
        cells: dict[str, Any] = {}
        for name, shape in space.shapes.items():
            edges = []
            for node, slot in shape.slots():
                label = input_label(name, node, slot)
                source = take(label)
                if isinstance(source, (list, tuple)):
                    if len(source) != 1:
                        raise GenotypeError(f"{label}: {shown(source)} must pick exactly one input")
                    (source,) = source
                edges.append(Edge(take(operation_label(name, node, slot)), source))
            cells[name] = Cell(tuple(edges), shape.edges_per_node)
        position = take(POSITION_LABEL)
        depth, width = left.pop(DEPTH_LABEL, None), left.pop(WIDTH_LABEL, None)
        if left:
            raise GenotypeError(f"{min(left)}: not a label of this space")
        if is_int(position) and is_int(depth):
            position = min(position, depth)
        return cls(**cells, position=position, depth=depth, width=width, space=space)

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
            raise GenotypeError(f"genotype: {shown(text)} is not the printable form of a genotype")
        edges = {name: tuple(_PRINTABLE_EDGE.findall(match[name])) for name in ("normal", "upsampling")}
        space = _space_of(operation for cell in edges.values() for operation, _ in cell)
        cells: dict[str, Any] = {
            name: Cell(tuple(Edge(op, int(source)) for op, source in edges[name]), shape.edges_per_node)
            for name, shape in space.shapes.items()
        }
        sizes: dict[str, Any] = {name: int(match[name]) for name in _SIZES if match[name]}
        return cls(**cells, position=int(match["position"]), space=space, **sizes)

    def to_dict(self) -> dict[str, Any]:
        """Return the genotype as JSON-ready data, the content of the file form."""
        cells = {name: cell.to_dict() for name, cell in self.cells()}
        head = {"format": _FORMAT, "version": _VERSION, "space": self.space.name}
        return head | cells | {"position": self.position} | dict(self._sizes())

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Genotype:
        """Read the data that :meth:`to_dict` wrote, or that of version 1, which knew the paper's space alone.

        Raises
        ------
        GenotypeError
            If a field is missing, unknown, of a wrong type or out of range; the message names it.
        """
        if not isinstance(document, Mapping):
            raise GenotypeError(f"genotype: expected a JSON object, got {type(document).__name__}")
        if document.get("format") != _FORMAT:
            raise GenotypeError(f'format: {shown(document.get("format"))} is not valid; expected "{_FORMAT}"')
        version = document.get("version")
        if version not in (1, _VERSION):
            raise GenotypeError(
                f"version: {shown(version)} can't be read; this hnas-nni reads versions 1 and {_VERSION}"
            )
        known: tuple[str, ...] = ("format", "version")
        space = PAPER
        if version == _VERSION:
            name = require(document, "space", "")
            if not isinstance(name, str) or name not in SPACES:
                raise GenotypeError(f"space: {shown(name)} is unknown; valid are {', '.join(SPACES)}")
            space = SPACES[name]
            known += ("space", *_SIZES)
        refuse_unknown(document, (*known, *space.cells, "position"), "")
        cells: dict[str, Any] = {
            name: Cell.from_dict(require(document, name, ""), name, shape) for name, shape in space.shapes.items()
        }
        sizes: dict[str, Any] = {name: document[name] for name in _SIZES if name in document}
        return cls(**cells, position=require(document, "position", ""), space=space, **sizes)

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the file form: one edge a line, so that versions compare well; written to `path` if given.

        The file appears whole or not at all.

        Raises
        ------
        FileNotFoundError
            If the folder of `path` does not exist.
        """
        document = self.to_dict()
        lines = [f'  "{name}": {json.dumps(document[name])}' for name in ("format", "version", "space")]
        for name, _ in self.cells():
            nodes = []
            for node, edges in document[name].items():
                rows = ",\n".join(f"      {json.dumps(edge)}" for edge in edges)
                nodes.append(f'    "{node}": [\n{rows}\n    ]')
            lines.append(f'  "{name}": {{\n' + ",\n".join(nodes) + "\n  }")
        lines += [f'  "{name}": {document[name]}' for name in ("position", *_SIZES) if name in document]
        text = "{\n" + ",\n".join(lines) + "\n}\n"
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
            If the text is not JSON, or not a valid genotype, or the file no regular one or larger than 16 MiB; the
            message starts with the file's name.
        """
        if isinstance(source, str) and source.lstrip().startswith("{"):
            return cls.from_dict(_parse(source))
        try:
            text = read_text(source, _MOST_BYTES)
        except ValueError as error:
            raise GenotypeError(str(error)) from error
        try:
            return cls.from_dict(_parse(text))
        except GenotypeError as error:
            raise GenotypeError(f"{source}: {error}") from error

    def _sizes(self) -> Iterator[tuple[str, int]]:
        for name in _SIZES:
            if (size := getattr(self, name)) is not None:
                yield name, size


def _space_of(operations: Iterable[Any]) -> Space:
    """Return the space that the first known operation belongs to; the paper's if none is known."""
    for operation in operations:
        if isinstance(operation, str) and operation in OPERATIONS:
            return OPERATIONS[operation].space
    return PAPER


def _parse(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError as error:
        raise GenotypeError(f"not valid JSON: {error}") from error
