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
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import torch
from torch import nn

from hnas_nni.architecture.cells import INPUT_NODES, NODES
from hnas_nni.architecture.genotype import DEFAULT_LAYERS, Genotype
from hnas_nni.architecture.operation import Operation
from hnas_nni.architecture.operations import OPERATIONS, candidates
from hnas_nni.architecture.spaces import PAPER
from hnas_nni.network.network import Preprocessor, Stem, Tail, candidate, check_network_size

DEFAULT_LR_SIZE = (480, 480)
"""Low-resolution height and width at which costs are stated (paper, section III)."""


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
    """

    conv_macs: int = 0
    deconv_macs: int = 0
    params: int = 0

    @property
    def macs(self) -> int:
        """Multiply-adds, transposed convolutions included."""
        return self.conv_macs + self.deconv_macs

    @property
    def gmacs(self) -> float:
        """Multiply-adds in units of 10^9."""
        return self.macs / 1e9

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.conv_macs + other.conv_macs, self.deconv_macs + other.deconv_macs, self.params + other.params)

    def __mul__(self, times: int) -> Cost:
        return Cost(self.conv_macs * times, self.deconv_macs * times, self.params * times)


def count(
    genotype: Genotype,
    scale: int = 2,
    channels: int = 64,
    layers: int = DEFAULT_LAYERS,
    lr_size: tuple[int, int] = DEFAULT_LR_SIZE,
) -> Cost:
    """Count multiply-adds and parameters of the network that a genotype builds, by running it under thop.

    Nothing is computed: the network lies on torch's meta device, where only shapes are followed.

    Parameters
    ----------
    genotype
        The architecture.
    scale, channels, layers
        As for :meth:`Genotype.build`.
    lr_size
        Height and width of the low-resolution input, in pixels.

    Raises
    ------
    GenotypeError, ValueError
        As for :meth:`Genotype.build`.
    """
    with torch.device("meta"):
        network = genotype.build(scale, channels, layers)
    return profile(network, torch.zeros(1, 3, *lr_size, device="meta"))


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
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # thop compares versions as distutils did
        import thop

    module = copy.deepcopy(module)  # thop leaves its counters behind, as buffers
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


class CostTable:
    """Multiply-adds and parameters of any architecture by addition, equal to :func:`count` to the last integer.

    Every candidate is profiled once at each of the two resolutions it can run at. One look-up then adds 16 entries.

    Parameters
    ----------
    scale, channels, layers
        As for :meth:`Genotype.build`.
    lr_size
        Height and width of the low-resolution input, in pixels.

    Raises
    ------
    ValueError
        If scale, channels or layers are out of range.
    """

    def __init__(
        self,
        scale: int = 2,
        channels: int = 64,
        layers: int = DEFAULT_LAYERS,
        lr_size: tuple[int, int] = DEFAULT_LR_SIZE,
    ) -> None:
        check_network_size(scale, channels, layers)
        self.scale = scale
        self.channels = channels
        self.layers = layers
        self.lr_size = lr_size
        low = lr_size[0] * lr_size[1]
        high = low * scale**2
        maps = len(NODES) * channels
        preprocessor = _pixel_cost(Preprocessor(channels)[0], maps) * INPUT_NODES
        normal = {
            operation: _pixel_cost(candidate("normal", operation, None, channels, scale), channels)
            for operation in candidates(PAPER, "normal")
        }
        self._ends = _pixel_cost(Stem(channels), 3).at(low) + _pixel_cost(Tail(channels), maps).at(high)
        # A normal block before and behind the upsampling cell, by operation.
        self._normal_low, self._normal_high = (
            {operation: cost.at(pixels) for operation, cost in normal.items()} for pixels in (low, high)
        )
        self._preprocessor_low, self._preprocessor_high = preprocessor.at(low), preprocessor.at(high)
        # An edge of the upsampling cell reads an input node, at low resolution, or an intermediate one.
        self._upsampling = {
            (operation, reads_input): _pixel_cost(
                candidate("upsampling", operation, 0 if reads_input else INPUT_NODES, channels, scale), channels
            ).at(low if reads_input else high)
            for operation in candidates(PAPER, "upsampling")
            for reads_input in (True, False)
        }

    def __call__(self, genotype: Genotype) -> Cost:
        """Return the cost of a genotype.

        Raises
        ------
        GenotypeError
            If the genotype's position lies behind the last layer.
        """
        genotype.check_layers(self.layers)
        edges = genotype.normal.edges
        normal_low = sum((self._normal_low[edge.operation] for edge in edges), self._preprocessor_low)
        normal_high = sum((self._normal_high[edge.operation] for edge in edges), self._preprocessor_high)
        upsampling = sum(
            (self._upsampling[edge.operation, edge.source < INPUT_NODES] for edge in genotype.upsampling.edges),
            self._preprocessor_low,
        )
        return (
            self._ends
            + normal_low * (genotype.position - 1)
            + upsampling
            + normal_high * (self.layers - genotype.position)
        )


@dataclass(frozen=True)
class _PixelCost:
    """Cost of a module as a straight line over the number of input pixels."""

    slope: Cost
    constant: Cost

    def at(self, pixels: int) -> Cost:
        return self.slope * pixels + self.constant

    def __mul__(self, times: int) -> _PixelCost:
        return _PixelCost(self.slope * times, self.constant * times)


def _pixel_cost(module: nn.Module, channels: int) -> _PixelCost:
    """Profile a module at two small sizes; exact, as all its convolutions keep or multiply the number of pixels."""
    small, large = (profile(module, torch.zeros(1, channels, 2, width)) for width in (2, 3))
    slope = Cost((large.conv_macs - small.conv_macs) // 2, (large.deconv_macs - small.deconv_macs) // 2, params=0)
    return _PixelCost(slope, small + slope * -4)


def cost_table(
    scale: int = 2,
    channels: int = 64,
    layers: int = DEFAULT_LAYERS,
    lr_size: tuple[int, int] = DEFAULT_LR_SIZE,
) -> CostTable:
    """Return the :class:`CostTable` of these sizes, built at the first call and kept."""
    return _cost_table(scale, channels, layers, lr_size, tuple(OPERATIONS.values()))


@lru_cache(maxsize=32)
def _cost_table(
    scale: int, channels: int, layers: int, lr_size: tuple[int, int], operations: tuple[Operation, ...]
) -> CostTable:
    """Keep tables; one that was built without an operation is not for a space that has it."""
    return CostTable(scale, channels, layers, lr_size)
