"""The super-resolution network that a genotype builds, in plain torch (paper, section II)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import cast

import torch
from torch import nn

from hnas_nni.architecture.cells import INPUT_NODES, Cell, edge_scale
from hnas_nni.architecture.genotype import DEFAULT_CHANNELS, DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.architecture.spaces import PAPER
from hnas_nni.network.base import GenotypeNetwork
from hnas_nni.network.cost_parts import CostPart, CostParts

DIV2K_MEAN_RGB = (0.4488, 0.4371, 0.4040)
"""Mean colour of DIV2K's training images, in 0..1; subtracted before the stem and added after the tail."""

NODES = PAPER.shapes["normal"].nodes
"""Intermediate nodes of the paper's cells, whose outputs are concatenated: 2, 3, 4, 5."""


def candidate(cell: str, operation: str, source: int | None, channels: int, scale: int) -> nn.Module:
    """Make the candidate `operation` of an edge that reads node `source` of a cell, in a network of that scale.

    As for :func:`hnas_nni.architecture.cells.edge_scale`, `source` is None where it is not picked yet.
    """
    return OPERATIONS[operation].factory(channels, edge_scale(cell, source, scale))


def _mean_colour() -> torch.Tensor:
    return torch.tensor(DIV2K_MEAN_RGB).view(1, 3, 1, 1)


class Stem(nn.Module):
    """Subtract the mean colour and extract 4C feature maps, ``(n, 3, h, w)`` to ``(n, 4C, h, w)``.

    Parameters
    ----------
    channels
        C, the channels of an operation.
    """

    mean: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", _mean_colour(), persistent=False)
        self.conv = nn.Conv2d(3, len(NODES) * channels, 3, padding=1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        # With the channels innermost most networks are faster on the CPU. All that follows takes over the format of
        # the image; weights in that format would do the same, but much of torch wants them contiguous.
        return self.conv((x - self.mean).contiguous(memory_format=torch.channels_last))


class Tail(nn.Module):
    """Turn 4C feature maps into an image: ``(n, 4C, h, w)`` to ``(n, 3, h, w)``, mean colour added.

    Parameters
    ----------
    channels
        C, the channels of an operation.
    """

    mean: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", _mean_colour(), persistent=False)
        self.conv = nn.Conv2d(len(NODES) * channels, 3, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (self.conv(x) + self.mean).contiguous()  # the stem's format is no one else's business


class Preprocessor(nn.ModuleList):
    """Bring both inputs of a cell from 4C to C channels, by ReLU and a 1x1 convolution each.

    Parameters
    ----------
    channels
        C, the channels of an operation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.Sequential(nn.ReLU(), nn.Conv2d(len(NODES) * channels, channels, 1, bias=False))
            for _ in range(INPUT_NODES)
        )

    def forward(self, states: list[torch.Tensor]) -> list[torch.Tensor]:
        return [reduce(state) for reduce, state in zip(self, states, strict=True)]


class CellBlock(nn.Module):
    """One block of the network: a cell with its operations (paper, section II-B).

    Parameters
    ----------
    cell
        The wiring.
    make_operation
        Makes the module of an edge, given operation and source node.
    channels
        C, the channels of an operation.
    """

    def __init__(self, cell: Cell, make_operation: Callable[[str, int], nn.Module], channels: int) -> None:
        super().__init__()
        self.preprocessor = Preprocessor(channels)
        self.ops = nn.ModuleList(
            nn.ModuleList(make_operation(edge.operation, edge.source) for edge in cell.incoming(node)) for node in NODES
        )
        self._sources = [[edge.source for edge in cell.incoming(node)] for node in NODES]

    def operation(self, node: int, slot: int) -> nn.Module:
        """Return the operation of an edge: the first (0) or second (1) into intermediate node 2..5."""
        return cast(nn.ModuleList, self.ops[node - INPUT_NODES])[slot]

    def forward(self, states: list[torch.Tensor]) -> torch.Tensor:
        """Compute the block from the outputs of the second-last and the last block, ``(n, 4C, h, w)`` each."""
        nodes = self.preprocessor(states)
        for node, (first, second) in zip(NODES, self._sources, strict=True):
            nodes.append(self.operation(node, 0)(nodes[first]) + self.operation(node, 1)(nodes[second]))
        return torch.cat(nodes[INPUT_NODES:], dim=1)


def run_blocks(blocks: Iterable[nn.Module], position: int, x: torch.Tensor) -> torch.Tensor:
    """Run the blocks one after another, each on the outputs of the two before it.

    Behind the upsampling cell both running states are its output, as the one before it is of another size.

    Parameters
    ----------
    blocks
        The L blocks; the upsampling cell stands at `position`.
    position
        Which block upsamples, counted from 1.
    x
        Output of the stem, ``(n, 4C, h, w)``.
    """
    second_last = last = x
    for index, block in enumerate(blocks, start=1):
        out = block([second_last, last])
        second_last, last = (out, out) if index == position else (last, out)
    return last


class Blocks(nn.ModuleList):
    """The blocks of a network, one of which upsamples.

    Parameters
    ----------
    blocks
        The L blocks.
    position
        Which of them is the upsampling cell, counted from 1.
    """

    def __init__(self, blocks: Iterable[nn.Module], position: int) -> None:
        super().__init__(blocks)
        self.position = position

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return run_blocks(self, self.position, x)


class HNASNetwork(GenotypeNetwork):
    """The network of a genotype of the paper's space: stem, L blocks one of which upsamples, tail.

    Parameters
    ----------
    genotype, scale, channels, layers
        As for :class:`hnas_nni.network.base.GenotypeNetwork`; blocks hand on 4C channels.
    """

    def __init__(
        self,
        genotype: Genotype,
        scale: int = 2,
        channels: int = DEFAULT_CHANNELS,
        layers: int = DEFAULT_LAYERS,
    ) -> None:
        super().__init__(genotype, scale, channels, layers)
        channels, layers = self.channels, self.layers
        self.stem = Stem(channels)
        self.blocks = Blocks(
            (
                CellBlock(getattr(genotype, cell), partial(candidate, cell, channels=channels, scale=scale), channels)
                for cell in block_cells(genotype.position, layers)
            ),
            genotype.position,
        )
        self.tail = Tail(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch of RGB images in 0..1, ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        return self.tail(self.blocks(self.stem(x)))


def block_cells(position: int, layers: int) -> Iterator[str]:
    """Yield which cell each of the L blocks is: "normal", or "upsampling" at `position`."""
    for index in range(1, layers + 1):
        yield "upsampling" if index == position else "normal"


def cost_parts(scale: int, channels: int) -> CostParts:
    """Return what the networks of the paper's space are put together from."""
    maps = len(NODES) * channels

    def operation(cell: str, name: str, reads_input: bool, last: bool) -> CostPart:
        source = 0 if reads_input else INPUT_NODES
        high = cell == "upsampling" and not reads_input
        return CostPart(candidate(cell, name, source, channels, scale), channels, high)

    return CostParts(
        ends=lambda last: (CostPart(Stem(channels), 3), CostPart(Tail(channels), maps, high=True)),
        block=[CostPart(reduce, maps) for reduce in Preprocessor(channels)],
        operation=operation,
    )
