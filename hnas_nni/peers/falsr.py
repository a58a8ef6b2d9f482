"""FALSR-A, -B and -C (Chu et al., ICPR 2020, arXiv 1901.07261): what an evolutionary search found, on Y.

The structures are those of the graphs that the authors released.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from hnas_nni.architecture.architecture import Architecture
from hnas_nni.peers.base import LumaNetwork, ReleasedTensor, conv
from hnas_nni.peers.bicubic import REACH

_WIDTH = 32
"""Channels of the stem, and of what is shuffled at the end."""


class Cell(NamedTuple):
    """A cell block.

    Parameters
    ----------
    kind
        ``"conv"``, ``"groupConG2"`` and ``"groupConG4"`` (grouped), or ``"invertBotConE2"`` (inverted bottlenecks).
    channels, size, repeats
        Of its output, of its kernels, and how many there are.
    skip
        Whether what enters the repetitions is added at the end.
    inputs
        Which outputs it reads, one behind another: 0 is the stem, k the k-th cell.
    """

    kind: str
    channels: int
    size: int
    repeats: int
    skip: bool
    inputs: tuple[int, ...]

    @property
    def title(self) -> str:
        """What the released graph calls it."""
        skip = "isskip" if self.skip else "noskip"
        return f"{self.kind}_f{self.channels}_k{self.size}_b{self.repeats}_{skip}"


CELLS: Mapping[str, tuple[Cell, ...]] = {
    "FALSR-A": (
        Cell("conv", 64, 3, 4, True, (0,)),
        Cell("conv", 48, 1, 1, True, (1,)),
        Cell("conv", 64, 3, 4, True, (2,)),
        Cell("conv", 64, 3, 4, True, (2, 3)),
        Cell("conv", 64, 3, 4, True, (0, 2, 4)),
        Cell("conv", 64, 1, 4, False, (5,)),
        Cell("conv", 64, 3, 4, True, (0, 2, 5, 6)),
    ),
    "FALSR-B": (
        Cell("invertBotConE2", 16, 3, 1, True, (0,)),
        Cell("invertBotConE2", 48, 1, 2, True, (0, 1)),
        Cell("conv", 16, 1, 2, True, (0, 1, 2)),
        Cell("invertBotConE2", 32, 3, 4, False, (3,)),
        Cell("conv", 64, 3, 2, False, (2, 3, 4)),
        Cell("groupConG4", 16, 3, 4, False, (2, 4, 5)),
        Cell("conv", 16, 3, 1, True, (0, 1, 2, 6)),
    ),
    "FALSR-C": (
        Cell("groupConG2", 32, 1, 1, False, (0,)),
        Cell("conv", 64, 1, 4, False, (0, 1)),
        Cell("invertBotConE2", 48, 3, 4, False, (2,)),
        Cell("groupConG2", 32, 1, 1, False, (1, 3)),
        Cell("groupConG4", 32, 1, 1, True, (0, 4)),
        Cell("conv", 48, 1, 4, False, (0, 5)),
        Cell("conv", 16, 3, 1, True, (1, 6)),
    ),
}
"""The cells by network, in their order."""

_KERNEL = {"conv": ("/kernel", "/bias"), "group": ("/W", "/b"), "depthwise": ("/W_depthwise2d", "/b_depthwise2d")}
"""How the released graphs call a convolution's weight and bias."""

_HWIO, _HWCM = (3, 2, 0, 1), (2, 3, 0, 1)
"""Axes of torch's weights in TensorFlow's kernels, and in its depthwise ones."""

_READ_AT_THE_END = {"FALSR-A": tuple(range(8)), "FALSR-B": (1, 4, 6, 7), "FALSR-C": (0, 2, 6, 7)}


