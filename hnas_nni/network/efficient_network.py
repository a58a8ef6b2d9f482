"""The network of the efficient space: little at high resolution, and an interpolation of the input added.

It computes on luma alone, as FSRCNN and ESPCN do, whose papers PSNR on Y comes from: what it adds to the interpolated
image is grey. The multiply-adds that three colours take at both ends go into the middle.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.cells import INPUT_NODES, Cell, edge_scale
from hnas_nni.architecture.genotype import DEFAULT_CHANNELS, DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.metrics import LUMA
from hnas_nni.network.base import GenotypeNetwork
from hnas_nni.network.cost_parts import CostPart, CostParts
from hnas_nni.network.network import DIV2K_MEAN_RGB, block_cells
from hnas_nni.network.over_parameterised import over_parameterise_later

Module = TypeVar("Module", bound=nn.Module)

COLOURS = 3
LUMA_CHANNELS = 1
"""Channels of what a network computes from, and of what it adds to the interpolated image."""

_TAIL_SHARE = 0.1
"""Share of torch's random weights that what writes the image begins with, so that the network begins as the
interpolation. From zero it learns nothing for some hundred steps."""

_GAIN = 1.5
"""Multiple of torch's random weights that the other convolutions begin with. With torch's own a signal loses a third at
each, so that short trainings tell how many there are and not how good they are; with twice as much, long ones lose."""


class EfficientStem(nn.Module):
    """Take the luma of an RGB image, subtract its mean and extract features, ``(n, 3, h, w)`` to ``(n, C, h, w)``.

    Parameters
    ----------
    channels
        C.

    Raises
    ------
    ValueError
        If there is but one channel.
    """

    luma: torch.Tensor
    mean: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels <= LUMA_CHANNELS:
            raise ValueError(
                f"channels: {channels!r} is not valid; the efficient space needs at least {LUMA_CHANNELS + 1}"
            )
        weights = torch.tensor(LUMA) / sum(LUMA)  # of the grey in 0..1 that has an image's Y
        self.register_buffer("luma", weights.view(1, COLOURS, 1, 1), persistent=False)
        self.register_buffer("mean", (weights * torch.tensor(DIV2K_MEAN_RGB)).sum(), persistent=False)
        self.conv = nn.Conv2d(LUMA_CHANNELS, channels, 3, padding=1)
        over_parameterise_later(self.conv)
        start(self)
        self.activation = nn.PReLU(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        luma = (x * self.luma).sum(dim=1, keepdim=True) - self.mean
        return self.activation(self.conv(luma))


class EfficientBlock(nn.Module):
    """One block: a cell whose loose ends, the nodes that no other node reads, are added up.

    Parameters
    ----------
    kind
        "normal" or "upsampling".
    cell
        The wiring.
    channels, scale, out
        C, the network's upscaling factor, and the channels that the block hands on.
    """

    def __init__(self, kind: str, cell: Cell, channels: int, scale: int, out: int) -> None:
        super().__init__()
        self.ops = nn.ModuleList(
            operation_module(kind, edge.operation, edge.source, channels, scale, out) for edge in cell.edges
        )
        self._sources = [edge.source for edge in cell.edges]
        self._loose_ends = cell.loose_ends()

    def forward(self, states: list[torch.Tensor]) -> torch.Tensor:
        """Compute the block from its two inputs, ``(n, C, h, w)`` each."""
        nodes = list(states)
        for operation, source in zip(self.ops, self._sources, strict=True):
            nodes.append(operation(nodes[source]))
        first, *others = self._loose_ends
        out = nodes[first]
        for node in others:
            out = out + nodes[node]
        return out


class Interpolation(nn.Module):
    """:func:`interpolated` as a module, which costs time and no multiply-adds."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return interpolated(x, self.scale)


