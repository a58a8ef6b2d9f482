"""First weights with which a network, or every path of a supernet, hands the image through.

With torch's random weights the sums of a cell's nodes let the features of some architectures grow with every block and
those of others vanish; thousands of steps may then pass before such a network gives more than blurred colours. In a
supernet it is worse, as each step trains one path, and a tail shared by all can learn nothing from features that every
path scrambles in a random way of its own. Here every candidate starts as what it is nearest to among the operations
without weights, the identity or interpolation to another size (as in Dirac networks, Zagoruyko & Komodakis, 2017,
arXiv:1706.00388), plus torch's random weights on a small scale. If nodes average what they add up, every architecture
starts as an interpolation of the image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import nn

from hnas_nni.architecture.cells import INPUT_NODES, Cell
from hnas_nni.architecture.operations import OPERATIONS
from hnas_nni.network.network import NODES, CellBlock, HNASNetwork, Stem, Tail, block_cells
from hnas_nni.network.normal_operations import ResidualChannelAttentionBlock, UpDownProjection
from hnas_nni.network.upsampling_operations import Deconv, SubPixelConv

_NOISE = 0.1
"""Share of torch's random weights that is left, so that channels and nodes can become different."""

_COLOURS = 3


def interpolate(network: nn.Module) -> None:
    """Make a network of the paper's space start as an interpolation of its input. Others do by what they are made of.

    Its nodes add up, so that one holds the image as often as paths lead to it; whatever reads a node divides by that.

    Parameters
    ----------
    network
        With torch's weights; changed in place. With less than 6 channels to an operation there is no room for the
        colours and their negatives, and it stays as it is.
    """
    if not isinstance(network, HNASNetwork) or not _has_room(network.channels):
        return
    show_image(network.stem, network.tail)
    for kind, block in zip(block_cells(network.genotype.position, network.layers), network.blocks, strict=True):
        assert isinstance(block, CellBlock)
        pass_through(block.preprocessor)
        for node, slot, edge in getattr(network.genotype, kind).slots():
            preserve_signal(block.operation(node, slot), edge.operation)
    divide_by_paths(network)


@torch.no_grad()
def divide_by_paths(network: HNASNetwork) -> None:
    """Let whatever reads a node divide by the number of paths that lead to it, as nodes add them up.

    Parameters
    ----------
    network
        Changed in place: the 1x1 convolutions of its cells, and its tail.
    """
    for conv, paths in _readers(network):
        conv.weight /= paths


@torch.no_grad()
def multiply_by_paths(network: HNASNetwork) -> None:
    """Undo :func:`divide_by_paths`: what is left fits other connections of the nodes too, once it is divided again."""
    for conv, paths in _readers(network):
        conv.weight *= paths


def _readers(network: HNASNetwork) -> Iterator[tuple[nn.Conv2d, torch.Tensor]]:
    """Yield each convolution that reads the four nodes of a block, and how many paths lead to what each channel reads.

    The paths are those within the block; the convolutions that read the block's inputs have made up for earlier ones.
    """
    second_last = last = torch.ones(len(NODES))
    genotype = network.genotype
    for name, block in zip(block_cells(genotype.position, network.layers), network.blocks, strict=True):
        assert isinstance(block, CellBlock)
        for reduce, paths in zip(block.preprocessor, (second_last, last), strict=True):
            yield _by_channel(cast(nn.Sequential, reduce)[1], paths)
        out = _paths(getattr(genotype, name))
        second_last, last = (out, out) if name == "upsampling" else (last, out)
    yield _by_channel(network.tail.conv, last)


def _by_channel(conv: Any, paths: torch.Tensor) -> tuple[nn.Conv2d, torch.Tensor]:
    return conv, paths.to(conv.weight).repeat_interleave(conv.in_channels // len(paths)).view(1, -1, 1, 1)


@torch.no_grad()
def preserve_signal(module: nn.Module, operation: str) -> None:
    """Make a candidate start close to the identity or to an interpolation, as the table of operations says.

    Parameters
    ----------
    module
        The candidate; changed in place.
    operation
        Its name in genotypes.
    """
    OPERATIONS[operation].first_weights(module)


@torch.no_grad()
def pass_through(module: nn.Module) -> None:
    """Let all convolutions of a module hand their channels through, in place.

    From more channels than a convolution gives, it takes the mean over groups of channels.
    """
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d):
            _pass_through(conv)


