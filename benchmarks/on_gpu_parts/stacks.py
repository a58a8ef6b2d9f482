"""Stacks of small convolutions between an image and its enlargement: comparators of the searched networks.

A 3x3 convolution with PReLU to C channels, blocks of C channels at low resolution, a 3x3 convolution to 3 s^2 channels,
pixel shuffle, and bicubic interpolation of the image added (ESPCN, arXiv 1609.05158, and VDSR, arXiv 1511.04587).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hnas_nni.cost import Cost, profile

_LR_SIZE = (480, 480)
_TAIL_SHARE = 0.1
"""Of torch's random weights in the tail: with all of them a network starts far below bicubic."""

_COLLAPSED = {"branches": "conv"}
"""Blocks that become another after training, by which they are counted."""


class _Residual(nn.Module):
    """The input plus what a body makes of it."""

    def __init__(self, *body: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class _Branches(nn.Module):
    """A 3x3 and a 1x1 convolution and the identity, added up; one 3x3 convolution in the end (RepVGG, 2101.03697)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(width, width, 3, padding=1)
        self.narrow = nn.Conv2d(width, width, 1)
        self.activation = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(self.wide(x) + self.narrow(x) + x)


class _Gated(nn.Module):
    """A 3x3 convolution times the sigmoid of a 1x1 convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(width, width, 3, padding=1)
        self.gate = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.wide(x) * torch.sigmoid(self.gate(x))


def _conv(width: int, size: int = 3, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(width, width, size, padding=size // 2, groups=groups)


BLOCKS: dict[str, Callable[[int], nn.Module]] = {
    "conv": lambda width: nn.Sequential(_conv(width), nn.PReLU()),
    "residual": lambda width: _Residual(_conv(width), nn.PReLU()),
    "branches": _Branches,
    "pointwise": lambda width: nn.Sequential(_conv(width, 1), nn.PReLU()),
    "bsconv": lambda width: nn.Sequential(_conv(width, 1), _conv(width, 3, width), nn.PReLU()),
    "depthwise7": lambda width: _Residual(_conv(width, 7, width), _conv(width, 1), nn.PReLU()),
    "grouped": lambda width: nn.Sequential(_conv(width, 3, 2), nn.PReLU()),
    "gated": _Gated,
}
"""Blocks of C channels; BSConv: arXiv 2003.13549."""


@dataclass(frozen=True)
class Stack:
    """What a stack is made of.

    Parameters
    ----------
    width
        C.
    cell
        Names of :data:`BLOCKS`, one after the other.
    repeats
        How often the cell is there.
    """

    width: int
    cell: tuple[str, ...]
    repeats: int

    @property
    def name(self) -> str:
        """A short description."""
        return f"{self.repeats} x ({' '.join(self.cell)}), {self.width} channels"

    def to_dict(self) -> dict[str, Any]:
        """Return the description as JSON has it."""
        return asdict(self)

    def build(self, scale: int = 2) -> StackNetwork:
        """Make the network, its weights drawn by torch's generator."""
        return StackNetwork(self, scale)

    def cost(self, scale: int = 2) -> Cost:
        """Count the multiply-adds at a 3x480x480 input, and the parameters, as the network is used in the end."""
        blocks = (_block_cost(_COLLAPSED.get(name, name), self.width) for name in self.cell)
        return sum(blocks, Cost()) * self.repeats + _ends_cost(self.width, scale)


class StackNetwork(nn.Module):
    """The network of a stack: ``(n, 3, h, w)`` to ``(n, 3, s * h, s * w)``, in 0..1.

    Parameters
    ----------
    stack
        What it is made of.
    scale
        s, the upscaling factor.
    """

    def __init__(self, stack: Stack, scale: int) -> None:
        super().__init__()
        self.scale = scale
        self.head = nn.Sequential(nn.Conv2d(3, stack.width, 3, padding=1), nn.PReLU())
        self.body = nn.Sequential(*(BLOCKS[name](stack.width) for name in stack.cell * stack.repeats))
        self.tail = nn.Conv2d(stack.width, 3 * scale**2, 3, padding=1)
        with torch.no_grad():
            for parameter in self.tail.parameters():
                parameter *= _TAIL_SHARE
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        # With antialias torch's kernel is the papers', a = -0.5; enlarging, it smooths nothing.
        base = F.interpolate(x, scale_factor=self.scale, mode="bicubic", antialias=True)
        return base + F.pixel_shuffle(self.tail(self.body(self.head(x))), self.scale)


class StackModel:
    """A stack as :mod:`hnas_nni.inference` wants a model: the whole image at once.

    Parameters
    ----------
    network
        On its device.
    name
        Of the model.
    cost
        Of the network.
    """

    overlap = 0
    is_local = False

    def __init__(self, network: StackNetwork, name: str, cost: Cost) -> None:
        self.name = name
        self.cost = cost
        self.scale = network.scale
        self.network = network.eval()
        self.device = next(network.parameters()).device

    @torch.inference_mode()
    def __call__(self, image: Any) -> Any:
        lr = torch.from_numpy(np.ascontiguousarray(image)).to(self.device).permute(2, 0, 1)[None].float().div(255)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            sr = self.network(lr)[0]
        return sr.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).cpu().numpy()

    def pixels_within(self, memory: int) -> int:
        """Return more pixels than any image has."""
        return 2**62


@cache
def _block_cost(name: str, width: int) -> Cost:
    with torch.device("meta"):
        return profile(BLOCKS[name](width), torch.zeros(1, width, *_LR_SIZE))


@cache
def _ends_cost(width: int, scale: int) -> Cost:
    with torch.device("meta"):
        return profile(Stack(width, (), 0).build(scale), torch.zeros(1, 3, *_LR_SIZE))


PLAIN = tuple(Stack(width, ("conv",), count) for width, count in ((16, 6), (20, 4), (24, 3), (12, 11)))
"""Plain stacks of 3.6 to 4.4 GMAC."""


def random_stack(
    draw: random.Random,
    gmacs: tuple[float, float] = (3.0, 4.0),
    widths: Sequence[int] = range(12, 33, 2),
    layers: tuple[int, int] = (2, 14),
) -> Stack:
    """Draw a stack of one to three different blocks in turn, whose cost and number of blocks lie in a range."""
    least, most = gmacs
    while True:
        cell = tuple(draw.choices(list(BLOCKS), k=draw.randint(1, 3)))
        width = draw.choice(list(widths))
        once, twice = (Stack(width, cell, repeats).cost().gmacs for repeats in (1, 2))
        repeats = 1 + int((most - once) / (twice - once))
        if repeats < 1 or not layers[0] <= repeats * len(cell) <= layers[1]:
            continue
        stack = Stack(width, cell, repeats)
        if least <= stack.cost().gmacs <= most:
            return stack
