"""Search spaces: which cells their architectures have, and what network is built of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hnas_nni.architecture.cells import CellShape, input_label, operation_label
from hnas_nni.architecture.references import lazy

if TYPE_CHECKING:
    from torch import nn

POSITION_LABEL = "upsample_position"
DEPTH_LABEL = "depth"
WIDTH_LABEL = "width"


@dataclass(frozen=True, eq=False)
class Space:
    """A search space. Its candidate operations are the rows of :mod:`hnas_nni.architecture.operations` that name it.

    Parameters
    ----------
    name
        What it is called.
    shapes
        The kinds of cells and how each is wired, in the order in which the controller decides them.
    network
        ``network(genotype, scale, channels, layers)`` makes the network of an architecture.
    cost_parts
        ``cost_parts(scale, channels)`` says what the network's parts cost (:mod:`hnas_nni.network.cost_parts`).
    depths, widths
        Candidates for L and C where they are searched: ascending. Empty in a space whose sizes are fixed.
    """

    name: str
    shapes: Mapping[str, CellShape]
    network: Callable[..., nn.Module]
    cost_parts: Callable[..., object]
    depths: tuple[int, ...] = field(default=())
    widths: tuple[int, ...] = field(default=())

    def __deepcopy__(self, memo: object) -> Space:
        """Return the space itself: a copy of an architecture is of the same space."""
        return self

    def __reduce__(self) -> tuple[Callable[[str], Space], tuple[str]]:
        """Go by the name into other processes."""
        return _named, (self.name,)

    @property
    def cells(self) -> tuple[str, ...]:
        """The kinds of cells."""
        return tuple(self.shapes)

    @property
    def sized(self) -> bool:
        """Whether L and C are decisions of the network level."""
        return bool(self.depths)

    def cell_labels(self) -> Iterator[str]:
        """Yield the labels of the cells' decisions in the order of the controller.

        Cell by cell and node by node, the input picks before the operation picks (paper, section II-C).
        """
        for cell, shape in self.shapes.items():
            for node in shape.nodes:
                for make_label in (input_label, operation_label):
                    for slot in range(shape.edges_per_node):
                        yield make_label(cell, node, slot)


_PAPER_SHAPE = CellShape(intermediate=4, edges_per_node=2)

PAPER = Space(
    "paper",
    shapes={"normal": _PAPER_SHAPE, "upsampling": _PAPER_SHAPE},
    network=lazy("hnas_nni.network.network:HNASNetwork"),
    cost_parts=lazy("hnas_nni.network.network:cost_parts"),
)
"""The hierarchical space of the paper (Guo et al., IEEE SPL 2020, arXiv 2003.04619, section II)."""

EFFICIENT = Space(
    "efficient",
    shapes={"normal": CellShape(3, 1), "upsampling": CellShape(2, 1)},
    network=lazy("hnas_nni.network.efficient_network:EfficientNetwork"),
    cost_parts=lazy("hnas_nni.network.efficient_network:cost_parts"),
    depths=(2, 3, 4, 5, 6, 7, 8, 9),
    widths=(*range(8, 25), 26, 28, 30, 32, 36, 40, 44, 48, 56, 64),
)
"""Plain convolutions at low resolution, an interpolation of the input added to the output; L and C are searched."""

SPACES: Mapping[str, Space] = {space.name: space for space in (PAPER, EFFICIENT)}


def _named(name: str) -> Space:
    return SPACES[name]