class EfficientNetwork(GenotypeNetwork):
    """The network of a genotype of the efficient space: stem, L blocks, tail, plus the interpolated input.

    A normal block reads the outputs of the two blocks before it, the upsampling block the last one and the stem. Where
    the last block upsamples, it writes the image itself, by ``s^2`` channels and a pixel shuffle; there is no tail.

    Parameters
    ----------
    genotype, scale, channels, layers
        As for :class:`hnas_nni.network.base.GenotypeNetwork`; blocks hand on C channels, at least two.
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
        last = genotype.position == layers
        self.stem = EfficientStem(channels)
        self.blocks = nn.ModuleList(
            EfficientBlock(
                kind,
                getattr(genotype, kind),
                channels,
                scale,
                LUMA_CHANNELS if last and kind == "upsampling" else channels,
            )
            for kind in block_cells(genotype.position, layers)
        )
        self.tail = nn.Identity() if last else efficient_tail(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Upscale a batch of RGB images in 0..1, ``(n, 3, h, w)`` to ``(n, 3, scale * h, scale * w)``."""
        features = run_efficient_blocks(self.blocks, self.genotype.position, self.stem(x))
        return self.tail(features) + interpolated(x, self.scale)


def run_efficient_blocks(blocks: Iterable[nn.Module], position: int, features: torch.Tensor) -> torch.Tensor:
    """Run the blocks one after another, the one at `position` (from 1) on the stem's output and the last block's.

    Parameters
    ----------
    blocks
        The L blocks.
    position
        Which of them upsamples.
    features
        Output of the stem, ``(n, C, h, w)``.

    Returns
    -------
    torch.Tensor
        ``(n, 1, scale * h, scale * w)`` if the last block upsamples, else C channels.
    """
    second_last = last = features
    for index, block in enumerate(blocks, start=1):
        if index == position:
            second_last = last = block([features, last])
        else:
            second_last, last = last, block([second_last, last])
    return last


def interpolated(x: torch.Tensor, scale: int) -> torch.Tensor:
    """Return the images that the network's output is added to: bicubic interpolations."""
    height, width = x.shape[-2:]
    # By the size: of a factor torch.export can't tell that it gives whole pixels for every image.
    return F.interpolate(x, (scale * height, scale * width), mode="bicubic", align_corners=False)


def operation_module(kind: str, operation: str, source: int, channels: int, scale: int, out: int) -> nn.Module:
    """Make the operation of an edge; `out` are the channels that an upsampling block hands on."""
    more = {"out": out} if kind == "upsampling" else {}
    module = OPERATIONS[operation].factory(channels, edge_scale(kind, source, scale), **more)
    return start(module, writes_image=kind == "upsampling" and out == LUMA_CHANNELS)


def cost_parts(scale: int, channels: int) -> CostParts:
    """Return what the networks of the efficient space are put together from."""

    def operation(cell: str, name: str, reads_input: bool, last: bool) -> CostPart:
        source = 0 if reads_input else INPUT_NODES
        out = LUMA_CHANNELS if last else channels
        high = cell == "upsampling" and not reads_input
        return CostPart(operation_module(cell, name, source, channels, scale, out), out if high else channels, high)

    def ends(last: bool) -> list[CostPart]:
        around = [CostPart(EfficientStem(channels), COLOURS), CostPart(Interpolation(scale), COLOURS)]
        return around if last else [*around, CostPart(efficient_tail(channels), channels, high=True)]

    return CostParts(ends=ends, block=(), operation=operation)


def efficient_tail(channels: int) -> nn.Conv2d:
    """Make the tail of networks that upsample before their last block: ``(n, C, h, w)`` to ``(n, 1, h, w)``."""
    return start(nn.Conv2d(channels, LUMA_CHANNELS, 3, padding=1), writes_image=True)


@torch.no_grad()
def start(module: Module, *, writes_image: bool = False) -> Module:
    """Give the convolutions of a new module the scale that they begin with, in place; returns the module."""
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            conv.weight *= _TAIL_SHARE if writes_image else _GAIN
            if writes_image and conv.bias is not None:
                conv.bias *= _TAIL_SHARE
    return module
