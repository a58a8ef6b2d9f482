"""The architecture as data: two cells and the position of the upsampling cell.

A :class:`Genotype` is all that travels between controller, NNI, network, cost table and files. It knows
nothing of torch or NNI; the space that it belongs to knows what network :meth:`Genotype.build` makes.
"""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hnas_nni.architecture.cells import (
    EDGES_PER_NODE,
    NODES,
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
from hnas_nni.architecture.operations import candidates
from hnas_nni.architecture.spaces import PAPER, Space
from hnas_nni.files import replacing

if TYPE_CHECKING:
    from torch import nn

POSITION_LABEL = "upsample_position"
DEFAULT_LAYERS = 12
"""Blocks of the paper's networks, L."""

_FORMAT = "hnas-genotype"
_VERSION = 1

_PRINTABLE = re.compile(
    r"Genotype\(normal: (?P<normal>.*), upsampling: (?P<upsampling>.*), position: (?P<position>\d+)\)"
)
_PRINTABLE_EDGE = re.compile(r"(\w+)\((\d+)\)")


@dataclass(frozen=True)
class Genotype:
    """An architecture of the hierarchical space: the normal cell, the upsampling cell, and where it stands.

    Parameters
    ----------
    normal, upsampling
        The two cells. All normal cells of a network share the first (not its weights).
    position
        Which block is the upsampling cell, counted from 1.

    Attributes
    ----------
    space
        The search space that it belongs to.

    Raises
    ------
    GenotypeError
        If a cell or the position is not in the space. The upper bound of `position` depends on the number of
        layers, and is checked where that is known: :meth:`check_layers`, :meth:`build`.
    """

    normal: Cell
    upsampling: Cell
    position: int
    space: ClassVar[Space] = PAPER

    def __post_init__(self) -> None:
        for name, cell in self.cells():
            check_cell(cell, name, candidates(self.space, name))
        if not is_int(self.position) or self.position < 1:
            raise GenotypeError(
                f"position: {self.position!r} is not valid; it counts blocks from 1, so give an integer in 1..L"
            )

    def __str__(self) -> str:
        cells = ", ".join(f"{name}: {cell}" for name, cell in self.cells())
        return f"Genotype({cells}, position: {self.position})"

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
            raise GenotypeError(f"layers: {layers!r} is not valid; a network has at least 2 blocks")
        if self.position > layers:
            raise GenotypeError(
                f"position: {self.position} lies behind the last of {layers} layers; valid are 1..{layers}"
            )

    def build(self, scale: int = 2, channels: int = 64, layers: int = DEFAULT_LAYERS) -> nn.Module:
        """Build the plain torch network, that of the genotype's space.

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
        torch.nn.Module
            It maps ``(n, 3, h, w)`` in 0..1 to ``(n, 3, scale * h, scale * w)``.

        Raises
        ------
        GenotypeError
            If the position lies behind the last layer.
        ValueError
            If scale, channels or layers are out of range.
        """
        return self.space.network(self, scale, channels, layers)

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
        cells = {}
        for name in cls.space.cells:
            operations = candidates(cls.space, name)
            slots = [node for node in NODES for _ in range(EDGES_PER_NODE)]
            cells[name] = Cell(tuple(Edge(rng.choice(operations), rng.randrange(node)) for node in slots))
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
        for name in cls.space.cells:
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
            for name in cls.space.cells
        }
        return cls(position=int(match["position"]), **cells)

    def to_dict(self) -> dict[str, Any]:
        """Return the genotype as JSON-ready data, the content of the file form."""
        cells = {name: cell.to_dict() for name, cell in self.cells()}
        return {"format": _FORMAT, "version": _VERSION, **cells, "position": self.position}

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
        refuse_unknown(document, ("format", "version", *cls.space.cells, "position"), "")
        cells = {name: Cell.from_dict(require(document, name, ""), name) for name in cls.space.cells}
        return cls(position=require(document, "position", ""), **cells)

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