def leave_as_built(module: nn.Module) -> None:
    """Leave a module with the weights that it was built with."""


def start_projections(module: UpDownProjection) -> None:
    """Let an up-and-down projection interpolate and take the mean again, its corrections weak, in place."""
    for up in (module.up, module.down_back):
        _interpolate(up[0])
    for down in (module.down, module.up_back):
        _average(down[0])
    for error in (module.up_error, module.down_error):
        _weaken(error[0])


def start_attention_block(module: ResidualChannelAttentionBlock) -> None:
    """Let a residual block start with a weak residual, in place."""
    _weaken(module.body[2])


def start_transposed_conv(module: Deconv) -> None:
    """Let a transposed convolution start as bilinear interpolation, in place."""
    _interpolate(module)


def start_sub_pixel_conv(module: SubPixelConv) -> None:
    """Let a sub-pixel convolution start as nearest-neighbour interpolation, in place."""
    for conv in module.children():
        if isinstance(conv, nn.Conv2d):
            _repeat(conv)


@torch.no_grad()
def show_image(stem: Stem, tail: Tail) -> None:
    """Let stem and tail hand the colours through, and their negatives, as activations drop what is negative.

    Parameters
    ----------
    stem, tail
        Changed in place; with less than 6 channels to an operation there is no room, and they stay as they are.
    """
    first, last = stem.conv.weight, tail.conv.weight
    groups = len(NODES)
    channels = first.shape[0] // groups
    if not _has_room(channels):
        return
    first.mul_(_NOISE)
    last.mul_(_NOISE)
    for channel in range(2 * _COLOURS):
        colour, sign = channel % _COLOURS, 1 if channel < _COLOURS else -1
        first[channel::channels, colour, 1, 1] += sign
        last[colour, channel::channels, 1, 1] += sign / groups


def _has_room(channels: int) -> bool:
    return channels >= 2 * _COLOURS


def _paths(cell: Cell) -> torch.Tensor:
    """Return how many paths lead from the inputs of a cell to each of its intermediate nodes."""
    paths = [1.0] * INPUT_NODES
    for node in NODES:
        paths.append(sum(paths[edge.source] for edge in cell.incoming(node)))
    return torch.tensor(paths[INPUT_NODES:])


def _weaken(conv: Any) -> None:
    conv.weight.mul_(_NOISE)


def _pass_through(conv: nn.Conv2d) -> None:
    conv.weight.mul_(_NOISE)
    out, inputs = conv.weight.shape[:2]
    rows, columns = (size // 2 for size in conv.kernel_size)
    if conv.groups == out:
        conv.weight[:, 0, rows, columns] += 1
        return
    for first in range(0, inputs, out):
        channels = torch.arange(min(out, inputs - first))
        conv.weight[channels, channels + first, rows, columns] += out / inputs


def _repeat(conv: nn.Conv2d) -> None:
    """A convolution before a pixel shuffle: nearest-neighbour interpolation."""
    conv.weight.mul_(_NOISE)
    out, inputs = conv.weight.shape[:2]
    channels = torch.arange(out)
    conv.weight[channels, channels // (out // inputs), 1, 1] += 1


def _interpolate(deconv: Any) -> None:
    """A transposed convolution: bilinear interpolation, as near as its kernel allows."""
    deconv.weight.mul_(_NOISE)
    channels = torch.arange(deconv.weight.shape[0])
    deconv.weight[channels, channels] += _triangle(deconv)


def _average(conv: Any) -> None:
    """A strided convolution: the mean under a bilinear kernel."""
    conv.weight.mul_(_NOISE)
    channels = torch.arange(conv.weight.shape[0])
    kernel = _triangle(conv)
    conv.weight[channels, channels] += kernel / kernel.sum()


def _triangle(conv: nn.Conv2d | nn.ConvTranspose2d) -> torch.Tensor:
    """Return the bilinear kernel; of those that one output pixel of a transposed convolution sees the sum is 1."""
    size, stride = conv.kernel_size[0], conv.stride[0]
    distance = (torch.arange(size) - (size - 1) / 2).abs()
    line = (1 - distance / stride).clamp_min(0)
    for phase in range(stride):
        line[phase::stride] /= line[phase::stride].sum()
    return torch.outer(line, line)