class _Convolutions(nn.Module):
    """Convolutions with a ReLU each."""

    def __init__(self, cell: Cell, inputs: int) -> None:
        super().__init__()
        groups = int(cell.kind.removeprefix("groupConG")) if cell.kind != "conv" else 1
        layers = [
            conv(inputs if number == 0 else cell.channels, cell.channels, cell.size, groups)
            for number in range(cell.repeats)
        ]
        self.layers = nn.ModuleList(layers)
        self._skip = cell.skip and cell.repeats > 1
        self.reach = cell.repeats * (cell.size // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = []
        for layer in self.layers:
            x = F.relu(layer(x))
            outputs.append(x)
        return x + outputs[0] if self._skip else x


class _InvertedBottleneck(nn.Module):
    """To twice the channels, depthwise, and back, plus the input."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.conv_1 = conv(channels, 2 * channels, size)
        self.depth_wise = conv(2 * channels, 2 * channels, 3, groups=2 * channels)
        self.conv_2 = conv(2 * channels, channels, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.conv_2(F.relu(self.depth_wise(F.relu(self.conv_1(x))))) + x
        return result


class _InvertedBottlenecks(nn.Module):
    """A 1x1 convolution to the number of channels, and inverted bottlenecks."""

    def __init__(self, cell: Cell, inputs: int) -> None:
        super().__init__()
        self.supple = conv(inputs, cell.channels, 1)
        self.bottlenecks = nn.Sequential(*(_InvertedBottleneck(cell.channels, cell.size) for _ in range(cell.repeats)))
        self._skip = cell.skip and cell.repeats > 1
        self.reach = cell.repeats * (2 * (cell.size // 2) + 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        first = self.supple(x)
        result: torch.Tensor = self.bottlenecks(first)
        return result + first if self._skip else result


class FALSR(LumaNetwork):
    """A FALSR network; which one, its architecture's name says."""

    not_read = ("Const",)  # from Y and colours to RGB

    def __init__(self, architecture: Architecture, scale: int, channels: int, layers: int) -> None:
        super().__init__(architecture, scale, channels, layers)
        name = str(architecture)
        self.stem = conv(1, _WIDTH)
        self.cells = nn.ModuleList()
        self._inputs = [cell.inputs for cell in CELLS[name]]
        self._read_at_the_end = _READ_AT_THE_END[name]
        widths, reaches = [_WIDTH], [1]
        for cell in CELLS[name]:
            inputs = sum(widths[source] for source in cell.inputs)
            made: _Convolutions | _InvertedBottlenecks
            made = (_InvertedBottlenecks if cell.kind == "invertBotConE2" else _Convolutions)(cell, inputs)
            self.cells.append(made)
            widths.append(cell.channels)
            reaches.append(made.reach + max(reaches[source] for source in cell.inputs))
        self.merge = conv(sum(widths[source] for source in self._read_at_the_end), _WIDTH)
        self.last = conv(_WIDTH // scale**2, 1)
        self._low_reach = 1 + max(reaches[source] for source in self._read_at_the_end)

    @property
    def reach(self) -> int:
        """How many LR pixels beyond its own an output pixel depends on."""
        return max(self._low_reach + 1, REACH)

    def released_tensors(self) -> dict[str, ReleasedTensor]:
        """Return the network's tensors by their names in the released graph, whose layout is NHWC and HWIO."""
        tensors = _released("stem", "n32s1/c", "conv")
        for number, cell in enumerate(CELLS[str(self.architecture)]):
            own, title = f"cells.{number}.", f"cell{number}/{cell.title}"
            if cell.kind == "invertBotConE2":
                tensors |= _released(f"{own}supple", f"{title}_conv_supple", "conv")
                for step in range(cell.repeats):
                    inner = f"{own}bottlenecks.{step}."
                    tensors |= _released(f"{inner}conv_1", f"{title}_b{step}_conv_1", "conv")
                    tensors |= _released(f"{inner}depth_wise", f"{title}_b{step}depth_wise", "depthwise")
                    tensors |= _released(f"{inner}conv_2", f"{title}_b{step}_conv_2", "conv")
                continue
            for step in range(cell.repeats):
                kind = "conv" if cell.kind == "conv" else "group"
                tensors |= _released(f"{own}layers.{step}", f"{title}_b{step}", kind)
        return tensors | _released("merge", "n32s1/2/0", "conv") | _released("last", "yout", "conv")

    def enlarge(self, luma: torch.Tensor, interpolated: torch.Tensor) -> torch.Tensor:
        """Enlarge Y, ``(n, 1, h, w)``."""
        outputs = [F.relu(self.stem(luma))]
        for cell, inputs in zip(self.cells, self._inputs, strict=True):
            outputs.append(cell(torch.cat([outputs[source] for source in inputs], dim=1)))
        features = F.relu(self.merge(torch.cat([outputs[source] for source in self._read_at_the_end], dim=1)))
        result: torch.Tensor = self.last(_depth_to_space(features + outputs[0], self.scale))
        return result


def _released(own: str, released: str, kind: str) -> dict[str, ReleasedTensor]:
    weight, bias = _KERNEL[kind]
    axes = _HWCM if kind == "depthwise" else _HWIO
    return {
        released + weight: ReleasedTensor(f"{own}.weight", axes),
        released + bias: ReleasedTensor(f"{own}.bias", (0,)),
    }


def _depth_to_space(x: torch.Tensor, scale: int) -> torch.Tensor:
    """Shuffle channels to pixels in TensorFlow's order: those of one pixel lie side by side."""
    return F.pixel_shuffle(x.unflatten(1, (scale**2, -1)).transpose(1, 2).flatten(1, 2), scale)
