"""Architectures as text for a terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.architecture.cells import Cell
from hnas_nni.architecture.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.peers import Peer
from hnas_nni.architecture.spaces import EFFICIENT
from hnas_nni.report.layout import has_tail, merging, shown_operation

_UPSAMPLE = "operations on nodes 0 and 1 upsample, the others keep the size"
_TITLES = {
    "paper": {"normal": "normal cell", "upsampling": f"upsampling cell ({_UPSAMPLE})"},
    "efficient": {"normal": "normal cell", "upsampling": f"upsampling cell (node 0 is the stem; {_UPSAMPLE})"},
}


def _plain(text: str) -> str:
    return text


def describe(architecture: Architecture, layers: int = DEFAULT_LAYERS, *, strong: Callable[[str], str] = _plain) -> str:
    """Return an architecture as text: a genotype node by node, and its network as a line; another by its source.

    Parameters
    ----------
    architecture
        The architecture.
    layers
        L, the number of blocks of the network, where the architecture leaves it open.
    strong
        Marks headings, e.g. for a terminal.

    Raises
    ------
    GenotypeError
        If the upsampling cell stands behind the last layer.
    """
    if isinstance(architecture, Peer):
        return f"{strong(architecture.name)} ({architecture.source}); L counts the {architecture.of_layers}"
    genotype = cast(Genotype, architecture)
    lines = []
    layers = genotype.depth or layers
    genotype.check_layers(layers)
    for name, cell in genotype.cells():
        lines.append(strong(_TITLES[genotype.space.name][name]))
        lines += [f"  {line}" for line in cell_in_words(name, cell)]
        nodes, merge = merging(cell)
        output = f"{merge}(nodes {', '.join(map(str, nodes))})" if len(nodes) > 1 else f"node {nodes[0]}"
        lines += [f"  output = {output}", ""]
    more = "; bicubic interpolation of the input is added" if genotype.space is EFFICIENT else ""
    lines.append(strong(f"network (upsampling cell at block {genotype.position} of {layers}{more})"))
    line = network_line(genotype.position, layers, tail=has_tail(genotype, layers))
    return "\n".join([*lines, f"  {line}"])


def cell_in_words(kind: str, cell: Cell) -> list[str]:
    """Return the sum of each node of a cell of that kind, e.g. ``"node 2 = RCAB(node 1) + identity(node 0)"``."""
    return [
        f"node {node} = "
        + " + ".join(f"{shown_operation(kind, edge).label}(node {edge.source})" for edge in cell.incoming(node))
        for node in cell.nodes
    ]


def network_line(position: int, layers: int = DEFAULT_LAYERS, *, tail: bool = True) -> str:
    """Return the network's blocks as a line, the upsampling cell in brackets, high resolution in upper case.

    Examples
    --------
    >>> network_line(2, 4)
    'stem - n - [UP] - N - N - TAIL'
    """
    blocks = ["n"] * (position - 1) + ["[UP]"] + ["N"] * (layers - position)
    return " - ".join(["stem", *blocks, *(["TAIL"] if tail else [])])
