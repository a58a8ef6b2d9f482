"""What an architecture costs: multiply-adds and parameters.

Multiply-adds are those of convolutions and transposed convolutions, as super-resolution papers count them; biases,
activations, pooling and interpolation are free. A transposed convolution costs its weights once for each *input*
position, a convolution for each *output* position.

:func:`count` profiles the network itself with thop. :class:`CostTable` profiles every candidate once and then adds
up, which gives the same integers some thousand times faster; it is what a search uses.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

import torch
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.architecture.cells import INPUT_NODES
from hnas_nni.architecture.genotype import DEFAULT_CHANNELS, DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.operation import Operation
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.architecture.spaces import Space
from hnas_nni.latency import LatencyTable
from hnas_nni.network.base import check_network_size
from hnas_nni.network.cost_parts import CostPart, CostParts
from hnas_nni.settings import shared

DEFAULT_LR_SIZE = (480, 480)
"""Low-resolution height and width at which costs are stated (paper, section III)."""

_BLOCK = 8
"""Side of the images that :func:`small_count` looks at."""

_MOST_CHANNELS_IN_MEMORY = 512
"""C up to which parts are profiled on the CPU; the largest takes 64 MB then."""


@dataclass(frozen=True)
class Cost:
    """Cost of an architecture, or of a part of it.

    Parameters
    ----------
    conv_macs
        Multiply-adds of convolutions.
    deconv_macs
        Multiply-adds of transposed convolutions.
    params
        Number of trainable parameters.
    milliseconds
        On a device whose times were measured; 0 where none were.
    """

    conv_macs: int = 0
    deconv_macs: int = 0
    params: int = 0
    milliseconds: float = 0.0

    @property
    def macs(self) -> int:
        """Multiply-adds, transposed convolutions included."""
        return self.conv_macs + self.deconv_macs

    @property
    def gmacs(self) -> float:
        """Multiply-adds in units of 10^9."""
        return self.macs / 1e9

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.conv_macs + other.conv_macs,
            self.deconv_macs + other.deconv_macs,
            self.params + other.params,
            self.milliseconds + other.milliseconds,
        )

    def __mul__(self, times: int) -> Cost:
        return Cost(self.conv_macs * times, self.deconv_macs * times, self.params * times, self.milliseconds * times)


def count(
    architecture: Architecture,
    scale: int = 2,
    channels: int = DEFAULT_CHANNELS,
    layers: int = DEFAULT_LAYERS,
    lr_size: tuple[int, int] = DEFAULT_LR_SIZE,
) -> Cost:
    """Count multiply-adds and parameters of the network that an architecture builds, by running it under thop.

    Nothing is computed: the network lies on torch's meta device, where only shapes are followed.

    Parameters
    ----------
    architecture
        A genotype, or a network of :mod:`hnas_nni.architecture.peers`.
    scale, channels, layers
        As for its ``build``.
    lr_size
        Height and width of the low-resolution input, in pixels.

    Raises
    ------
    GenotypeError, ValueError
        As its ``build`` does.
    """
    with torch.device("meta"):
        network = architecture.build(scale, channels, layers)
    return _profile_in_place(network, torch.zeros(1, 3, *lr_size, device="meta"))


def profile(module: nn.Module, *inputs: torch.Tensor) -> Cost:
    """Count one forward pass of a module with thop.

    thop's own rule for transposed convolutions counts output positions and so is too large by the square of the
    stride; ours counts input positions. Modules other than convolutions cost nothing.

    Parameters
    ----------
    module
        The module; it is left as it is.
    *inputs
        Tensors to call it with, on the module's device. On the meta device nothing is computed.
    """
    return _profile_in_place(copy.deepcopy(module), *inputs)


def _profile_in_place(module: nn.Module, *inputs: torch.Tensor) -> Cost:
    """Count as :func:`profile` does a module that nobody needs afterwards: thop may leave its counters behind in it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # thop compares versions as distutils did
        import thop

    deconv_macs = 0

    def count_deconv(module: nn.ConvTranspose2d, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal deconv_macs
        (x,) = inputs
        macs = module.weight.numel() * x.shape[0] * x.shape[2] * x.shape[3]
        cast(torch.Tensor, module.total_ops).add_(macs)
        deconv_macs += macs

    def count_nothing(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        pass

    # thop looks rules up by exact type, so each leaf's type gets one; plain convolutions keep thop's own.
    rules = {
        type(leaf): count_deconv if isinstance(leaf, nn.ConvTranspose2d) else count_nothing
        for leaf in module.modules()
        if next(leaf.children(), None) is None and type(leaf) is not nn.Conv2d
    }
    with torch.device("cpu"):  # thop's counters hold numbers, whatever device is the default around us
        macs, _ = thop.profile(module, inputs=inputs, custom_ops=rules, verbose=False)
    params = sum(parameter.numel() for parameter in module.parameters())
    return Cost(int(macs) - deconv_macs, deconv_macs, params)


@lru_cache(maxsize=4096)
def small_count(architecture: Architecture, scale: int, channels: int, layers: int) -> Cost:
    """Count as :func:`count` does, at the size that costs are stated for, from two small images on the CPU.

    Exact where all convolutions see a fixed share of the image's pixels, at a size whose sides are multiples of 8, or
    always the same number of them. The meta device would import torch's compiler, which takes seconds.

    Parameters
    ----------
    architecture, scale, channels, layers
        As for :func:`count`, which raises the same.
    """
    if channels > _MOST_CHANNELS_IN_MEMORY:
        return count(architecture, scale, channels, layers)
    with making_parts():
        network = architecture.build(scale, channels, layers)
        small, large = (profile(network, torch.zeros(1, 3, _BLOCK, width)) for width in (_BLOCK, 2 * _BLOCK))
    height, width = DEFAULT_LR_SIZE
    further = height * width // _BLOCK**2 - 1
    return Cost(
        small.conv_macs + further * (large.conv_macs - small.conv_macs),
        small.deconv_macs + further * (large.deconv_macs - small.deconv_macs),
        small.params,
    )


class CostTable:
    """Multiply-adds and parameters of any architecture by addition, equal to :func:`count` to the last integer.

    Every candidate is profiled once at each of the two resolutions it can run at, when it is first asked for. One
    look-up then adds a few entries.

    Parameters
    ----------
    scale
        Upscaling factor: 2, 3 or 4.
    channels, layers
        C and L of genotypes that leave them open.
    lr_size
        Height and width of the low-resolution input, in pixels.
    latency
        The times of the networks' parts on a device, for milliseconds beside the multiply-adds.

    Raises
    ------
    ValueError
        If scale, channels or layers are out of range.
    """

    def __init__(
        self,
        scale: int = 2,
        channels: int = DEFAULT_CHANNELS,
        layers: int = DEFAULT_LAYERS,
        lr_size: tuple[int, int] = DEFAULT_LR_SIZE,
        latency: LatencyTable | None = None,
    ) -> None:
        check_network_size(scale, channels, layers)
        self.scale = scale
        self.channels = channels
        self.layers = layers
        self.lr_size = lr_size
        self.latency = latency
        self._with_times: dict[tuple[Space, int, tuple[Operation, ...]], PartCosts] = {}

    def __call__(self, genotype: Genotype) -> Cost:
        """Return the cost of a genotype.

        Raises
        ------
        GenotypeError
            If the genotype's position lies behind the last layer.
        """
        depth, position = genotype.depth or self.layers, genotype.position
        genotype.check_layers(depth)
        before, behind, last = position - 1, depth - position, position == depth
        parts = self.parts(genotype.space, genotype.width or self.channels)
        summands = [(parts.ends(last), 1), (parts.block(high=False), position), (parts.block(high=True), behind)]
        for edge in genotype.normal.edges:
            summands += (parts.normal(edge.operation, False), before), (parts.normal(edge.operation, True), behind)
        for edge in genotype.upsampling.edges:
            summands.append((parts.upsampling(edge.operation, edge.source < INPUT_NODES, last), 1))
        # Plain integers: a search asks for some thousand costs.
        return Cost(
            sum(cost.conv_macs * times for cost, times in summands),
            sum(cost.deconv_macs * times for cost, times in summands),
            sum(cost.params * times for cost, times in summands),
            sum(cost.milliseconds * times for cost, times in summands),
        )

    def parts(self, space: Space, channels: int) -> PartCosts:
        """Return what the parts of networks of a space and a width C cost.

        Raises
        ------
        ValueError
            If there is a table of times, but of another space or scale.
        """
        operations = tuple(OPERATIONS.values())
        if self.latency is None:
            return _part_costs(space, self.scale, channels, self.lr_size, operations)
        key = space, channels, operations
        if key not in self._with_times:
            self.latency.check(space, self.scale)
            self._with_times[key] = PartCosts(space, self.scale, channels, self.lr_size, self.latency)
        return self._with_times[key]


class PartCosts:
    """What the parts of a network cost; each is profiled when it is first asked for.

    Parameters
    ----------
    space
        The search space.
    scale, channels
        Upscaling factor and C.
    lr_size
        Height and width of the low-resolution input, in pixels.
    latency
        The parts' times on a device; None for 0.
    """

    def __init__(
        self,
        space: Space,
        scale: int,
        channels: int,
        lr_size: tuple[int, int],
        latency: LatencyTable | None = None,
    ) -> None:
        shared.CHANNELS.check("channels", channels)  # a genotype may have its own
        self._device = "cpu" if channels <= _MOST_CHANNELS_IN_MEMORY else "meta"
        with making_parts(self._device):
            self._parts = cast(CostParts, space.cost_parts(scale, channels))
        self._channels = channels
        self._latency = latency
        low = lr_size[0] * lr_size[1]
        self._pixels = {False: low, True: low * scale**2}
        self._profiled: dict[Any, list[tuple[_PixelCost, bool]]] = {}
        self._costs: dict[Any, Cost] = {}

    def ends(self, last: bool) -> Cost:
        """Return the cost of what stands around the blocks; `last` is whether the last block upsamples."""
        return self._sum(("ends", last), lambda: self._parts.ends(last))

    def block(self, high: bool) -> Cost:
        """Return what a block costs besides its operations, its input being at low or high resolution."""
        return self._sum("block", lambda: self._parts.block, high)

    def normal(self, operation: str, high: bool) -> Cost:
        """Return the cost of an operation of a normal block, at low or high resolution."""
        return self._sum(operation, lambda: [self._parts.operation("normal", operation, True, False)], high)

    def upsampling(self, operation: str, reads_input: bool, last: bool) -> Cost:
        """Return the cost of an operation of the upsampling cell that reads an input of the cell, or a later node."""
        part = (operation, reads_input, last)
        return self._sum(part, lambda: [self._parts.operation("upsampling", *part)])

    def _sum(self, key: Any, parts: Callable[[], Sequence[CostPart]], high: bool | None = None) -> Cost:
        """Add up parts, each at its own resolution unless another is given."""
        if (key, high) not in self._costs:
            if key not in self._profiled:
                with making_parts(self._device):
                    self._profiled[key] = [(_pixel_cost(part.module, part.channels), part.high) for part in parts()]
            costs = (cost.at(self._pixels[own if high is None else high]) for cost, own in self._profiled[key])
            added = sum(costs, Cost())
            if self._latency is not None:
                added = replace(added, milliseconds=self._latency.part(self._channels, key, high))
            self._costs[key, high] = added
        return self._costs[key, high]


@dataclass(frozen=True)
class _PixelCost:
    """Cost of a module as a straight line over the number of input pixels."""

    slope: Cost
    constant: Cost

    def at(self, pixels: int) -> Cost:
        return self.slope * pixels + self.constant


@contextmanager
def making_parts(device: str = "cpu") -> Iterator[None]:
    """Make modules on a device and run them without touching the caller's randomness.

    On the CPU where they are small: a subtraction on the meta device imports torch's compiler, which takes longer than
    all else that a trial imports.
    """
    with torch.random.fork_rng(devices=[]), torch.device(device):
        yield


def _pixel_cost(module: nn.Module, channels: int) -> _PixelCost:
    """Profile a module at two small sizes; exact, as all its convolutions keep or multiply the number of pixels."""
    small, large = (profile(module, torch.zeros(1, channels, 2, width)) for width in (2, 3))
    slope = Cost((large.conv_macs - small.conv_macs) // 2, (large.deconv_macs - small.deconv_macs) // 2, params=0)
    return _PixelCost(slope, small + slope * -4)


@lru_cache(maxsize=256)
def _part_costs(
    space: Space, scale: int, channels: int, lr_size: tuple[int, int], operations: tuple[Operation, ...]
) -> PartCosts:
    """Keep what was profiled; what was built without an operation is not for a space that has it."""
    return PartCosts(space, scale, channels, lr_size)


def cost_table(
    scale: int = 2,
    channels: int = DEFAULT_CHANNELS,
    layers: int = DEFAULT_LAYERS,
    lr_size: tuple[int, int] = DEFAULT_LR_SIZE,
) -> CostTable:
    """Return the :class:`CostTable` of these sizes; what was profiled for one is kept for all."""
    return CostTable(scale, channels, layers, lr_size)
