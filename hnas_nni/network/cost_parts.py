"""What a network is put together from, as far as its cost is concerned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class CostPart:
    """A module of the network.

    Parameters
    ----------
    module
        The module, with the weights that it is used with in the end.
    channels
        Channels of its input.
    high
        Whether its input is at high resolution.
    """

    module: nn.Module
    channels: int
    high: bool = False


@dataclass(frozen=True)
class CostParts:
    """The parts of a space's networks of one scale and one C.

    Parameters
    ----------
    ends
        ``ends(last)`` gives what stands before and behind the blocks; `last` is whether the last block upsamples.
    block
        What each block has besides its operations, at the resolution of the block's input.
    operation
        ``operation(cell, name, reads_input, last)`` makes an operation; in the upsampling cell it reads one of the
        cell's inputs, at low resolution, or an intermediate node, at high resolution. That of a normal cell is given
        at low resolution, and stands at high resolution behind the upsampling cell.
    """

    ends: Callable[[bool], Sequence[CostPart]]
    block: Sequence[CostPart]
    operation: Callable[[str, str, bool, bool], CostPart]
